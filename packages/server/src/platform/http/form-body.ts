/** The body of a form that a browser sends. */
import type { Readable } from 'node:stream'
import { refuse } from '@myelin/protocol/errors.ts'

const formBytes = 16_384

/** The fields of a form. @throws M_TOO_LARGE */
export async function readForm(stream: Readable): Promise<URLSearchParams> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > formBytes) throw refuse('M_TOO_LARGE', 'The form is too large.')
    chunks.push(bytes)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}
