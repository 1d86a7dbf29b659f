/**
 * Reads an answer of several parts, each as it comes.
 *
 * Spec: RFC 2046, section 5.1, "Multipart Media Type".
 */
import type { RemoteAnswer } from './guarded-client.ts'
import { RemoteError } from './remote-error.ts'

/** One part. */
export interface BodyPart {
  /** Names in lower case; of a repeated one the first counts. */
  readonly headers: ReadonlyMap<string, string>
  /** To be read to its end before the next part is asked for. */
  readonly body: AsyncIterable<Buffer>
}

const lineBreak = '\r\n'
const maxPreambleBytes = 64 * 1024
const maxHeaderBytes = 16 * 1024

/**
 * The parts of a `multipart/mixed` answer. Throws a `RemoteError` for another type, and where the answer ends before its last delimiter; leaving
 * the loop gives the answer up.
 */
export async function* multipartOf(answer: RemoteAnswer): AsyncGenerator<BodyPart> {
  try {
    const reader = new MultipartReader(answer, boundaryOf(answer))
    await reader.skipPreamble()
    while (await reader.hasMore()) {
      const headers = await reader.headers()
      yield { headers, body: reader.content() }
    }
  } finally {
    answer.discard()
  }
}

function boundaryOf({ headers, url }: RemoteAnswer): string {
  const type = headers['content-type'] ?? ''
  const match = /^\s*multipart\/mixed\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70})(?=[\s;]|$))/is.exec(type)
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined) throw unreadable(url, `it has the type '${type.slice(0, 100)}' in place of multipart/mixed with a boundary`)
  return boundary
}

/** The text of a multipart body; what was read and belongs to what follows waits in a buffer. */
class MultipartReader {
  readonly #url: URL
  readonly #source: AsyncIterator<Buffer>
  readonly #delimiter: Buffer
  /** Begins with the line break before the content. At the very beginning there is none, and a delimiter may follow at once. */
  #buffer: Buffer = Buffer.from(lineBreak)

  constructor({ body, url }: RemoteAnswer, boundary: string) {
    this.#url = url
    this.#source = body[Symbol.asyncIterator]()
    this.#delimiter = Buffer.from(`${lineBreak}--${boundary}`, 'latin1')
  }

  async skipPreamble(): Promise<void> {
    let sizeBytes = 0
    for await (const chunk of this.content()) {
      sizeBytes += chunk.length
      if (sizeBytes > maxPreambleBytes) throw unreadable(this.#url, 'its first part does not begin')
    }
  }

  /** After a delimiter: whether it was not the last one. */
  async hasMore(): Promise<boolean> {
    while (this.#buffer.length < 2) await this.#readOn()
    return this.#buffer.toString('latin1', 0, 2) !== '--'
  }

  /** After a delimiter: the headers of the part that begins. */
  async headers(): Promise<ReadonlyMap<string, string>> {
    let end = this.#buffer.indexOf(lineBreak + lineBreak)
    while (end < 0) {
      if (this.#buffer.length > maxHeaderBytes) throw unreadable(this.#url, 'the headers of a part do not end')
      await this.#readOn()
      end = this.#buffer.indexOf(lineBreak + lineBreak)
    }
    const [padding = '', ...lines] = this.#buffer.toString('utf8', 0, end).split(lineBreak)
    if (padding.trim() !== '') throw unreadable(this.#url, 'something follows a delimiter in its line')
    this.#buffer = this.#buffer.subarray(end + lineBreak.length)
    const headers = new Map<string, string>()
    for (const line of lines) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).trim().toLowerCase()
      if (colon > 0 && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
    }
    return headers
  }

  /** Everything up to the next delimiter, and past it. */
  async *content(): AsyncGenerator<Buffer> {
    for (let start = lineBreak.length; ;) {
      const at = this.#buffer.indexOf(this.#delimiter)
      // What may be the beginning of a delimiter waits for what follows.
      const end = at >= 0 ? at : this.#buffer.length - this.#delimiter.length + 1
      const chunk = this.#buffer.subarray(start, Math.max(start, end))
      if (at >= 0) this.#buffer = this.#buffer.subarray(at + this.#delimiter.length)
      else if (chunk.length > 0) [this.#buffer, start] = [this.#buffer.subarray(end), 0]
      if (chunk.length > 0) yield chunk
      if (at >= 0) return
      await this.#readOn()
    }
  }

  async #readOn(): Promise<void> {
    const next = await this.#source.next()
    if (next.done === true) throw unreadable(this.#url, 'it ends before its last part does')
    this.#buffer = Buffer.concat([this.#buffer, next.value])
  }
}

function unreadable(url: URL, why: string): RemoteError {
  return new RemoteError('bad-answer', url.href, `The answer of several parts cannot be read: ${why}.`)
}
