/**
 * Finds the access token of a request and checks that its requester may call the endpoint.
 *
 * Spec: client-server API, "Using access tokens", "Guest access", "Account locking", "Account suspension".
 */
import type { IncomingHttpHeaders } from 'node:http'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { Endpoint } from './endpoint.ts'
import type { Requester } from './requester.ts'

type Query = Readonly<Record<string, string | readonly string[] | undefined>>

const bearer = /^bearer(?: +|$)(.*)$/i
const plainToken = /^[\x21-\x7e]+$/

/**
 * The token of the `Authorization: Bearer` header, else of `?access_token=`; undefined when there is neither.
 * Throws `M_MISSING_TOKEN` for an empty one and `M_UNKNOWN_TOKEN` for one with white space or control characters.
 */
export function tokenOf(headers: IncomingHttpHeaders, query: Query): string | undefined {
  const fromHeader = headers.authorization === undefined ? undefined : bearer.exec(headers.authorization)?.[1]
  const token = fromHeader ?? query['access_token']
  if (token === undefined) return undefined
  if (token === '') throw refuse('M_MISSING_TOKEN', 'The access token is empty.')
  if (typeof token !== 'string' || !plainToken.test(token)) {
    throw refuse('M_UNKNOWN_TOKEN', 'The access token is not one that this server has issued.', { soft_logout: false })
  }
  return token
}

/** The query parameter `name` when it was given exactly once. */
export function single(query: Query, name: string): string | undefined {
  const value = query[name]
  return typeof value === 'string' ? value : undefined
}

/** Throws unless the requester may call an endpoint that demands this level. */
export function assertMayCall(requester: Requester, { auth, lockedAllowed, suspendedRefused }: Endpoint): void {
  if (requester.isLocked && lockedAllowed !== true) {
    throw new MatrixError(401, 'M_USER_LOCKED', 'This account has been locked.', { soft_logout: true })
  }
  if (requester.isGuest && auth === 'user') {
    throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot do this; register an account first.')
  }
  if (auth === 'admin' && !requester.isAdmin) {
    throw new MatrixError(403, 'M_FORBIDDEN', 'You are not a server administrator.')
  }
  if (auth === 'appservice' && requester.appserviceId === undefined) {
    throw new MatrixError(403, 'M_FORBIDDEN', 'Only application services can do this.')
  }
  if (requester.isSuspended && suspendedRefused === true) {
    throw new MatrixError(403, 'M_USER_SUSPENDED', 'This account is suspended and cannot do this.')
  }
}
