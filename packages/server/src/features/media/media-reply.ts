/**
 * The answer that carries content: headers that keep a browser from running it, caching, and parts of it on demand.
 *
 * Spec: client-server API, "Content repository", "Serving inline content".
 */
import type { Readable } from 'node:stream'
import { refuse, type MatrixError } from '@myelin/protocol/errors.ts'
import type { EndpointRequest } from '#platform/http/endpoint.ts'
import { RawReply } from '#platform/http/reply.ts'

/** Content that is ready to be served. */
export interface ServedContent {
  /** Content type as the uploader gave it. */
  readonly type: string
  readonly sizeBytes: number
  readonly fileName: string | undefined
  /** Changes when the bytes do; used as ETag. */
  readonly digest: string
  /** Opens the bytes, or a part: first and last byte, both included. */
  readonly read: (range?: ByteRange) => Promise<Readable | undefined>
}

interface ByteRange {
  readonly first: number
  readonly last: number
}

/** Types that a browser may show within the page; the specification's list. */
const inlineTypes = new Set([
  'text/css', 'text/plain', 'text/csv', 'application/json', 'application/ld+json',
  'image/jpeg', 'image/gif', 'image/png', 'image/apng', 'image/webp', 'image/avif',
  'video/mp4', 'video/webm', 'video/ogg', 'video/quicktime',
  'audio/mp4', 'audio/webm', 'audio/aac', 'audio/mpeg', 'audio/ogg', 'audio/wave', 'audio/wav', 'audio/x-wav', 'audio/x-pn-wav',
  'audio/flac', 'audio/x-flac',
])

const securityPolicy =
  "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';"

const dayInSeconds = 86_400
const token = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const contentType = /^[A-Za-z0-9!#$&^_.+-]{1,127}\/[A-Za-z0-9!#$&^_.+-]{1,127}(\s*;[\x20-\x7e]*)?$/

/** A file name longer than this is refused; many programs cannot store it anyway. */
export const longestFileName = 1024

/** Whether a text is kept as the name of a file. */
export function isFileName(text: string): boolean {
  return text.length <= longestFileName && !text.includes('\0')
}

/** A declared content type if it has the form of one and is not absurdly long, else `application/octet-stream`. */
export function usableType(declared: string | undefined): string {
  return declared !== undefined && declared.length <= 512 && contentType.test(declared) ? declared : 'application/octet-stream'
}

/** Value of `Content-Disposition`; the type alone decides, without its parameters and whatever its case. */
export function dispositionOf(type: string, fileName: string | undefined): string {
  const essence = (type.split(';', 1)[0] ?? '').trim().toLowerCase()
  const disposition = inlineTypes.has(essence) ? 'inline' : 'attachment'
  if (fileName === undefined || fileName === '') return disposition
  return `${disposition}; ${token.test(fileName) ? `filename=${fileName}` : `filename*=utf-8''${extendedValue(fileName)}`}`
}

/** Text as RFC 8187 writes it in a header. */
function extendedValue(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

/**
 * Answers 200 with the content, 206 with the part that `Range` names, 304 when the client has it already, or 416.
 * @param visibility `public` for endpoints without authentication: caches between server and client may keep the content
 * Throws `M_NOT_FOUND` when the file is gone.
 */
export async function contentReply(content: ServedContent, headers: EndpointRequest['headers'], visibility: 'public' | 'private'): Promise<RawReply> {
  const etag = `"${content.digest}"`
  const common = {
    'Content-Type': content.type,
    'Content-Disposition': dispositionOf(content.type, content.fileName),
    'Content-Security-Policy': securityPolicy,
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Robots-Tag': 'noindex, nofollow, noarchive, noimageindex',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': `${visibility}, max-age=${dayInSeconds}, immutable`,
    ETag: etag,
    'Accept-Ranges': 'bytes',
  }
  if (knows(headers['if-none-match'], etag)) return new RawReply({ status: 304, headers: common })
  const range = rangeOf(headers, etag, content.sizeBytes)
  if (range === 'unsatisfiable') {
    const { body } = refuse('M_INVALID_PARAM', `The content has ${content.sizeBytes} bytes; the header 'Range' asks for others.`)
    const own = { 'Content-Type': 'application/json', 'Content-Range': `bytes */${content.sizeBytes}` }
    return new RawReply({ status: 416, headers: own, body: JSON.stringify(body) })
  }
  const stream = await content.read(range)
  if (stream === undefined) throw contentIsGone()
  if (range === undefined) return new RawReply({ headers: { ...common, 'Content-Length': content.sizeBytes }, body: stream })
  const part = { 'Content-Length': range.last - range.first + 1, 'Content-Range': `bytes ${range.first}-${range.last}/${content.sizeBytes}` }
  return new RawReply({ status: 206, headers: { ...common, ...part }, body: stream })
}

/** The refusal of content whose file is gone. */
export function contentIsGone(): MatrixError {
  return refuse('M_NOT_FOUND', 'The content of this media is not stored on the server any more.')
}

function knows(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === etag)
}

/** The one part that is asked for; undefined for none, for several, and for a part of an older content. */
function rangeOf(headers: EndpointRequest['headers'], etag: string, sizeBytes: number): ByteRange | undefined | 'unsatisfiable' {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.range ?? '')
  const ifRange = headers['if-range']
  if (match === null || (ifRange !== undefined && ifRange !== etag)) return undefined
  const [, first = '', last = ''] = match
  if (first === '') {
    if (last === '') return undefined
    return Number(last) === 0 || sizeBytes === 0 ? 'unsatisfiable' : { first: Math.max(0, sizeBytes - Number(last)), last: sizeBytes - 1 }
  }
  if (last !== '' && Number(last) < Number(first)) return undefined
  if (Number(first) >= sizeBytes) return 'unsatisfiable'
  return { first: Number(first), last: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) }
}
