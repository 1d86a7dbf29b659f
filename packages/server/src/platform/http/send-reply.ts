/**
 * Writes an answer to the connection: headers that every answer has, JSON, streams, compression.
 *
 * Spec: client-server API, "Web Browser Clients", "Standard error response", "Rate limiting".
 */
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { gzip } from 'node:zlib'
import type { MatrixError } from '@myelin/protocol/errors.ts'
import { JsonText, RawReply, WithStatus } from './reply.ts'

const corsHeaders = [
  'Access-Control-Allow-Origin', '*',
  'Access-Control-Allow-Methods', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
  'Access-Control-Allow-Headers', 'X-Requested-With, Content-Type, Authorization, Date, If-Match, If-None-Match',
  'Access-Control-Expose-Headers', 'ETag, Retry-After',
]
const commonHeaders = [...corsHeaders, 'X-Content-Type-Options', 'nosniff']
const jsonHeaders = [
  ...commonHeaders,
  'Cache-Control', 'no-cache, no-store, must-revalidate',
  'Referrer-Policy', 'no-referrer',
  'Content-Type', 'application/json',
]
/** Smaller answers gain nothing from compression. */
const compressFromBytes = 1024

/** How an answer should go out, and how much of it did. */
export interface Sending {
  /** The listener compresses and the client understands gzip. */
  readonly gzip: boolean
  /** The connection is closed afterwards. */
  close: boolean
  /** Bytes of the body; filled in while it is sent. */
  sizeBytes: number
}

/** Answers a pre-flight request; it runs no endpoint and needs no token. */
export function sendPreflight(response: ServerResponse): void {
  response.writeHead(204, [...commonHeaders, 'Access-Control-Max-Age', '86400'])
  response.end()
}

/** Sends what a handler answered. Resolves when a stream was handed over completely, at once for everything else. */
export function sendReply(response: ServerResponse, reply: unknown, sending: Sending): void | Promise<void> {
  if (reply instanceof JsonText) return sendJson(response, 200, reply.text, sending)
  if (reply instanceof RawReply) return sendRaw(response, reply, sending)
  if (reply instanceof WithStatus) return sendJson(response, reply.status, textOf(reply.value), sending, headerList(reply.headers))
  return sendJson(response, 200, textOf(reply), sending)
}

/** Sends a refusal; with `retry_after_ms` also as `Retry-After`, in seconds rounded up. */
export function sendError(response: ServerResponse, error: MatrixError, sending: Sending): void | Promise<void> {
  const retryAfterMs = error.extra['retry_after_ms']
  const headers = typeof retryAfterMs === 'number' ? ['Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000)))] : []
  return sendJson(response, error.status, JSON.stringify(error.body), sending, headers)
}

function textOf(value: unknown): string {
  if (value instanceof JsonText) return value.text
  return JSON.stringify(value) ?? '{}'
}

function sendJson(
  response: ServerResponse, status: number, text: string, sending: Sending, headers: readonly string[] = [],
): void | Promise<void> {
  const head = headers.length === 0 ? jsonHeaders.slice() : [...jsonHeaders, ...headers]
  if (sending.close) head.push('Connection', 'close')
  if (sending.gzip && text.length >= compressFromBytes) return sendCompressed(response, status, text, head, sending)
  sending.sizeBytes = Buffer.byteLength(text)
  head.push('Content-Length', String(sending.sizeBytes))
  response.writeHead(status, head)
  // As many bytes as characters: the text is ASCII, and goes out as it lies in memory.
  response.end(text, sending.sizeBytes === text.length ? 'latin1' : 'utf8')
}

async function sendCompressed(response: ServerResponse, status: number, text: string, head: string[], sending: Sending): Promise<void> {
  const compressed = await new Promise<Buffer>((resolve, reject) => {
    gzip(text, (error, result) => (error === null ? resolve(result) : reject(error)))
  })
  sending.sizeBytes = compressed.length
  head.push('Content-Encoding', 'gzip', 'Vary', 'Accept-Encoding', 'Content-Length', String(compressed.length))
  response.writeHead(status, head)
  response.end(compressed)
}

async function sendRaw(response: ServerResponse, reply: RawReply, sending: Sending): Promise<void> {
  const names = new Set(Object.keys(reply.headers).map((name) => name.toLowerCase()))
  const head = headerList(reply.headers)
  for (let i = 0; i < commonHeaders.length; i += 2) {
    const name = commonHeaders[i] ?? ''
    if (!names.has(name.toLowerCase())) head.push(name, commonHeaders[i + 1] ?? '')
  }
  if (sending.close) head.push('Connection', 'close')
  const { body } = reply
  if (!(body instanceof Readable)) {
    const bodiless = reply.status === 204 || reply.status === 304
    sending.sizeBytes = Buffer.byteLength(body)
    if (!bodiless && !names.has('content-length')) head.push('Content-Length', String(sending.sizeBytes))
    response.writeHead(reply.status, head)
    response.end(body)
    return
  }
  response.writeHead(reply.status, head)
  if (response.req.method === 'HEAD') {
    body.destroy()
    response.end()
    return
  }
  body.on('data', (chunk: Buffer | string) => {
    sending.sizeBytes += Buffer.byteLength(chunk)
  })
  await pipeline(body, response)
}

function headerList(headers: Readonly<Record<string, string | number | readonly string[]>>): string[] {
  const list: string[] = []
  for (const [name, value] of Object.entries(headers)) {
    for (const each of typeof value === 'object' ? value : [value]) list.push(name, String(each))
  }
  return list
}
