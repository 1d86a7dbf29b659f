/** The failure of another server: unreachable, too slow, refused by policy, or an answer that cannot be used. */

/** Why a request to another server gave no usable answer. */
export type RemoteFailure =
  /** The address, scheme or host of the URL (or of a redirect) is not one that the server may connect to. */
  | 'forbidden-address'
  | 'unknown-host'
  | 'connection'
  | 'tls'
  | 'timeout'
  /** More bytes than allowed, compressed or not. */
  | 'too-large'
  | 'redirects'
  /** The answer is not HTTP, cannot be decompressed, or is not what was asked for. */
  | 'bad-answer'
  | 'aborted'

/** Becomes 502 or 504 for the client, or back-off towards the destination. */
export class RemoteError extends Error {
  override readonly name = 'RemoteError'
  readonly failure: RemoteFailure
  /** The URL without its query, for logs. */
  readonly url: string

  constructor(failure: RemoteFailure, url: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.failure = failure
    this.url = url.replace(/[?#].*$/s, '')
  }

  /** Whether waiting longer might have helped. */
  get timedOut(): boolean {
    return this.failure === 'timeout'
  }
}
