/** Forms of a handler's answer that are not simply an object to serialise. */
import { Readable } from 'node:stream'

/** A JSON text that is sent as it is: the hot paths stitch theirs from stored fragments. */
export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Media, HTML pages, redirects, plain text: status, headers and body are the handler's. */
export class RawReply {
  readonly status: number
  /** Header names as they go over the wire; they replace the usual ones of the same (case-insensitive) name. */
  readonly headers: Readonly<Record<string, string | number | readonly string[]>>
  /** A stream is sent as it comes and destroyed when the client goes away. */
  readonly body: Buffer | string | Readable

  constructor(reply: {
    status?: number
    headers?: Readonly<Record<string, string | number | readonly string[]>>
    body?: Buffer | string | Readable
  }) {
    this.status = reply.status ?? 200
    this.headers = reply.headers ?? {}
    this.body = reply.body ?? ''
  }
}

/** An answer with a status other than 200, or with further headers. */
export class WithStatus<Value> {
  readonly status: number
  readonly value: Value
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, value: Value, headers: Readonly<Record<string, string>> = {}) {
    this.status = status
    this.value = value
    this.headers = headers
  }
}

/** A JSON answer with its own HTTP status, for instance the 401 of user-interactive authentication. */
export function withStatus<Value>(status: number, value: Value, headers?: Readonly<Record<string, string>>): WithStatus<Value> {
  return new WithStatus(status, value, headers)
}

/** Redirects the browser with 302 Found (or another status of the 3xx class). */
export function redirect(location: string, status = 302): RawReply {
  return new RawReply({ status, headers: { Location: location } })
}

/** A JSON text that is sent part by part while it is made, so that memory never holds the whole. */
export function jsonParts(parts: AsyncIterable<string>): RawReply {
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache, no-store, must-revalidate', 'Referrer-Policy': 'no-referrer' }
  return new RawReply({ headers, body: Readable.from(parts) })
}
