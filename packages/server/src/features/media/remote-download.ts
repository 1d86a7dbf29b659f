/**
 * Asks another server for its content: by the signed endpoint, or by the older one without authentication where the server knows no other.
 *
 * Spec: server-server API, "Content Repository".
 */
import { isObject } from '@myelin/protocol/json/json.ts'
import { parseJsonBytes } from '@myelin/protocol/json/parse.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'
import type { GuardedClient, RemoteAnswer } from '#platform/fetch/guarded-client.ts'
import { multipartOf, type BodyPart } from '#platform/fetch/multipart.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { fileNameOf } from './file-name.ts'

/** Content that is on its way. */
export interface Download {
  /** As the other server declares it. */
  readonly type: string | undefined
  readonly fileName: string | undefined
  /** About how many bytes will come; undefined where the other server does not say. */
  readonly announcedBytes: number | undefined
  /** Reading throws `RemoteError` where the other server breaks off. */
  readonly body: AsyncIterable<Buffer>
  /** Gives the content up before it is read. */
  discard(): void
}

interface Needs {
  readonly federation: Pick<Federation, 'open'>
  /** Follows a redirect to a place that is no homeserver. */
  readonly outbound: Pick<GuardedClient, 'open'>
  readonly maxBytes: number
}

/** What surrounds the content in an answer of several parts. */
const overheadBytes = 128 * 1024
const maxMetadataBytes = 64 * 1024
/** For the whole download. */
const downloadTimeoutMs = 180_000

export class RemoteDownload {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Begins a download.
   * @param timeoutMs how long the other server may wait for content that is not uploaded yet
   * @throws FederationRefusal, RemoteError, M_FORBIDDEN where this server does not talk to that one
   */
  async open(serverName: ServerName, mediaId: string, timeoutMs: number): Promise<Download> {
    const common = { method: 'GET', timeoutMs: downloadTimeoutMs, maxBytes: this.#needs.maxBytes + overheadBytes } as const
    const { federation } = this.#needs
    try {
      const path = pathOf(['federation/v1/media/download', mediaId], { timeout_ms: timeoutMs })
      return await this.#fromParts(await federation.open(serverName, { ...common, path }))
    } catch (error) {
      if (!(error instanceof FederationRefusal && error.status === 404 && error.errcode === 'M_UNRECOGNIZED')) throw error
    }
    const path = pathOf(['media/v3/download', serverName, mediaId], { allow_remote: false, timeout_ms: timeoutMs })
    return downloadOf(await federation.open(serverName, { ...common, path, isUnsigned: true }))
  }

  /** The first part is metadata, which says nothing at present; the second one is the content, or says where it is. */
  async #fromParts(answer: RemoteAnswer): Promise<Download> {
    const parts = multipartOf(answer)
    try {
      await assertMetadata(await nextOf(parts, answer), answer)
      const content = await nextOf(parts, answer)
      const location = content.headers.get('location')
      if (location !== undefined) {
        await parts.return(undefined)
        return await this.#follow(location)
      }
      return {
        type: content.headers.get('content-type'), fileName: fileNameOf(content.headers.get('content-disposition')), announcedBytes: announced(answer),
        body: lastPart(content, parts, answer), discard: () => answer.discard(),
      }
    } catch (error) {
      answer.discard()
      throw error
    }
  }

  async #follow(location: string): Promise<Download> {
    const answer = await this.#needs.outbound.open(location, { timeoutMs: downloadTimeoutMs, maxBytes: this.#needs.maxBytes, maxRedirects: 5 })
    if (answer.status === 200) return downloadOf(answer)
    answer.discard()
    throw new RemoteError('bad-answer', answer.url.href, `The place that holds the content answered ${answer.status}.`)
  }
}

function downloadOf(answer: RemoteAnswer): Download {
  const disposition = answer.headers['content-disposition']
  return {
    type: answer.headers['content-type'], fileName: fileNameOf(disposition), announcedBytes: announced(answer), body: answer.body, discard: () => answer.discard(),
  }
}

function announced({ headers }: RemoteAnswer): number | undefined {
  const length = headers['content-length']
  return length === undefined ? undefined : Number(length)
}

async function nextOf(parts: AsyncGenerator<BodyPart>, answer: RemoteAnswer): Promise<BodyPart> {
  const next = await parts.next()
  if (next.done === true) throw new RemoteError('bad-answer', answer.url.href, 'The answer has less than two parts.')
  return next.value
}

async function assertMetadata(part: BodyPart, { url }: RemoteAnswer): Promise<void> {
  let content = Buffer.alloc(0)
  for await (const chunk of part.body) {
    content = Buffer.concat([content, chunk])
    if (content.length > maxMetadataBytes) break
  }
  const parsed = content.length > maxMetadataBytes ? undefined : parseJsonBytes(content, 100)
  if (parsed === undefined || !('value' in parsed) || !isObject(parsed.value)) throw new RemoteError('bad-answer', url.href, 'The first part of the answer is no JSON object.')
}

async function* lastPart(part: BodyPart, parts: AsyncGenerator<BodyPart>, { url }: RemoteAnswer): AsyncGenerator<Buffer> {
  try {
    yield* part.body
    const more = await parts.next()
    if (more.done !== true) throw new RemoteError('bad-answer', url.href, 'The answer has more than two parts.')
  } finally {
    await parts.return(undefined)
  }
}
