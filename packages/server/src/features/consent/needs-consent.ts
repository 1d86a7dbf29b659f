/** Endpoints that are refused to users who have not agreed to the server's policy. */
import type { Errcode } from '@myelin/protocol/errors.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Endpoint } from '#platform/http/endpoint.ts'
import type { Consent, OwnMembership } from './consent.ts'

type Request = Parameters<Endpoint['handler']>[1]

/** Which membership an endpoint gives its requester, by what it is called with. */
type MembershipSet = (params: JsonObject, body: JsonObject, userId: string) => string | undefined

/**
 * The endpoint with the demand for consent before its handler.
 * @param sets for endpoints that may join or leave a room
 */
export function needsConsent<Needs>(plain: Endpoint<Needs>, sets?: MembershipSet): Endpoint<Needs & { readonly consent: Consent }> {
  const errors: readonly Errcode[] = [...plain.errors, 'M_CONSENT_NOT_GIVEN']
  return Object.freeze({
    ...plain,
    errors,
    handler: (needs: Needs & { readonly consent: Consent }, request: Request) => {
      const { consent } = needs
      if (!consent.isNeeded || !request.requester) return plain.handler(needs, request)
      return consent.assertGiven(request.requester, sets && membershipOf(request, sets)).then(() => plain.handler(needs, request))
    },
  })
}

function membershipOf({ requester, params, body }: Request, sets: MembershipSet): OwnMembership | undefined {
  const [path, content] = [objectOf(params), objectOf(body)]
  const membership = requester && sets(path, content, requester.userId)
  const roomId = own(path, 'roomId') ?? own(path, 'roomIdOrAlias')
  return membership === undefined || typeof roomId !== 'string' ? undefined : { roomId, membership }
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}
