/** One request while it is served: what its handler sees, and how it is told to stop. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { EndpointRequest } from './endpoint.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Requester } from './requester.ts'

/** Why a request's signal aborted. */
export class RequestAborted extends Error {
  override readonly name = 'RequestAborted'
  /** `client`: the connection was closed. `drain`: the server is about to stop and wants an early, regular answer. */
  readonly by: 'client' | 'drain'

  constructor(by: 'client' | 'drain') {
    super(by === 'client' ? 'The client closed the connection.' : 'The server is restarting; try again in a moment.')
    this.by = by
  }
}

/** What the listener tells of a request. */
export interface RequestOrigin {
  readonly ip: string
  readonly scheme: 'http' | 'https'
  readonly requestId: string
}

/** The request as handlers see it; `mount.ts` fills its fields one after the other before the handler is called. */
export class ServedRequest implements EndpointRequest {
  requester: Requester | undefined = undefined
  origin: ServerName | undefined = undefined
  params: unknown
  query: unknown
  body: unknown = undefined
  stream: Readable | undefined = undefined
  /** Frees what the request has taken; called when it has ended. */
  leave: (() => void) | undefined = undefined
  readonly ip: string
  readonly scheme: 'http' | 'https'
  readonly requestId: string
  readonly userAgent: string
  readonly headers: IncomingHttpHeaders
  readonly method: string
  readonly url: string
  #controller: AbortController | undefined = undefined
  #aborted: RequestAborted | undefined = undefined

  constructor(raw: IncomingMessage, origin: RequestOrigin, params: unknown, query: unknown) {
    this.params = params
    this.query = query
    this.ip = origin.ip
    this.scheme = origin.scheme
    this.requestId = origin.requestId
    this.headers = raw.headers
    this.userAgent = raw.headers['user-agent'] ?? ''
    this.method = raw.method ?? ''
    this.url = raw.url ?? ''
  }

  /** Made when it is first asked for: most requests never wait. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted)
    }
    return this.#controller.signal
  }

  /** Why the request was aborted, if it was. */
  get aborted(): RequestAborted | undefined {
    return this.#aborted
  }

  /** Tells the handler to stop waiting; the first cause stays. */
  abort(by: 'client' | 'drain'): void {
    if (this.#aborted !== undefined) return
    this.#aborted = new RequestAborted(by)
    this.#controller?.abort(this.#aborted)
  }
}

/** The requests that are being served, so that a stopping server can end their waits and knows when all are done. */
export class ActiveRequests {
  readonly #requests = new Set<ServedRequest>()
  #draining = false
  #whenIdle: (() => void)[] = []

  /** Whether the server is about to stop: connections are then closed after their answer. */
  get draining(): boolean {
    return this.#draining
  }

  get size(): number {
    return this.#requests.size
  }

  add(request: ServedRequest): void {
    this.#requests.add(request)
    if (this.#draining) request.abort('drain')
  }

  delete(request: ServedRequest): void {
    this.#requests.delete(request)
    if (this.#requests.size > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  /** Aborts the wait of every request; resolves when the last one was answered. */
  drain(): Promise<void> {
    this.#draining = true
    for (const request of this.#requests) request.abort('drain')
    if (this.#requests.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenIdle.push(resolve))
  }
}
