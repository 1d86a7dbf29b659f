/** Client address, scheme and request id, from the connection or from a reverse proxy's headers. */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Logger } from '#platform/log/logger.ts'
import type { RequestOrigin } from './served-request.ts'

/** How a listener sees its clients. */
export interface ListenerContext {
  /** Port, or the listener's tag, or the path of its unix socket; part of every access log line. */
  readonly siteTag: string
  /** A reverse proxy stands before the listener: its `X-Forwarded-*` headers are believed. */
  readonly xForwarded: boolean
  /** Header (lower case) whose value is used as request id. */
  readonly requestIdHeader: string | undefined
  /** JSON answers are compressed for clients that understand gzip. */
  readonly compress: boolean
}

/** Characters of a request id taken from a header; others would allow to forge log lines. */
const plainRequestId = /^[\x21-\x7e]{1,128}$/

/** Numbers the requests of the process and finds out where they come from. */
export class RequestOrigins {
  readonly #listener: ListenerContext
  readonly #logger: Logger
  static #count = 0

  constructor(listener: ListenerContext, logger: Logger) {
    this.#listener = listener
    this.#logger = logger
  }

  /** Reads the origin of a request. Without `x_forwarded` the forwarded headers are ignored. */
  of(request: IncomingMessage): RequestOrigin {
    const requestId = this.#requestId(request)
    const { socket, headers } = request
    const address = plainAddress(socket.remoteAddress)
    const scheme = socket instanceof TLSSocket ? 'https' : 'http'
    const forwardedFor = this.#listener.xForwarded ? first(headers['x-forwarded-for']) : undefined
    if (forwardedFor === undefined) return { ip: address, scheme, requestId }
    const ip = isIP(forwardedFor) === 0 ? address : plainAddress(forwardedFor)
    return { ip, scheme: this.#forwardedScheme(first(headers['x-forwarded-proto']), requestId), requestId }
  }

  #requestId(request: IncomingMessage): string {
    const { requestIdHeader } = this.#listener
    if (requestIdHeader !== undefined) {
      const value = first(request.headers[requestIdHeader])
      if (value !== undefined && plainRequestId.test(value)) return value
    }
    return `${request.method ?? ''}-${RequestOrigins.#count++}`
  }

  #forwardedScheme(proto: string | undefined, requestId: string): 'http' | 'https' {
    if (proto === undefined) {
      this.#logger.warn(
        'The reverse proxy sent X-Forwarded-For without X-Forwarded-Proto; https is assumed. Let the proxy send both headers.',
        { request: requestId },
      )
      return 'https'
    }
    return proto.toLowerCase() === 'http' ? 'http' : 'https'
  }
}

/** The first of the comma-separated values of a header; undefined when there is none. */
function first(value: string | string[] | undefined): string | undefined {
  const text = typeof value === 'object' ? value[0] : value
  const item = text?.split(',', 1)[0]?.trim()
  return item === '' ? undefined : item
}

/** An address without the prefix that the kernel gives IPv4 clients of an IPv6 socket; '' for unix sockets. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return ''
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
