/**
 * Starts the configured listeners, renews their certificates and stops them without losing a request.
 *
 * Spec: Synapse's configuration manual, "listeners".
 */
import { readFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import { Server as HttpsServer, createServer as createHttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Logger } from '#platform/log/logger.ts'
import type { Metrics } from '#platform/metrics/metrics.ts'
import { Application } from './application.ts'
import type { Endpoint, NeedsOf } from './endpoint.ts'
import { HttpMetrics } from './http-metrics.ts'
import { ListenError, listenOnPort, listenOnSocket } from './listening.ts'
import type { ListeningAddress } from './listening.ts'
import { metricsEndpoint, metricsHandler } from './metrics-endpoint.ts'
import { mountEndpoints } from './mount.ts'
import type { MountOptions } from './mount.ts'
import { resourceOf, withImplied } from './resources.ts'
import type { ResourceName } from './resources.ts'
import { ActiveRequests } from './served-request.ts'

type Maybe<T> = T | null | undefined

/** One entry of the option `listeners`, as the configuration gives it. */
export interface ListenerConfig {
  readonly port?: Maybe<number>
  readonly path?: Maybe<string>
  readonly mode?: Maybe<number>
  readonly tag?: Maybe<string>
  readonly bind_addresses?: Maybe<readonly string[]>
  readonly bind_address?: Maybe<string>
  readonly type: 'http' | 'manhole' | 'metrics'
  readonly tls: boolean
  readonly x_forwarded: boolean
  readonly request_id_header?: Maybe<string>
  readonly resources: readonly { readonly names: readonly ResourceName[], readonly compress: boolean }[]
}

/** What listeners are started with. */
export interface ListenersOptions<E extends Endpoint> extends Pick<MountOptions, 'authenticate' | 'authenticateServer' | 'paceServer' | 'limits'> {
  readonly listeners: readonly ListenerConfig[]
  readonly endpoints: readonly E[]
  readonly needs: NeedsOf<E>
  /** Logger of a name, such as `synapse.access.http.8008`. */
  readonly logger: (name: string) => Logger
  readonly metrics: Metrics
  /** Whether `/_synapse/metrics` is served where a listener asks for it (`enable_metrics`). */
  readonly exposeMetrics: boolean
  /** PEM files for listeners with `tls: true`. */
  readonly certificatePath?: Maybe<string>
  readonly privateKeyPath?: Maybe<string>
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

const serverOptions: ServerOptions = {
  /** Longer than the idle time of reverse proxies, so that they and not the server close a connection. */
  keepAliveTimeout: 72_000,
  headersTimeout: 60_000,
  /** Time to receive a whole request; a slow link may need long for an upload. */
  requestTimeout: 900_000,
  maxHeaderSize: 32 * 1024,
}

/** All open listeners of a process. */
export class Listeners {
  readonly #servers: Server[] = []
  readonly #active = new ActiveRequests()
  readonly #addresses: ListeningAddress[] = []
  readonly #readCertificate: () => Promise<{ cert: Buffer, key: Buffer }>

  private constructor(readCertificate: () => Promise<{ cert: Buffer, key: Buffer }>) {
    this.#readCertificate = readCertificate
  }

  /** Opens all listeners; on failure those that were opened are closed again. Throws `ListenError`. */
  static async start<E extends Endpoint>(options: ListenersOptions<E>): Promise<Listeners> {
    const started = new Listeners(() => readCertificate(options))
    const httpMetrics = new HttpMetrics(options.metrics)
    try {
      for (const config of options.listeners) await started.#open(config, options, httpMetrics)
    } catch (error) {
      await started.close(0)
      throw error
    }
    return started
  }

  /** Where the listeners are reached, in the order of the configuration. */
  get addresses(): readonly ListeningAddress[] {
    return this.#addresses
  }

  /** Reads the certificate files again; new connections use them. On failure the old ones stay and the error is thrown. */
  async reload(): Promise<void> {
    const secure = this.#servers.filter((server) => server instanceof HttpsServer)
    if (secure.length === 0) return
    const certificate = await this.#readCertificate()
    for (const server of secure) server.setSecureContext(certificate)
  }

  /**
   * Stops: no new connections, waiting requests are woken, all get their answer, and what is left after `timeoutMs` is cut.
   */
  async close(timeoutMs = 4000): Promise<void> {
    const closed = Promise.all(this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
    const deadline = new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref())
    await Promise.race([this.#active.drain(), deadline])
    for (const server of this.#servers) server.closeIdleConnections()
    await Promise.race([closed, deadline])
    for (const server of this.#servers) server.closeAllConnections()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #open<E extends Endpoint>(config: ListenerConfig, options: ListenersOptions<E>, httpMetrics: HttpMetrics): Promise<void> {
    const logger = options.logger('synapse.http.server')
    if (config.type === 'manhole') {
      logger.warn('The listener of type manhole is not opened: this server has no debug shell.')
      return
    }
    const handler = config.type === 'metrics' ? metricsHandler(options.metrics) : await this.#application(config, options, httpMetrics)
    const certificate = config.tls ? await this.#readCertificate() : undefined
    const makeServer = (): Server => serverOf(handler, certificate)
    if (typeof config.path === 'string') {
      const server = makeServer()
      this.#addresses.push(await listenOnSocket(server, config.path, config.mode ?? 0o666))
      this.#servers.push(server)
      logger.info(`Listening on the unix socket ${config.path}`)
      return
    }
    if (typeof config.port !== 'number') throw new ListenError('A listener has neither `port` nor `path`; give it one of them.')
    const opened = await listenOnPort({ port: config.port, addresses: bindAddresses(config), makeServer, logger })
    this.#servers.push(...opened.servers)
    this.#addresses.push(...opened.addresses)
    for (const { host, port } of opened.addresses) logger.info(`Listening on ${host} port ${port}${config.tls ? ' with TLS' : ''}`)
  }

  async #application<E extends Endpoint>(config: ListenerConfig, options: ListenersOptions<E>, metrics: HttpMetrics): Promise<Handler> {
    const siteTag = config.tag ?? config.path ?? String(config.port)
    const names = withImplied(config.resources.flatMap((resource) => resource.names))
    const shared: MountOptions = {
      authenticate: options.authenticate,
      ...(options.authenticateServer === undefined ? {} : { authenticateServer: options.authenticateServer }),
      ...(options.paceServer === undefined ? {} : { paceServer: options.paceServer }),
      limits: options.limits,
      metrics,
      logger: options.logger('synapse.http.server'),
      accessLogger: options.logger(`synapse.access.http${config.tls ? 's' : ''}.${siteTag}`),
      active: this.#active,
      ownEndpoints: options.exposeMetrics && names.has('metrics') ? [metricsEndpoint(options.metrics)] : [],
      listener: {
        siteTag,
        xForwarded: config.x_forwarded,
        requestIdHeader: config.request_id_header?.toLowerCase(),
        compress: config.resources.some((resource) => resource.compress),
      },
    }
    const application = new Application()
    mountEndpoints(application, options.endpoints.filter((each) => names.has(resourceOf(each))), options.needs, shared)
    return application.routing
  }
}

function bindAddresses({ bind_addresses, bind_address }: ListenerConfig): readonly string[] {
  if (typeof bind_address === 'string' && bind_address !== '') return [bind_address]
  const addresses = (bind_addresses ?? []).map((address) => (address === '' ? '0.0.0.0' : address))
  return addresses.length > 0 ? addresses : ['::', '0.0.0.0']
}

function serverOf(handler: Handler, certificate: { cert: Buffer, key: Buffer } | undefined): Server {
  const server = certificate === undefined
    ? createHttpServer(serverOptions, handler)
    : createHttpsServer({ ...serverOptions, ...certificate, minVersion: 'TLSv1.2' }, handler)
  server.on('clientError', refuseBrokenRequest)
  return server
}

const statusLines: ReadonlyMap<string, string> = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
])

/** Answers what is not HTTP, has too long headers, or took too long. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const body = '{"errcode":"M_UNKNOWN","error":"The request is not valid HTTP, too long or too slow."}'
  const status = statusLines.get(error.code ?? '') ?? '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
}

async function readCertificate(
  { certificatePath, privateKeyPath }: { certificatePath?: Maybe<string>, privateKeyPath?: Maybe<string> },
): Promise<{ cert: Buffer, key: Buffer }> {
  if (typeof certificatePath !== 'string' || typeof privateKeyPath !== 'string') {
    throw new ListenError('A listener has `tls: true`, but `tls_certificate_path` and `tls_private_key_path` are not both set.')
  }
  const read = (path: string, option: string): Promise<Buffer> => readFile(path).catch((error: unknown) => {
    throw new ListenError(`Cannot read ${path}, given by \`${option}\`. Is the path right, and may the server read it?`, { cause: error })
  })
  return { cert: await read(certificatePath, 'tls_certificate_path'), key: await read(privateKeyPath, 'tls_private_key_path') }
}
