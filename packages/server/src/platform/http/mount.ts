/**
 * Turns endpoint declarations into routes: authenticate → rate-limit → validate → handler → answer.
 *
 * Spec: client-server API, "API Standards", "Standard error response", "Rate limiting", "Web Browser Clients".
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { isObject, type JsonObject } from '@myelin/protocol/json/json.ts'
import { parseJsonBytes } from '@myelin/protocol/json/parse.ts'
import { StorageError } from '#platform/db/database.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { addressKey } from '#platform/limits/address-key.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import { runWithLogContext } from '#platform/log/context.ts'
import type { Logger } from '#platform/log/logger.ts'
import { redacted } from './access-log.ts'
import { assertMayCall, single, tokenOf } from './credentials.ts'
import { pathsOf } from './endpoint.ts'
import type { Endpoint, NeedsOf } from './endpoint.ts'
import type { Application, PathParams as Params, QueryParams as Query } from './application.ts'
import { Exchange } from './exchange.ts'
import type { HttpMetrics } from './http-metrics.ts'
import { ClientGone, parseJsonObject, readBody } from './json-body.ts'
import { KnownPaths } from './known-paths.ts'
import { RequestOrigins } from './request-origin.ts'
import type { ListenerContext } from './request-origin.ts'
import type { Authenticator, Requester, ServerAuthenticator, ServerPace } from './requester.ts'
import { sendError, sendPreflight, sendReply } from './send-reply.ts'
import { ActiveRequests, RequestAborted, ServedRequest } from './served-request.ts'
import { checkOf } from './validation.ts'
import type { Check } from './validation.ts'

/** What serving needs besides the endpoints' own needs. */
export interface MountOptions {
  readonly authenticate: Authenticator
  /** Needed only when an endpoint with `auth: 'server'` is mounted. */
  readonly authenticateServer?: ServerAuthenticator
  /** Makes requests of servers wait; without, none does. */
  readonly paceServer?: ServerPace
  readonly limits: Pick<RateLimits, 'consume'>
  /** Logger of this layer, `synapse.http.server`. */
  readonly logger: Logger
  /** Logger of the access lines, `synapse.access.http.<port>`. */
  readonly accessLogger?: Logger
  readonly metrics?: HttpMetrics
  readonly listener?: ListenerContext
  /** Shared with the listener, which drains it when the server stops. */
  readonly active?: ActiveRequests
  /** Endpoints of the platform itself, which need nothing, mounted beside the others. */
  readonly ownEndpoints?: readonly Endpoint<unknown>[]
}

const plainListener: ListenerContext = { siteTag: 'http', xForwarded: false, requestIdHeader: undefined, compress: false }
const defaultBodyBytes = 1024 * 1024

/** A declaration with what was prepared for it. */
interface Route {
  readonly endpoint: Endpoint<unknown>
  readonly servlet: string
  readonly params: Check | undefined
  readonly query: Check | undefined
  readonly body: Check | undefined
  readonly takesBody: boolean
  /** Last path parameter that may be absent. */
  readonly optionalParam: string | undefined
}

/**
 * Mounts every endpoint at all of its paths.
 *
 * Unknown paths answer 404 and wrong methods 405, both `M_UNRECOGNIZED`; `OPTIONS` answers 204 everywhere.
 * Throws at start-up when two endpoints claim the same method and path.
 */
export function mountEndpoints<E extends Endpoint>(
  application: Application, endpoints: readonly E[], needs: NeedsOf<E>, options: MountOptions,
): void {
  const server = new EndpointServer(options)
  const known = new KnownPaths()
  for (const endpoint of [...endpoints, ...(options.ownEndpoints ?? [])]) {
    const route = routeOf(endpoint)
    for (const url of new Set(pathsOf(endpoint).flatMap(spellings))) {
      known.add(url)
      application.route(endpoint.method, url, (request, response, params, query) => server.serve(route, needs, request, response, params, query))
    }
  }
  application.otherwise((request, response) => server.refuseUnknown(request, response, known))
}

/** The router's patterns for a path with an optional last parameter or a trailing slash. */
function spellings(path: string): string[] {
  if (path.endsWith('?')) {
    const short = path.slice(0, path.lastIndexOf('/'))
    return [short, path.slice(0, -1)]
  }
  return path.length > 1 && path.endsWith('/') ? [path, path.slice(0, -1)] : [path]
}

function routeOf(endpoint: Endpoint<unknown>): Route {
  const { params, query, body, bodyKind, path } = endpoint
  const optional = path.endsWith('?') ? path.slice(path.lastIndexOf(':') + 1, -1) : undefined
  return {
    endpoint,
    servlet: endpoint.servlet ?? endpoint.id,
    params: params === undefined ? undefined : checkOf(params, 'path'),
    query: query === undefined ? undefined : checkOf(query, 'query'),
    body: body === undefined ? undefined : checkOf(body, 'body'),
    takesBody: bodyKind !== 'raw' && (bodyKind !== undefined || body !== undefined),
    optionalParam: optional,
  }
}

/** Serves the endpoints of one listener. */
class EndpointServer {
  readonly #options: MountOptions
  readonly #listener: ListenerContext
  readonly #origins: RequestOrigins
  readonly #active: ActiveRequests

  constructor(options: MountOptions) {
    this.#options = options
    this.#listener = options.listener ?? plainListener
    this.#origins = new RequestOrigins(this.#listener, options.logger)
    this.#active = options.active ?? new ActiveRequests()
  }

  /** Serves one request from its first header to its last byte; never throws. */
  serve(route: Route, needs: unknown, raw: IncomingMessage, response: ServerResponse, params: Params, query: Query): void {
    const request = new ServedRequest(raw, this.#origins.of(raw), params, query)
    const exchange = this.#exchange(route.servlet, request, raw, response)
    this.#active.add(request)
    void runWithLogContext({ request: request.requestId }, () => this.#answer(route, needs, exchange, params, query))
  }

  /** Answers `OPTIONS`, wrong methods and unknown paths. */
  refuseUnknown(raw: IncomingMessage, response: ServerResponse, known: KnownPaths): void {
    if (raw.method === 'OPTIONS') {
      sendPreflight(response)
      return
    }
    const request = new ServedRequest(raw, this.#origins.of(raw), undefined, undefined)
    const exchange = this.#exchange('UnrecognizedRequest', request, raw, response)
    const [path = ''] = request.url.split('?', 1)
    exchange.answered()
    void sendError(response, known.has(path) ? wrongMethod(request.method) : unknownPath(), exchange.sending)
  }

  #exchange(servlet: string, request: ServedRequest, raw: IncomingMessage, response: ServerResponse): Exchange {
    const gzip = this.#listener.compress && /\bgzip\b/.test(String(raw.headers['accept-encoding'] ?? ''))
    const exchange = new Exchange(servlet, request, raw, response, { gzip, close: this.#active.draining, sizeBytes: 0 })
    this.#options.metrics?.received(exchange.labels)
    response.on('close', () => {
      if (!response.writableFinished) request.abort('client')
      this.#active.delete(request)
      this.#options.metrics?.served(exchange.labels, String(exchange.status), exchange.totalMs / 1000, exchange.sending.sizeBytes)
      if (request.url !== '/health') {
        this.#options.accessLogger?.info(exchange.accessLine(this.#listener.siteTag), { request: request.requestId })
      }
    })
    return exchange
  }

  async #answer(route: Route, needs: unknown, exchange: Exchange, params: Params, query: Query): Promise<void> {
    const { request, raw, response } = exchange
    try {
      const reply = await this.#handle(route, needs, request, raw, params, query)
      exchange.answered()
      exchange.sending.close = this.#active.draining
      if (!response.destroyed) await sendReply(response, reply, exchange.sending)
    } catch (error) {
      exchange.answered()
      exchange.sending.close = this.#active.draining
      await this.#fail(error, exchange)
    } finally {
      request.leave?.()
    }
  }

  async #handle(
    route: Route, needs: unknown, request: ServedRequest, raw: IncomingMessage, params: Params, query: Query,
  ): Promise<unknown> {
    const { endpoint } = route
    const path = completeParams(params, route.optionalParam)
    if (endpoint.auth === 'server') {
      await this.#authenticateServer(route, request, raw)
    } else {
      if (endpoint.auth !== 'none') await this.#authenticate(endpoint, request, query)
      this.#limit(endpoint, request)
      if (route.takesBody) request.body = await bodyOf(endpoint, raw)
    }
    if (endpoint.bodyKind === 'raw') request.stream = raw
    request.params = route.params === undefined ? path : route.params(path)
    if (route.query !== undefined) request.query = route.query(query)
    if (route.body !== undefined) request.body = route.body(request.body)
    return endpoint.handler(needs, request)
  }

  async #authenticate(endpoint: Endpoint<unknown>, request: ServedRequest, query: Query): Promise<void> {
    const token = tokenOf(request.headers, query)
    if (token === undefined) {
      if (endpoint.auth === 'optional') return
      throw refuse('M_MISSING_TOKEN', 'This endpoint needs an access token.')
    }
    const requester = await this.#options.authenticate({
      token,
      userId: single(query, 'user_id'),
      deviceId: single(query, 'device_id') ?? single(query, 'org.matrix.msc3202.device_id'),
      ip: request.ip,
      userAgent: request.userAgent,
    })
    request.requester = requester
    assertMayCall(requester, endpoint)
  }

  async #authenticateServer(route: Route, request: ServedRequest, raw: IncomingMessage): Promise<void> {
    const { authenticateServer, paceServer } = this.#options
    if (authenticateServer === undefined) throw new Error(`${route.endpoint.id} is mounted without authenticateServer`)
    const content = route.takesBody ? await signedBodyOf(route.endpoint, raw) : undefined
    request.body = content
    request.origin = await authenticateServer({ authorization: request.headers.authorization ?? '', method: request.method, uri: request.url, content })
    request.leave = await paceServer?.(request.origin, request.signal)
  }

  #limit({ limit }: Endpoint<unknown>, { requester, ip }: ServedRequest): void {
    if (limit === 'none' || limit.by === 'service' || requester?.rateLimited === false) return
    this.#options.limits.consume(limit.rc, limitKey(limit.by, requester, ip))
  }

  #fail(error: unknown, { request, response, sending }: Exchange): void | Promise<void> {
    if (response.destroyed || error instanceof ClientGone) return
    if (response.headersSent) {
      this.#logFailure(error, request)
      response.destroy()
      return
    }
    return sendError(response, this.#refusalOf(error, request), sending)
  }

  /** What the client gets to know of an error: a bug's text is logged and never sent. */
  #refusalOf(error: unknown, request: ServedRequest): MatrixError {
    const fields = { request: request.requestId }
    if (error instanceof MatrixError) {
      this.#options.logger.info(`Refused with ${error.status} ${error.errcode}: ${error.message}`, fields)
      return error
    }
    if (error instanceof RemoteError) {
      this.#options.logger.info(`Remote failure: ${error.message}`, fields)
      return error.timedOut
        ? refuse('M_CONNECTION_TIMEOUT', 'The remote server did not answer in time.')
        : refuse('M_CONNECTION_FAILED', 'The remote server could not be reached or gave no usable answer.')
    }
    if (error instanceof StorageError) {
      this.#logFailure(error, request)
      return new MatrixError(503, 'M_UNKNOWN', `The server cannot store data at the moment; try again later. ${error.message}`)
    }
    if (error instanceof RequestAborted) return new MatrixError(503, 'M_UNKNOWN', error.message)
    this.#logFailure(error, request)
    return refuse('M_UNKNOWN', `Internal server error. The server's log has the details under ${request.requestId}.`)
  }

  #logFailure(error: unknown, { requestId, method, url }: ServedRequest): void {
    this.#options.logger.error(`Failed to serve ${method} ${redacted(url)}`, { request: requestId, error })
  }
}

/** Refuses empty path segments; an optional last parameter that is absent becomes ''. */
function completeParams(params: Params, optional: string | undefined): Params {
  for (const name in params) if (params[name] === '' && name !== optional) throw unknownPath()
  return optional === undefined || params[optional] !== undefined ? params : { ...params, [optional]: '' }
}

/** Reads and parses the body of an endpoint that takes JSON. */
async function bodyOf({ bodyKind, maxBodyBytes = defaultBodyBytes }: Endpoint<unknown>, raw: IncomingMessage): Promise<unknown> {
  const bytes = await readBody(raw, maxBodyBytes)
  return bytes.length === 0 && bodyKind === 'optional-json' ? {} : parseJsonObject(bytes)
}

/** As `bodyOf`, for a signed request: numbers keep the text that the signature covers. Undefined where a body is optional and absent. */
async function signedBodyOf({ bodyKind, maxBodyBytes = defaultBodyBytes }: Endpoint<unknown>, raw: IncomingMessage): Promise<JsonObject | undefined> {
  const bytes = await readBody(raw, maxBodyBytes)
  if (bytes.length === 0 && bodyKind === 'optional-json') return undefined
  const parsed = parseJsonBytes(bytes)
  if ('reason' in parsed) throw refuse(parsed.errcode, `${parsed.reason}.`)
  if (!isObject(parsed.value)) throw refuse('M_BAD_JSON', 'The request body must be a JSON object.')
  return parsed.value
}

function limitKey(by: 'user' | 'device' | 'address', requester: Requester | undefined, ip: string): string {
  if (requester === undefined || by === 'address') return addressKey(ip)
  return by === 'device' ? `${requester.userId}/${requester.deviceId ?? ''}` : requester.userId
}

function unknownPath(): MatrixError {
  return refuse('M_UNRECOGNIZED', 'There is no such endpoint on this server.')
}

function wrongMethod(method: string): MatrixError {
  return new MatrixError(405, 'M_UNRECOGNIZED', `This endpoint does not take ${method} requests.`)
}
