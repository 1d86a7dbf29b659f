/**
 * Content of other servers: fetched when it is first asked for, then kept. Thumbnails of it are made here.
 *
 * Spec: server-server API, "Content Repository".
 */
import { Readable } from 'node:stream'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { FederationRefusal, type Federation } from '#features/federation/federation.ts'
import { BlobTooLarge, type Blobs, type StagedBlob } from '#platform/blobs/blobs.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { addressKey } from '#platform/limits/address-key.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import { isLongAgo, newMediaId, notFound, type MediaRequest, type RemoteMedia } from './media.ts'
import { remoteContentName, remoteThumbnailFolder, type RemotePlace } from './media-paths.ts'
import { usableType, type ServedContent } from './media-reply.ts'
import type { Download, RemoteDownload } from './remote-download.ts'
import type { RemoteKey, RemoteMediaRow, RemoteMediaStore } from './remote-media.store.ts'
import type { Thumbnails, WantedThumbnail } from './thumbnails.ts'

/** The options that content of other servers follows. */
export interface RemoteMediaSettings {
  /** `max_upload_size`: nothing larger is fetched. */
  readonly maxBytes: number
  /** Content is served on authenticated endpoints only, unless it was fetched before. */
  readonly authenticated: boolean
  /** `prevent_media_downloads_from` */
  readonly refusedServers: ReadonlySet<string>
}

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly store: RemoteMediaStore
  readonly blobs: Blobs
  readonly thumbnails: Thumbnails
  readonly federation: Pick<Federation, 'assertAllowed'>
  readonly download: Pick<RemoteDownload, 'open'>
  readonly limits: Pick<RateLimits, 'consume' | 'assertAllowed'>
  readonly settings: RemoteMediaSettings
}

/** Name of the limit of bytes that an address may have fetched (`remote_media_download_*`). */
export const remoteBytesLimit = 'remote_media_download'
/** At most so many downloads run at once, and so many for one address. */
const mostDownloads = 200
const mostForOne = 50
/** Longer names are no names of folders. */
const longestServerName = 255
const longestWaitMs = 60_000

export class RemoteMediaCache implements RemoteMedia {
  readonly #needs: Needs
  /** Downloads that run, so that nothing is fetched twice. */
  readonly #running = new Map<string, Promise<void>>()
  /** How many of them each address has begun. */
  readonly #begunBy = new Map<string, number>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async content(request: MediaRequest): Promise<ServedContent> {
    return this.#contentOf(await this.#require(request))
  }

  async thumbnail(request: MediaRequest, wanted: WantedThumbnail): Promise<ServedContent> {
    const row = await this.#require(request)
    const source = {
      contentName: remoteContentName(placeOf(row)), thumbnailFolder: remoteThumbnailFolder(placeOf(row)),
      kept: this.#needs.store.thumbnailsOf(keyOf(row)), original: this.#contentOf(row),
    }
    try {
      return await this.#needs.thumbnails.of(source, wanted)
    } catch (error) {
      // A picture that is too large is here the other server's, not the client's.
      throw error instanceof MatrixError && error.errcode === 'M_TOO_LARGE' ? new MatrixError(502, error.errcode, error.message) : error
    }
  }

  /** The row of content that the request may see, fetched where it is not there. */
  async #require(request: MediaRequest): Promise<RemoteMediaRow> {
    const { database, store, clock, federation, settings } = this.#needs
    const key = { origin: request.serverName, mediaId: request.mediaId }
    if (settings.refusedServers.has(key.origin) || key.origin.length > longestServerName || !isServerName(key.origin)) throw notFound()
    federation.assertAllowed(key.origin)
    const isFrozen = settings.authenticated && !request.authenticated
    let row = await store.byKey(key)
    if (row === undefined) {
      if (isFrozen) throw notFound()
      await this.#fetchOnce(key.origin, request).catch((error: unknown) => {
        throw refusalOf(error, settings.maxBytes)
      })
      row = await store.byKey(key)
    }
    if (row === undefined || row.quarantined_by !== null || (isFrozen && row.authenticated === 1)) throw notFound()
    const now = clock.now()
    if (isLongAgo(row.last_access_ts, now)) await database.transaction((tx) => store.touch(tx, key, now))
    return row
  }

  /** Joins a download that runs, or begins one. */
  async #fetchOnce(origin: ServerName, request: MediaRequest): Promise<void> {
    const name = `${origin}/${request.mediaId}`
    for (let running = this.#running.get(name); running !== undefined; running = this.#running.get(name)) {
      try {
        await running
        return
      } catch (error) {
        // The limit was that of the one who began; this request has its own.
        if (!(error instanceof MatrixError && error.errcode === 'M_LIMIT_EXCEEDED')) throw error
      }
    }
    const payer = addressKey(request.ip)
    const begun = this.#begunBy.get(payer) ?? 0
    if (this.#running.size >= mostDownloads || begun >= mostForOne) {
      throw refuse('M_LIMIT_EXCEEDED', 'Too much content is being fetched from other servers. Try again in a moment.', { retry_after_ms: 5000 })
    }
    this.#begunBy.set(payer, begun + 1)
    const fetching = this.#fetch(origin, request, payer).finally(() => this.#ended(name, payer))
    this.#running.set(name, fetching)
    await fetching
  }

  #ended(name: string, payer: string): void {
    this.#running.delete(name)
    const left = (this.#begunBy.get(payer) ?? 1) - 1
    if (left === 0) this.#begunBy.delete(payer)
    else this.#begunBy.set(payer, left)
  }

  async #fetch(origin: ServerName, { mediaId, timeoutMs }: MediaRequest, payer: string): Promise<void> {
    const { download, limits } = this.#needs
    limits.assertAllowed(remoteBytesLimit, payer)
    const coming = await download.open(origin, mediaId, Math.min(timeoutMs, longestWaitMs))
    const staged = await this.#receive(coming, payer)
    await this.#keep({ origin, mediaId }, coming, staged)
  }

  async #receive(coming: Download, payer: string): Promise<StagedBlob> {
    const { limits, blobs, settings } = this.#needs
    try {
      limits.assertAllowed(remoteBytesLimit, payer, coming.announcedBytes ?? 1)
    } catch (error) {
      coming.discard()
      throw error
    }
    return blobs.write(Readable.from(this.#charged(coming.body, payer)), settings.maxBytes)
  }

  async *#charged(body: AsyncIterable<Buffer>, payer: string): AsyncGenerator<Buffer> {
    for await (const chunk of body) {
      this.#needs.limits.consume(remoteBytesLimit, payer, chunk.length)
      yield chunk
    }
  }

  /** First the file, then the row: a row promises that its file is there. */
  async #keep(key: RemoteKey, coming: Download, staged: StagedBlob): Promise<void> {
    const { blobs, database, store, clock, settings } = this.#needs
    const filesystemId = newMediaId()
    const name = remoteContentName({ origin: key.origin, filesystemId })
    await staged.keep(name)
    const row = {
      ...key, filesystemId, type: usableType(coming.type), sizeBytes: staged.sizeBytes, uploadName: coming.fileName ?? null, sha256: staged.sha256,
      authenticated: settings.authenticated ? 1 : 0, ts: clock.now(),
    }
    try {
      // Another process may have been faster.
      const isNew = await database.transaction((tx) => store.insert(tx, row))
      if (!isNew) await blobs.remove(name)
    } catch (error) {
      await blobs.remove(name)
      throw error
    }
  }

  #contentOf(row: RemoteMediaRow): ServedContent {
    return {
      type: row.media_type ?? 'application/octet-stream',
      sizeBytes: row.media_length,
      fileName: row.upload_name ?? undefined,
      digest: row.sha256,
      read: async (range) => (await this.#needs.blobs.read(remoteContentName(placeOf(row)), range)) ?? this.#forget(row),
    }
  }

  /** An operator may have emptied the folder: then the next request fetches the content again. */
  async #forget(row: RemoteMediaRow): Promise<undefined> {
    const { database, store } = this.#needs
    await database.transaction((tx) => store.remove(tx, keyOf(row)))
    return undefined
  }
}

/** Which content a row is of. */
export function keyOf(row: RemoteMediaRow): RemoteKey {
  return { origin: row.media_origin, mediaId: row.media_id }
}

/** Where the content of a row lies. */
export function placeOf(row: RemoteMediaRow): RemotePlace {
  return { origin: row.media_origin, filesystemId: row.filesystem_id }
}

/** What the client gets to know of a failed download. */
function refusalOf(error: unknown, maxBytes: number): unknown {
  if (error instanceof BlobTooLarge || (error instanceof RemoteError && error.failure === 'too-large')) return tooLarge(`is larger than the ${maxBytes} bytes that this server takes`)
  if (!(error instanceof FederationRefusal)) return error
  const { errcode, status, body } = error
  if (errcode === 'M_TOO_LARGE') return tooLarge('is too large for its server')
  if (errcode === 'M_NOT_YET_UPLOADED') return refuse('M_NOT_YET_UPLOADED', 'The content has not been uploaded to its server yet; try again later.')
  if (status === 429) {
    const { retry_after_ms: retryAfterMs } = body
    return refuse('M_LIMIT_EXCEEDED', 'The server of the content has answered too many requests. Try again later.', { retry_after_ms: typeof retryAfterMs === 'number' ? retryAfterMs : 5000 })
  }
  return status < 500 ? notFound() : refuse('M_CONNECTION_FAILED', 'The server of the content could not send it.')
}

function tooLarge(what: string): MatrixError {
  return new MatrixError(502, 'M_TOO_LARGE', `The content ${what}.`)
}
