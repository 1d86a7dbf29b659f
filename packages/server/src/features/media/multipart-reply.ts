/**
 * The answer that carries content to another server: metadata and content as two parts.
 *
 * Spec: server-server API, "Content Repository".
 */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { RawReply } from '#platform/http/reply.ts'
import { contentIsGone, dispositionOf, type ServedContent } from './media-reply.ts'

/** Throws `M_NOT_FOUND` when the file is gone. */
export async function multipartReply(content: ServedContent): Promise<RawReply> {
  const stream = await content.read()
  if (stream === undefined) throw contentIsGone()
  const boundary = randomBytes(24).toString('hex')
  const disposition = dispositionOf(content.type, content.fileName)
  const before = [`--${boundary}`, 'Content-Type: application/json', '', '{}', `--${boundary}`, `Content-Type: ${content.type}`, `Content-Disposition: ${disposition}`, '', ''].join('\r\n')
  const after = `\r\n--${boundary}--\r\n`
  const body = Readable.from(framed(before, stream, after), { objectMode: false })
  // Where nobody reads the body, its parts are never begun, and the file would stay open.
  body.once('close', () => stream.destroy())
  return new RawReply({
    headers: { 'Content-Type': `multipart/mixed; boundary=${boundary}`, 'Content-Length': before.length + content.sizeBytes + after.length, 'Cache-Control': 'no-store' },
    body,
  })
}

async function* framed(before: string, content: Readable, after: string): AsyncGenerator<Buffer> {
  yield Buffer.from(before, 'latin1')
  yield* content
  yield Buffer.from(after, 'latin1')
}
