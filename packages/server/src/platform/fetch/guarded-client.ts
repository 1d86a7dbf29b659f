/** The one client for requests to other servers: addresses, redirects, size, time and decompression are bounded. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { Agent, ProxyAgent, request as send } from 'undici'
import type { Dispatcher } from 'undici'
import { ForbiddenAddress, guardedConnector, permittedAddresses, systemResolve } from './guarded-lookup.ts'
import type { Resolve, TlsSettings } from './guarded-lookup.ts'
import type { AddressPolicy } from './ip-ranges.ts'
import { Proxies } from './proxies.ts'
import type { ProxySettings } from './proxies.ts'
import { RemoteError } from './remote-error.ts'
import type { RemoteFailure } from './remote-error.ts'
import type { RequestMetrics } from './request-metrics.ts'

/** One request to another server. */
export interface FetchOptions {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  /** `authorization` and `cookie` are not sent on to another origin by a redirect. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** For the whole exchange with all redirects, until the last byte of the body. Default 30 s. */
  readonly timeoutMs?: number
  /** Largest body, after decompression. Default 10 MiB. */
  readonly maxBytes?: number
  /** Redirects that are followed; 0 (the default) answers the redirect itself. */
  readonly maxRedirects?: number
  /** Which addresses it may reach, instead of the client's own policy. */
  readonly policy?: AddressPolicy
  /** Gives up early. */
  readonly signal?: AbortSignal
}

/** The head of an answer, and its body as a stream. */
export interface RemoteAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders
  /** Where the answer came from, after redirects. */
  readonly url: URL
  /** Decompressed. Reading throws `RemoteError` past the limits of size and time; leaving the loop closes the connection. */
  readonly body: AsyncIterable<Buffer>
  /** Gives the body up. */
  discard(): void
}

/** An answer that was read completely. */
export interface RemoteContent extends Pick<RemoteAnswer, 'status' | 'headers' | 'url'> {
  readonly body: Buffer
}

interface Hop {
  readonly url: URL
  readonly method: string
  readonly headers: Record<string, string>
  readonly body: string | Buffer | undefined
}

const redirectStatuses = new Set([301, 302, 303, 307, 308])
const connectTimeoutMs = 10_000

/** Connections are pooled per policy, so that one policy's connection never serves another's request. */
interface Pools {
  readonly direct: Agent
  readonly proxied: Map<string, ProxyAgent>
}

/** Requests to other servers. All failures are `RemoteError`. */
export class GuardedClient {
  readonly #policy: AddressPolicy
  readonly #proxies: Proxies
  readonly #userAgent: string
  readonly #tls: TlsSettings
  readonly #resolve: Resolve
  readonly #pools = new Map<AddressPolicy, Pools>()
  readonly #metrics: RequestMetrics | undefined

  /**
   * @param policy of all requests that bring none
   * @param resolve name resolution; the system's by default
   */
  constructor({ policy, proxies, userAgent, tls = {}, resolve = systemResolve, metrics }: {
    policy: AddressPolicy, proxies: ProxySettings, userAgent: string, tls?: TlsSettings, resolve?: Resolve, metrics?: RequestMetrics,
  }) {
    this.#policy = policy
    this.#proxies = new Proxies(proxies)
    this.#userAgent = userAgent
    this.#tls = tls
    this.#resolve = resolve
    this.#metrics = metrics
  }

  /** Sends a request and reads the whole answer, whatever its status. */
  async fetch(url: string | URL, options: FetchOptions = {}): Promise<RemoteContent> {
    const { status, headers, url: from, body } = await this.open(url, options)
    const chunks: Buffer[] = []
    for await (const chunk of body) chunks.push(chunk)
    return { status, headers, url: from, body: Buffer.concat(chunks) }
  }

  /** Sends a request and answers as soon as the head of the answer is there. */
  async open(url: string | URL, options: FetchOptions = {}): Promise<RemoteAnswer> {
    const { method = 'GET', headers = {}, body, timeoutMs = 30_000, maxRedirects = 0 } = options
    const deadline = AbortSignal.timeout(timeoutMs)
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal])
    let hop: Hop = { url: parsed(url), method, headers: this.#headersOf(headers), body }
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#hop(hop, options, signal)
      const { location } = answer.headers
      if (!redirectStatuses.has(answer.statusCode) || typeof location !== 'string' || maxRedirects === 0) {
        return answerOf(answer, hop.url, options.maxBytes ?? 10 * 1024 * 1024)
      }
      discard(answer.body)
      if (redirects === maxRedirects) throw new RemoteError('redirects', hop.url.href, `More than ${maxRedirects} redirects.`)
      hop = nextHop(hop, answer.statusCode, location)
    }
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    const all = [...this.#pools.values()].flatMap(({ direct, proxied }) => [direct, ...proxied.values()])
    this.#pools.clear()
    await Promise.all(all.map((dispatcher) => dispatcher.destroy()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #hop(
    { url, method, headers, body }: Hop, { policy = this.#policy }: FetchOptions, signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    this.#metrics?.sent(method)
    try {
      const dispatcher = await this.#dispatcher(url, policy)
      signal.throwIfAborted()
      const answer = await send(url, {
        dispatcher, method, headers, signal, ...(body === undefined ? {} : { body }), headersTimeout: 0, bodyTimeout: 0,
      })
      this.#metrics?.answered(method, answer.statusCode)
      return answer
    } catch (error) {
      throw remoteError(error, url.href)
    }
  }

  #headersOf(given: Readonly<Record<string, string>>): Record<string, string> {
    const headers: Record<string, string> = { 'user-agent': this.#userAgent, 'accept-encoding': 'gzip, deflate, br' }
    for (const [name, value] of Object.entries(given)) headers[name.toLowerCase()] = value
    return headers
  }

  async #dispatcher(url: URL, policy: AddressPolicy): Promise<Dispatcher> {
    const pools = this.#poolsOf(policy)
    const proxy = this.#proxies.proxyFor(url)
    if (proxy === undefined) return pools.direct
    await this.#checkProxiedTarget(url, policy)
    const known = pools.proxied.get(proxy)
    if (known !== undefined) return known
    const agent = new ProxyAgent({ uri: proxy, proxyTunnel: false, requestTls: this.#requestTls() })
    pools.proxied.set(proxy, agent)
    return agent
  }

  /** Behind a proxy a name may be unknown here: then only the proxy can judge it. */
  async #checkProxiedTarget(url: URL, policy: AddressPolicy): Promise<void> {
    try {
      await permittedAddresses(url.hostname.replace(/^\[|\]$/g, ''), policy, this.#resolve)
    } catch (error) {
      if (error instanceof ForbiddenAddress) throw error
    }
  }

  #poolsOf(policy: AddressPolicy): Pools {
    const known = this.#pools.get(policy)
    if (known !== undefined) return known
    const direct = new Agent({ connect: guardedConnector(policy, this.#resolve, this.#tls, connectTimeoutMs), connections: 32 })
    const pools = { direct, proxied: new Map<string, ProxyAgent>() }
    this.#pools.set(policy, pools)
    return pools
  }

  #requestTls(): { ca?: string | Buffer[], minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3', rejectUnauthorized?: boolean } {
    const { ca, ...others } = this.#tls
    return ca === undefined ? others : { ...others, ca: typeof ca === 'string' ? ca : [...ca] }
  }
}

function parsed(url: string | URL, base?: URL): URL {
  const text = String(url)
  if (!URL.canParse(text, base)) throw new RemoteError('bad-answer', text, 'The URL cannot be parsed.')
  const result = new URL(text, base)
  if (result.protocol !== 'http:' && result.protocol !== 'https:') {
    throw new RemoteError('forbidden-address', result.href, `URLs of the scheme ${result.protocol} are not fetched.`)
  }
  return result
}

/** The request that follows a redirect; secrets stay with the origin that they were meant for. */
function nextHop(hop: Hop, status: number, location: string): Hop {
  const url = parsed(location, hop.url)
  const headers = { ...hop.headers }
  if (url.origin !== hop.url.origin) {
    delete headers['authorization']
    delete headers['cookie']
    delete headers['host']
  }
  const becomesGet = hop.method !== 'HEAD' && (status === 303 || ((status === 301 || status === 302) && hop.method === 'POST'))
  if (!becomesGet) return { ...hop, url, headers }
  delete headers['content-type']
  delete headers['content-length']
  return { url, headers, method: 'GET', body: undefined }
}

function answerOf(answer: Dispatcher.ResponseData, url: URL, maxBytes: number): RemoteAnswer {
  const announced = Number(answer.headers['content-length'] ?? 0)
  if (announced > maxBytes) {
    discard(answer.body)
    throw tooLarge(url, maxBytes)
  }
  const plain = decoded(answer.body, String(answer.headers['content-encoding'] ?? ''), url)
  return {
    status: answer.statusCode,
    headers: answer.headers,
    url,
    body: limited(plain, url, maxBytes),
    discard: () => discard(plain),
  }
}

/** Ends a body that nobody reads on; its connection is closed. */
function discard(body: Readable): void {
  body.on('error', () => body.destroy())
  body.destroy()
}

/** The body without its content encoding; more than one encoding is refused. */
function decoded(body: Readable, encoding: string, url: URL): Readable {
  const name = encoding.trim().toLowerCase()
  if (name === '' || name === 'identity') return body
  const decoder = decoderOf(name)
  if (decoder === undefined) {
    discard(body)
    throw new RemoteError('bad-answer', url.href, `The answer has the unknown content encoding '${name.slice(0, 40)}'.`)
  }
  return pipeline(body, decoder, () => undefined)
}

function decoderOf(encoding: string): ReturnType<typeof createGunzip> | ReturnType<typeof createBrotliDecompress> | undefined {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip': return createGunzip()
    case 'deflate': return createInflate()
    case 'br': return createBrotliDecompress()
    default: return undefined
  }
}

async function* limited(body: Readable, url: URL, maxBytes: number): AsyncGenerator<Buffer> {
  let sizeBytes = 0
  try {
    for await (const chunk of body) {
      if (!Buffer.isBuffer(chunk)) throw new TypeError('the body of an answer is not bytes')
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) throw tooLarge(url, maxBytes)
      yield chunk
    }
  } catch (error) {
    throw remoteError(error, url.href)
  } finally {
    discard(body)
  }
}

function tooLarge(url: URL, maxBytes: number): RemoteError {
  return new RemoteError('too-large', url.href, `The answer is larger than the ${maxBytes} bytes that are read.`)
}

const failures: readonly (readonly [RegExp, RemoteFailure])[] = [
  [/TIMEOUT|ETIMEDOUT|TimeoutError/, 'timeout'],
  [/^(ENOTFOUND|EAI_)/, 'unknown-host'],
  [/^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|UND_ERR_PRX_TLS)/, 'tls'],
  [/HTTPParserError|^(HPE_|Z_|ERR_BROTLI|ERR_BUFFER|ERR__ERROR|ERR_PADDING|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES)/, 'bad-answer'],
  [/abort/i, 'aborted'],
]

function remoteError(error: unknown, url: string): RemoteError {
  if (error instanceof RemoteError) return error
  const cause = causeOf(error)
  if (cause instanceof ForbiddenAddress) return new RemoteError('forbidden-address', url, cause.message, error)
  const sign = cause instanceof Error ? `${'code' in cause ? String(cause.code) : ''} ${cause.name}` : ''
  const failure = failures.find(([pattern]) => pattern.test(sign))?.[1] ?? 'connection'
  const { host } = new URL(url)
  return new RemoteError(failure, url, `The request to ${host} failed: ${cause instanceof Error ? cause.message : String(cause)}`, error)
}

/** The first error of several attempts to connect says what is wrong. */
function causeOf(error: unknown): unknown {
  return error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error
}
