/**
 * Checks which server makes a request.
 *
 * Spec: server-server API, "Request Authentication".
 */
import { verifySignature } from '@myelin/protocol/crypto/ed25519.ts'
import { signedText } from '@myelin/protocol/crypto/sign-json.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import { parseXMatrix, requestObject } from '@myelin/protocol/federation/x-matrix.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import type { KeyRing } from '#engine/key-ring.ts'
import type { Clock } from '#platform/clock.ts'
import type { SignedRequest } from '#platform/http/requester.ts'
import type { Destinations } from './destinations.ts'
import type { ServerPolicy } from './server-policy.ts'

interface Needs {
  readonly serverName: ServerName
  readonly keyRing: Pick<KeyRing, 'publicKey'>
  readonly clock: Clock
  readonly policy: ServerPolicy
  readonly destinations: Pick<Destinations, 'answered'>
}

export class RequestSignatures {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * The server that has signed a request.
   * @throws M_UNAUTHORIZED where the header is missing, malformed or wrong; M_FORBIDDEN where this server does not talk to that one
   */
  async originOf({ authorization, method, uri, content }: SignedRequest & { readonly content: JsonValue | undefined }): Promise<ServerName> {
    const { serverName, keyRing, clock, policy, destinations } = this.#needs
    if (authorization === '') throw refuse('M_UNAUTHORIZED', 'Requests of other servers need an Authorization header of the scheme X-Matrix.')
    const claim = parseXMatrix(authorization)
    if (!claim) throw refuse('M_UNAUTHORIZED', 'The Authorization header is malformed; it has the form X-Matrix origin="…",destination="…",key="…",sig="…".')
    const { origin, destination = serverName, keyId, signature } = claim
    if (destination !== serverName) throw refuse('M_UNAUTHORIZED', `The request is meant for ${destination.slice(0, 255)}, and this server is ${serverName}.`)
    if (!isServerName(origin) || origin === serverName) throw refuse('M_UNAUTHORIZED', 'The origin in the Authorization header is not the name of another server.')
    policy.assertAllowed(origin)
    const publicKey = await keyRing.publicKey(origin, keyId, clock.now())
    if (publicKey === undefined) throw refuse('M_UNAUTHORIZED', `The key ${keyId.slice(0, 255)} of ${origin} could not be found, or is no longer valid.`)
    const text = signedText(requestObject({ method, uri, origin, destination, content }))
    if (!verifySignature(publicKey, text, signature)) throw refuse('M_UNAUTHORIZED', `The signature of the request is not one of ${origin} with the key ${keyId}.`)
    await destinations.answered(origin)
    return origin
  }
}
