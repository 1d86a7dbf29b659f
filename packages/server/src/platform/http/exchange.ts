/** One request and its answer: the clock and the counts that metrics and the access log read. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { accessLine } from './access-log.ts'
import type { Sending } from './send-reply.ts'
import type { ServedRequest } from './served-request.ts'

const usualMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])

/** A request that is being served. */
export class Exchange {
  readonly request: ServedRequest
  readonly raw: IncomingMessage
  readonly response: ServerResponse
  readonly sending: Sending
  /** Labels of the metrics; a client cannot make up values of them. */
  readonly labels: { readonly method: string, readonly servlet: string }
  readonly #startedAt = performance.now()
  #answeredAt: number | undefined = undefined

  constructor(servlet: string, request: ServedRequest, raw: IncomingMessage, response: ServerResponse, sending: Sending) {
    this.request = request
    this.raw = raw
    this.response = response
    this.sending = sending
    this.labels = { method: usualMethods.has(request.method) ? request.method : 'other', servlet }
  }

  /** The handler is done; from now on the answer is being sent. */
  answered(): void {
    this.#answeredAt ??= performance.now()
  }

  /** HTTP status; 499 when the client left before there was one. */
  get status(): number {
    return this.response.headersSent ? this.response.statusCode : 499
  }

  get totalMs(): number {
    return performance.now() - this.#startedAt
  }

  /** The access log line, once the connection is done with the request. */
  accessLine(siteTag: string): string {
    const now = performance.now()
    return accessLine(this.request, {
      siteTag,
      httpVersion: this.raw.httpVersion,
      status: this.status,
      sizeBytes: this.sending.sizeBytes,
      totalMs: now - this.#startedAt,
      sendMs: this.#answeredAt === undefined ? 0 : now - this.#answeredAt,
      complete: this.response.writableFinished,
    })
  }
}
