/**
 * The one error that crosses the HTTP boundary, and the table of Matrix error codes.
 *
 * Spec: client-server API, "Standard error response" and "Common error codes".
 */

/** Every error code that the server may answer, with its usual HTTP status. */
export const errcodes = {
  M_FORBIDDEN: 403,
  M_UNKNOWN_TOKEN: 401,
  M_MISSING_TOKEN: 401,
  M_USER_LOCKED: 401,
  M_USER_SUSPENDED: 403,
  M_USER_DEACTIVATED: 403,
  M_BAD_JSON: 400,
  M_NOT_JSON: 400,
  M_NOT_FOUND: 404,
  M_LIMIT_EXCEEDED: 429,
  M_UNRECOGNIZED: 404,
  M_UNKNOWN: 500,
  M_UNAUTHORIZED: 401,
  M_USER_IN_USE: 400,
  M_INVALID_USERNAME: 400,
  M_ROOM_IN_USE: 400,
  M_INVALID_ROOM_STATE: 400,
  M_THREEPID_IN_USE: 400,
  M_THREEPID_NOT_FOUND: 400,
  M_THREEPID_AUTH_FAILED: 403,
  M_THREEPID_DENIED: 403,
  M_THREEPID_MEDIUM_NOT_SUPPORTED: 400,
  M_SERVER_NOT_TRUSTED: 403,
  M_UNSUPPORTED_ROOM_VERSION: 400,
  M_INCOMPATIBLE_ROOM_VERSION: 400,
  M_BAD_STATE: 400,
  M_GUEST_ACCESS_FORBIDDEN: 403,
  M_CAPTCHA_NEEDED: 400,
  M_CAPTCHA_INVALID: 401,
  M_MISSING_PARAM: 400,
  M_INVALID_PARAM: 400,
  M_TOO_LARGE: 413,
  M_EXCLUSIVE: 400,
  M_RESOURCE_LIMIT_EXCEEDED: 403,
  M_CANNOT_LEAVE_SERVER_NOTICE_ROOM: 403,
  'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION': 409,
  'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD': 400,
  M_WEAK_PASSWORD: 400,
  M_PASSWORD_TOO_SHORT: 400,
  M_PASSWORD_NO_DIGIT: 400,
  M_PASSWORD_NO_SYMBOL: 400,
  M_PASSWORD_NO_UPPERCASE: 400,
  M_PASSWORD_NO_LOWERCASE: 400,
  M_UNABLE_TO_AUTHORISE_JOIN: 400,
  M_UNABLE_TO_GRANT_JOIN: 400,
  M_BAD_ALIAS: 400,
  M_DUPLICATE_ANNOTATION: 400,
  M_NOT_YET_UPLOADED: 504,
  M_CANNOT_OVERWRITE_MEDIA: 409,
  M_WRONG_ROOM_KEYS_VERSION: 403,
  M_BAD_PAGINATION: 400,
  M_INVALID_SIGNATURE: 400,
  M_CONSENT_NOT_GIVEN: 403,
  M_URL_NOT_SET: 400,
  M_CONNECTION_FAILED: 502,
  M_CONNECTION_TIMEOUT: 504,
  M_BAD_STATUS: 502,
  M_KEY_TOO_LARGE: 400,
  M_PROFILE_TOO_LARGE: 400,
  M_INVITE_BLOCKED: 403,
  M_UNKNOWN_POS: 400,
  M_UNKNOWN_DEVICE: 400,
  M_APPSERVICE_LOGIN_UNSUPPORTED: 400,
  M_USER_LIMIT_EXCEEDED: 403,
  M_CANNOT_OVERWRITE_ANNOTATION: 409,
  'FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED': 404,
  IO_ELEMENT_MSC4388_CONCURRENT_WRITE: 409,
} as const satisfies Record<string, number>

/** A Matrix error code that this server may answer. */
export type Errcode = keyof typeof errcodes

/** A refusal that a client or a remote server sees as `{ errcode, error, ...extra }`. */
export class MatrixError extends Error {
  override readonly name = 'MatrixError'
  readonly status: number
  readonly errcode: Errcode
  readonly extra: Readonly<Record<string, unknown>>

  /**
   * @param status HTTP status
   * @param errcode Matrix error code
   * @param message what is wrong and how to mend it, shown to the user
   * @param extra further fields of the body, such as `retry_after_ms` or `soft_logout`
   */
  constructor(status: number, errcode: Errcode, message: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.status = status
    this.errcode = errcode
    this.extra = extra
  }

  /** The JSON body that goes over the wire. */
  get body(): Record<string, unknown> {
    return { errcode: this.errcode, error: this.message, ...this.extra }
  }
}

/** A `MatrixError` with the usual status of its code. */
export function refuse(errcode: Errcode, message: string, extra?: Readonly<Record<string, unknown>>): MatrixError {
  return new MatrixError(errcodes[errcode], errcode, message, extra)
}
