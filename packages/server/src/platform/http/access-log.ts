/** The line that is logged for each request, in the form that log analysers of Synapse parse. */
import type { ServedRequest } from './served-request.ts'

/** What happened to a request. */
export interface Outcome {
  readonly siteTag: string
  readonly httpVersion: string
  readonly status: number
  readonly sizeBytes: number
  /** From the first line of the request to the end of its answer. */
  readonly totalMs: number
  /** Part of `totalMs` in which the answer was sent. */
  readonly sendMs: number
  /** False when the client went away before it had the whole answer. */
  readonly complete: boolean
}

/** The access log line; access tokens in the URL are left out. */
export function accessLine(request: ServedRequest, outcome: Outcome): string {
  const { siteTag, httpVersion, status, sizeBytes, totalMs, sendMs, complete } = outcome
  const user = request.requester?.userId ?? request.origin ?? 'None'
  return `${request.ip} - ${siteTag} - {${user}} Processed request: ${seconds(totalMs)}sec/${seconds(sendMs)}sec`
    + ` ru=(0.000sec, 0.000sec) db=(0.000sec/0.000sec/0) ${sizeBytes}B ${status}${complete ? '' : '!'}`
    + ` "${request.method} ${redacted(request.url)} HTTP/${httpVersion}" "${plain(request.userAgent)}" [0 dbevts]`
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3)
}

const secretParameter = /([?&;](?:access_token|as_token|hs_token|loginToken|login_token|token|client_secret|password)=)[^&;#]*/gi

/** A URL path and query without the secrets that it may carry. */
export function redacted(url: string): string {
  return url.includes('?') ? url.replace(secretParameter, '$1<redacted>') : url
}

/** Quotes and control characters would let a client forge log lines. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}"\\]/gu, '?')
}
