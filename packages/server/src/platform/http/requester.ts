/**
 * Who makes a request, as the access token tells.
 *
 * Spec: client-server API, "Using access tokens", "Guest access", "Account locking"; application service API, "Identity assertion".
 */
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'

/** An authenticated user, or an application service in the name of one of its users. */
export interface Requester {
  readonly userId: UserId
  /** Undefined for application services that assert no device, and for tokens without one. */
  readonly deviceId: string | undefined
  /** Row of the access token; undefined for application services. */
  readonly accessTokenId: number | undefined
  readonly isGuest: boolean
  readonly isAdmin: boolean
  readonly isSuspended: boolean
  readonly isLocked: boolean
  /** Id of the application service whose `as_token` was used. */
  readonly appserviceId: string | undefined
  /** False for application services with `rate_limited: false` and users whom an administrator exempted. */
  readonly rateLimited: boolean
}

/** The server acting for a user by itself: nothing is limited, and inviting is allowed whatever others may not. */
export function inNameOf(userId: UserId, isGuest = false): Requester {
  return {
    userId, isGuest, isAdmin: true, deviceId: undefined, accessTokenId: undefined, appserviceId: undefined,
    isSuspended: false, isLocked: false, rateLimited: false,
  }
}

/** What the request brought to prove who makes it. */
export interface Credentials {
  /** Access token, never empty, without white space or control characters. */
  readonly token: string
  /** `?user_id=`: identity that an application service asserts. */
  readonly userId: string | undefined
  /** `?device_id=` (or the unstable `?org.matrix.msc3202.device_id=`): device that an application service asserts. */
  readonly deviceId: string | undefined
  readonly ip: string
  readonly userAgent: string
}

/**
 * Finds the requester of a token. Answers at once when the token is cached.
 * Throws `M_UNKNOWN_TOKEN` for an unknown or expired one.
 */
export type Authenticator = (credentials: Credentials) => Requester | Promise<Requester>

/** What a federation request is signed over. */
export interface SignedRequest {
  /** The whole `Authorization` header, or '' when absent. */
  readonly authorization: string
  readonly method: string
  /** Path and query as they came over the wire. */
  readonly uri: string
  /** Parsed JSON body; undefined when the request has none. */
  readonly content: JsonValue | undefined
}

/** Checks the `X-Matrix` signature of a request and answers the name of the origin server; throws `M_UNAUTHORIZED`. */
export type ServerAuthenticator = (request: SignedRequest) => ServerName | Promise<ServerName>

/**
 * Waits until a request of a server may be served; answers what is to be called when it has ended, its answer sent. Throws `M_LIMIT_EXCEEDED`, or the
 * signal's reason.
 */
export type ServerPace = (serverName: ServerName, signal: AbortSignal) => Promise<() => void>
