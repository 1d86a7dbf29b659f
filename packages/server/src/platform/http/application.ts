/** The router that endpoints are mounted on: it finds who serves a path, and nothing else. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import findMyWay, { type HTTPMethod, type Instance, type HTTPVersion } from 'find-my-way'
import { refuse } from '@myelin/protocol/errors.ts'
import { sendError, sendPreflight } from './send-reply.ts'

/** Parameters of the path, decoded. */
export type PathParams = Readonly<Record<string, string>>
/** Parameters behind the question mark, decoded; a repeated one is a list. */
export type QueryParams = Readonly<Record<string, string | readonly string[] | undefined>>

/** Serves a request whose path is known. */
export type RouteHandler = (request: IncomingMessage, response: ServerResponse, params: PathParams, query: QueryParams) => void

/** Longer than any request line that the listener accepts, so that the router itself never answers. */
const maxParamLength = 65_536

/** Endpoints by method and path. `HEAD` is served wherever `GET` is. */
export class Application {
  readonly #router: Instance<HTTPVersion.V1>
  #unknown: (request: IncomingMessage, response: ServerResponse) => void = refusePath

  constructor() {
    this.#router = findMyWay({
      maxParamLength,
      defaultRoute: (request, response) => this.#unknown(request, response),
      onBadUrl: (_path, request, response) => refusePath(request, response),
    })
  }

  /** Adds a route. @throws where method and path have one already */
  route(method: HTTPMethod, path: string, handler: RouteHandler): void {
    const methods: HTTPMethod[] = method === 'GET' ? ['GET', 'HEAD'] : [method]
    this.#router.on(methods, path, (request, response, params, _store, query) => handler(request, response, definedOnly(params), query))
  }

  /** Says who answers where no route does. */
  otherwise(handler: (request: IncomingMessage, response: ServerResponse) => void): void {
    this.#unknown = handler
  }

  /** Serves a request; to be handed to a server. */
  readonly routing = (request: IncomingMessage, response: ServerResponse): void => {
    this.#router.lookup(request, response)
  }
}

/** The router's type allows for parameters without a value. */
function definedOnly(params: Readonly<Record<string, string | undefined>>): PathParams {
  const defined: Record<string, string> = {}
  for (const [name, value] of Object.entries(params)) if (value !== undefined) defined[name] = value
  return defined
}

/** A URL whose path is not valid percent-encoded UTF-8. */
function refusePath(request: IncomingMessage, response: ServerResponse): void {
  if (request.method === 'OPTIONS') {
    sendPreflight(response)
    return
  }
  const refusal = refuse('M_INVALID_PARAM', 'The path of the URL is not valid percent-encoded UTF-8.')
  void sendError(response, refusal, { gzip: false, close: false, sizeBytes: 0 })
}
