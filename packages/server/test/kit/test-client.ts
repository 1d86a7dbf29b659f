/** A client of a test server: short paths, and promises that say what they expect. */
import assert from 'node:assert/strict'

/** What came back. */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: Readonly<Record<string, unknown>>
}

/** One exchange, as the contract check sees it. */
export interface Observed {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly contentType: string
  readonly body: unknown
}

interface ClientOptions {
  readonly url: string
  readonly userId?: string
  readonly token?: string
  readonly deviceId?: string
  readonly observe?: (exchange: Observed) => void
}

/** A request on its way; nothing is asserted until one of the methods is awaited. */
export class Sent implements PromiseLike<Reply> {
  readonly #reply: Promise<Reply>
  readonly #what: string

  constructor(what: string, reply: Promise<Reply>) {
    this.#what = what
    this.#reply = reply
  }

  then<A = Reply, B = never>(fulfilled?: ((reply: Reply) => A | PromiseLike<A>) | null, rejected?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    return this.#reply.then(fulfilled, rejected)
  }

  /** Expects a status of the 200 class and gives the body. */
  async ok(): Promise<Readonly<Record<string, unknown>>> {
    const reply = await this.#reply
    assert.ok(reply.status >= 200 && reply.status < 300, `${this.#what} answered ${reply.status}: ${reply.text.slice(0, 500)}`)
    return reply.body
  }

  /** Expects a refusal and gives the body. */
  async fails(status: number, errcode: string): Promise<Readonly<Record<string, unknown>>> {
    const reply = await this.#reply
    assert.equal(`${reply.status} ${String(reply.body['errcode'])}`, `${status} ${errcode}`, `${this.#what} answered ${reply.status}: ${reply.text.slice(0, 500)}`)
    assert.equal(typeof reply.body['error'], 'string')
    return reply.body
  }
}

export class TestClient {
  readonly #options: ClientOptions

  constructor(options: ClientOptions) {
    this.#options = options
  }

  get userId(): string {
    return this.#options.userId ?? ''
  }

  get token(): string {
    return this.#options.token ?? ''
  }

  get deviceId(): string {
    return this.#options.deviceId ?? ''
  }

  /** The same client with another token. */
  withToken(token: string): TestClient {
    return new TestClient({ ...this.#options, token })
  }

  /** The same client at another address, as after a restart. */
  at(url: string): TestClient {
    return new TestClient({ ...this.#options, url })
  }

  get(path: string, init: RequestInit = {}): Sent {
    return this.send('GET', path, undefined, init)
  }

  post(path: string, body?: unknown, init: RequestInit = {}): Sent {
    return this.send('POST', path, body, init)
  }

  put(path: string, body?: unknown, init: RequestInit = {}): Sent {
    return this.send('PUT', path, body, init)
  }

  delete(path: string, body?: unknown, init: RequestInit = {}): Sent {
    return this.send('DELETE', path, body, init)
  }

  /**
   * Sends a request.
   * @param path below `/_matrix/client/v3`, or from the root where it begins with `/_` or `/.`
   * @param body is sent as JSON; a string or bytes as they are
   */
  send(method: string, path: string, body?: unknown, init: RequestInit = {}): Sent {
    const full = path.startsWith('/_') || path.startsWith('/.') || path === '/' || path === '/health' ? path : `/_matrix/client/v3${path}`
    return new Sent(`${method} ${path}`, this.#fetch(method, full, body, init))
  }

  async #fetch(method: string, path: string, body: unknown, init: RequestInit): Promise<Reply> {
    const headers = new Headers(init.headers)
    if (this.#options.token !== undefined && !headers.has('authorization')) headers.set('authorization', `Bearer ${this.#options.token}`)
    const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array
    if (!raw && !headers.has('content-type')) headers.set('content-type', 'application/json')
    const payload = raw ? (body instanceof Uint8Array ? new Uint8Array(body) : body) : JSON.stringify(body)
    const response = await fetch(this.#options.url + path, { redirect: 'manual', ...init, method, headers, ...(payload === undefined ? {} : { body: payload }) })
    const text = await response.text()
    const contentType = response.headers.get('content-type') ?? ''
    const parsed: unknown = contentType.startsWith('application/json') && text !== '' ? JSON.parse(text) : {}
    this.#options.observe?.({ method, path, status: response.status, contentType, body: parsed })
    const object = typeof parsed === 'object' && parsed !== null ? Object.fromEntries(Object.entries(parsed)) : {}
    return { status: response.status, headers: response.headers, text, body: object }
  }
}
