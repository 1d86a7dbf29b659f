/** Answers of several parts, whole and broken, cut at every byte. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multipartOf } from './multipart.ts'
import { RemoteError } from './remote-error.ts'

interface Read {
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

async function read(text: string, type = 'multipart/mixed; boundary=abc', chunkBytes = 1): Promise<Read[]> {
  const bytes = Buffer.from(text)
  async function* body(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
  }
  const answer = { status: 200, headers: { 'content-type': type }, url: new URL('https://remote.example/'), body: body(), discard: () => undefined }
  const parts: Read[] = []
  for await (const part of multipartOf(answer)) {
    const chunks: Buffer[] = []
    for await (const chunk of part.body) chunks.push(chunk)
    parts.push({ headers: Object.fromEntries(part.headers), text: Buffer.concat(chunks).toString() })
  }
  return parts
}

test('parts, however they come', async () => {
  const text = 'preamble\r\n--abc\r\nContent-Type: application/json\r\n\r\n{}\r\n--abc  \r\nContent-Type: text/plain\r\nX-Y:  z \r\nx-y: other\r\n\r\nline\r\n--ab\r\n\r\n--abc--\r\nepilogue'
  const expected = [{ headers: { 'content-type': 'application/json' }, text: '{}' }, { headers: { 'content-type': 'text/plain', 'x-y': 'z' }, text: 'line\r\n--ab\r\n' }]
  for (const chunkBytes of [1, 2, 3, 7, 1000]) assert.deepEqual(await read(text, undefined, chunkBytes), expected)
  assert.deepEqual(await read(text.slice(text.indexOf('--abc')), 'Multipart/Mixed; charset=x; Boundary="abc"'), expected)
})

test('empty parts, with and without a line break of their own', async () => {
  assert.deepEqual(await read('--abc\r\nLocation: x\r\n\r\n\r\n--abc--'), [{ headers: { location: 'x' }, text: '' }])
  assert.deepEqual(await read('--abc\r\nLocation: x\r\n\r\n--abc--'), [{ headers: { location: 'x' }, text: '' }])
  assert.deepEqual(await read('--abc\r\n\r\nbody\r\n--abc--'), [{ headers: {}, text: 'body' }])
  assert.deepEqual(await read('--abc--'), [])
})

test('what cannot be read is a failure of the other server', async () => {
  const whole = '--abc\r\nA: b\r\n\r\nx\r\n--abc--'
  const broken: [string, string?][] = [
    [''], ['no delimiter'], ['--abc'], [whole.slice(0, -4)], [whole.slice(0, 8)], ['--abcd\r\n\r\nx\r\n--abc--'],
    [`--abc\r\nA: ${'x'.repeat(20_000)}`], ['x'.repeat(70_000)], [whole, 'multipart/mixed'], [whole, 'multipart/form-data; boundary=abc'], [whole, 'text/html'],
    [whole, ''], [whole, `multipart/mixed; boundary=${'a'.repeat(71)};`], [whole, 'multipart/mixed; boundary=other'],
  ]
  for (const [text, type] of broken) {
    await assert.rejects(read(text, type, 1000), (error) => error instanceof RemoteError && error.failure === 'bad-answer', `${text.slice(0, 50)} ${type ?? ''}`)
  }
})
