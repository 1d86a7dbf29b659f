/**
 * Reads a request body as one JSON object, whatever its content type says.
 *
 * Spec: client-server API, "API Standards", `M_NOT_JSON`, `M_BAD_JSON`, `M_TOO_LARGE`.
 */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { refuse } from '@myelin/protocol/errors.ts'

/** An object of a request body, each value still unchecked. */
export type JsonFields = { readonly [name: string]: unknown }

/** Objects and lists may nest this deep; a deeper body is refused before anything recurses over it. */
const depthLimit = 256

/**
 * Reads the whole body.
 *
 * Throws `M_TOO_LARGE` as soon as more than `limitBytes` are announced or have come.
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0)
  if (announced > limitBytes) return Promise.reject(tooLarge(limitBytes))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes > limitBytes) {
        request.removeAllListeners('data')
        request.resume()
        reject(tooLarge(limitBytes))
        return
      }
      chunks.push(chunk)
    })
    request.on('end', () => {
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, sizeBytes))
    })
    request.on('error', reject)
    request.on('close', () => {
      if (!request.complete) reject(new ClientGone())
    })
  })
}

/** The client closed the connection before its request was complete; nobody reads an answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

function tooLarge(limitBytes: number): Error {
  return refuse('M_TOO_LARGE', `The request body is larger than the ${limitBytes} bytes that this endpoint takes.`)
}

/**
 * Parses a body that must be a JSON object.
 *
 * Of repeated keys the last one counts. Throws `M_NOT_JSON` for text that is no JSON or no UTF-8, `M_BAD_JSON` for other
 * values than objects, for nesting deeper than 256 and for strings that UTF-8 cannot carry.
 */
export function parseJsonObject(body: Buffer): JsonFields {
  if (!isUtf8(body)) throw refuse('M_NOT_JSON', 'The request body is not valid UTF-8.')
  if (body.length > depthLimit && nestsDeeperThan(body, depthLimit)) {
    throw refuse('M_BAD_JSON', `The request body nests objects or lists deeper than ${depthLimit} levels.`)
  }
  const text = body.toString('utf8')
  const value = parse(text)
  if (!isJsonObject(value)) throw refuse('M_BAD_JSON', 'The request body must be a JSON object.')
  if (surrogateEscape.test(text) && !isWellFormed(value)) {
    throw refuse('M_BAD_JSON', 'The request body contains half of a surrogate pair, which is not a character.')
  }
  return value
}

function isJsonObject(value: unknown): value is JsonFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    if (text.length === 0) throw refuse('M_NOT_JSON', 'The request has no body; a JSON object is needed.')
    throw refuse('M_NOT_JSON', 'The request body is not valid JSON.')
  }
}

const quote = 0x22
const backslash = 0x5c

/** Whether brackets outside of strings nest deeper than `limit`; one pass over the bytes. */
function nestsDeeperThan(body: Buffer, limit: number): boolean {
  let depth = 0
  for (let i = 0; i < body.length; i++) {
    const byte = body[i]
    if (byte === quote) {
      i = endOfString(body, i + 1)
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > limit) return true
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--
    }
  }
  return false
}

/** Index of the quote that ends the string whose text begins at `start`. */
function endOfString(body: Buffer, start: number): number {
  for (let i = start; i < body.length; i++) {
    const byte = body[i]
    if (byte === backslash) i++
    else if (byte === quote) return i
  }
  return body.length
}

const surrogateEscape = /\\u[dD][89a-fA-F]/

/** Whether all strings and keys in a value of bounded depth are well-formed Unicode. */
function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (Array.isArray(value)) return value.every(isWellFormed)
  if (!isJsonObject(value)) return true
  return Object.keys(value).every((key) => key.isWellFormed() && isWellFormed(value[key]))
}
