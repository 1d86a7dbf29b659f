/**
 * The content repository: uploads, reservations, and content to serve.
 *
 * Spec: client-server API, "Content repository".
 */
import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { refuse, type MatrixError } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isMediaId, parseMxcUri } from '@myelin/protocol/ids/mxc-uri.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { BlobTooLarge, type Blobs } from '#platform/blobs/blobs.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { contentName, thumbnailFolder } from './media-paths.ts'
import { isFileName, longestFileName, usableType, type ServedContent } from './media-reply.ts'
import type { MediaRow, MediaStore } from './media.store.ts'
import type { Thumbnails, WantedThumbnail } from './thumbnails.ts'

/** The options that the content repository follows. */
export interface MediaSettings {
  readonly enabled: boolean
  /** New media is served on authenticated endpoints only. */
  readonly authenticated: boolean
  readonly maxUploadBytes: number
  readonly maxPendingUploads: number
  /** Reservations without content expire after so long. */
  readonly unusedExpirationMs: number
}

/** Content on its way in. */
export interface Upload {
  readonly stream: Readable
  /** `Content-Length`, or undefined when the client does not say. */
  readonly announcedBytes: number | undefined
  readonly contentType: string | undefined
  readonly fileName: string | undefined
}

/** Which content a request asks for, and what it allows the server to do. */
export interface MediaRequest {
  readonly serverName: string
  readonly mediaId: string
  /** Whether content of other servers may be fetched. */
  readonly allowRemote: boolean
  /** How long to wait for content that is not uploaded yet. */
  readonly timeoutMs: number
  /** The endpoint knows who asks; without, media uploaded after the freeze does not exist. */
  readonly authenticated: boolean
  /** Who asks: what other servers send counts towards a limit of this address. */
  readonly ip: string
  readonly signal: AbortSignal
}

/** Fetches content of other servers. */
export interface RemoteMedia {
  /**
   * Throws `M_NOT_FOUND`, `M_NOT_YET_UPLOADED`, 502 `M_TOO_LARGE`, `M_LIMIT_EXCEEDED`, `M_FORBIDDEN` where this server does not talk to that one, or
   * a `RemoteError`.
   */
  content(request: MediaRequest): Promise<ServedContent>
  /** As `content`, for a smaller picture of it. */
  thumbnail(request: MediaRequest, wanted: WantedThumbnail): Promise<ServedContent>
}

interface MediaNeeds {
  readonly database: Database
  readonly store: MediaStore
  readonly blobs: Blobs
  readonly thumbnails: Thumbnails
  readonly clock: Clock
  readonly serverName: string
  readonly settings: MediaSettings
  /** Without it, content of other servers does not exist. */
  readonly remote?: RemoteMedia
}

const longestWaitMs = 60_000

export class Media {
  readonly #needs: MediaNeeds
  /** Ids whose content is coming in at this moment. */
  readonly #incoming = new Set<string>()
  /** Who waits for the content of an id. */
  readonly #waiting = new Map<string, Set<() => void>>()
  /** Last reservation of each user that is under way: they are counted one after the other. */
  readonly #reserving = new Map<UserId, Promise<unknown>>()

  constructor(needs: MediaNeeds) {
    this.#needs = needs
  }

  /** Largest upload in bytes. */
  get maxUploadBytes(): number {
    return this.#needs.settings.maxUploadBytes
  }

  /**
   * Stores content under a new URI and answers the URI.
   * Throws `M_TOO_LARGE`, before the content is read when its size is announced.
   */
  async upload(userId: UserId, upload: Upload): Promise<string> {
    this.#assertEnabled()
    this.#assertUsable(upload)
    const mediaId = newMediaId()
    await this.#store(mediaId, upload, userId)
    return this.#uri(mediaId)
  }

  /**
   * Reserves a URI for content that comes later.
   * Throws `M_LIMIT_EXCEEDED` when too many reservations of the user wait for their content.
   * @returns the URI and when it expires unless content comes, ms since 1970
   */
  async create(userId: UserId): Promise<{ readonly contentUri: string; readonly unusedExpiresAt: number }> {
    this.#assertEnabled()
    const before = this.#reserving.get(userId) ?? Promise.resolve()
    const reserved = before.then(() => this.#reserve(userId), () => this.#reserve(userId))
    this.#reserving.set(userId, reserved)
    try {
      return await reserved
    } finally {
      if (this.#reserving.get(userId) === reserved) this.#reserving.delete(userId)
    }
  }

  /**
   * Stores the content of a reserved URI.
   * Throws `M_NOT_FOUND` for a URI that was never reserved or has expired, `M_FORBIDDEN` for another user's,
   * `M_CANNOT_OVERWRITE_MEDIA` when it has content, `M_TOO_LARGE`.
   */
  async complete(userId: UserId, serverName: string, mediaId: string, upload: Upload): Promise<void> {
    this.#assertEnabled()
    const row = this.#isOwn(serverName, mediaId) ? await this.#needs.store.byId(mediaId) : undefined
    if (row === undefined) throw unknownReservation()
    if (row.user_id !== userId) throw refuse('M_FORBIDDEN', 'Only the user who created this mxc:// URI may upload its content.')
    if (row.media_length !== null || this.#incoming.has(mediaId)) throw refuse('M_CANNOT_OVERWRITE_MEDIA', 'This mxc:// URI has content already.')
    if (row.created_ts <= this.#expiredSince()) throw unknownReservation()
    this.#assertUsable(upload)
    this.#incoming.add(mediaId)
    try {
      await this.#store(mediaId, upload, undefined)
    } finally {
      this.#incoming.delete(mediaId)
    }
    for (const wake of this.#waiting.get(mediaId) ?? []) wake()
  }

  /**
   * The content of a URI.
   * Throws `M_NOT_FOUND` when there is none that the request may see, `M_NOT_YET_UPLOADED` when it did not come in time.
   */
  async content(request: MediaRequest): Promise<ServedContent> {
    this.#assertEnabled()
    if (request.serverName !== this.#needs.serverName) return this.#remote(request).content(request)
    return this.#contentOf(await this.#require(request))
  }

  /** As `content`, for a smaller picture of it; see `Thumbnails.of` for further refusals. */
  async thumbnail(request: MediaRequest, wanted: WantedThumbnail): Promise<ServedContent> {
    this.#assertEnabled()
    if (request.serverName !== this.#needs.serverName) return this.#remote(request).thumbnail(request, wanted)
    const row = await this.#require(request)
    const { media_id: mediaId } = row
    const source = {
      contentName: contentName(mediaId), thumbnailFolder: thumbnailFolder(mediaId), kept: this.#needs.store.thumbnailsOf(mediaId), original: this.#contentOf(row),
    }
    return this.#needs.thumbnails.of(source, wanted)
  }

  /** Type and size of what an mxc URI of this server names; undefined where there is nothing that may be shown. */
  async describe(mxcUri: string): Promise<{ readonly contentType: string | undefined; readonly sizeBytes: number } | undefined> {
    const parts = parseMxcUri(mxcUri)
    if (parts === undefined || parts.serverName !== this.#needs.serverName) return undefined
    const row = await this.#needs.store.byId(parts.mediaId)
    if (!row || row.media_length === null || row.quarantined_by !== null) return undefined
    return { contentType: row.media_type ?? undefined, sizeBytes: row.media_length }
  }

  /** Whether an mxc URI of this server has content that may be shown. */
  async exists(mxcUri: string): Promise<boolean> {
    const parts = parseMxcUri(mxcUri)
    if (parts === undefined || parts.serverName !== this.#needs.serverName) return false
    const row = await this.#needs.store.byId(parts.mediaId)
    return row !== undefined && row.media_length !== null && row.quarantined_by === null
  }

  #assertEnabled(): void {
    if (!this.#needs.settings.enabled) throw refuse('M_UNRECOGNIZED', 'This server has no content repository.')
  }

  #assertUsable({ announcedBytes, fileName }: Upload): void {
    if (announcedBytes !== undefined && announcedBytes > this.maxUploadBytes) throw this.#tooLarge()
    if (fileName !== undefined && !isFileName(fileName)) {
      throw refuse('M_INVALID_PARAM', `The file name must have at most ${longestFileName} characters, none of them NUL.`)
    }
  }

  #tooLarge(): MatrixError {
    return refuse('M_TOO_LARGE', `The content is larger than the ${this.maxUploadBytes} bytes that this server takes.`)
  }

  #expiredSince(): number {
    return this.#needs.clock.now() - this.#needs.settings.unusedExpirationMs
  }

  #uri(mediaId: string): string {
    return `mxc://${this.#needs.serverName}/${mediaId}`
  }

  #isOwn(serverName: string, mediaId: string): boolean {
    return serverName === this.#needs.serverName && isMediaId(mediaId)
  }

  async #reserve(userId: UserId): Promise<{ contentUri: string; unusedExpiresAt: number }> {
    const { database, store, clock, settings } = this.#needs
    const ts = clock.now()
    const mediaId = newMediaId()
    await database.transaction(async (tx) => {
      const since = this.#expiredSince()
      await store.expire(tx, userId, since)
      if ((await store.pending(tx, userId, since)) >= settings.maxPendingUploads) {
        throw refuse('M_LIMIT_EXCEEDED', `You have ${settings.maxPendingUploads} mxc:// URIs without content; upload to them first.`, { retry_after_ms: 60_000 })
      }
      await store.insert(tx, { mediaId, userId, ts, authenticated: settings.authenticated ? 1 : 0 })
    })
    return { contentUri: this.#uri(mediaId), unusedExpiresAt: ts + settings.unusedExpirationMs }
  }

  /** First the file, then the row: a row promises that its file is there. */
  async #store(mediaId: string, upload: Upload, newFor: UserId | undefined): Promise<void> {
    const { blobs, database, store, clock, settings } = this.#needs
    const staged = await this.#receive(upload)
    const name = contentName(mediaId)
    await staged.keep(name)
    const authenticated = settings.authenticated ? 1 : 0
    const content = {
      mediaId, type: usableType(upload.contentType), sizeBytes: staged.sizeBytes, uploadName: upload.fileName ?? null, sha256: staged.sha256, authenticated,
    }
    try {
      await database.transaction(async (tx) => {
        const ts = clock.now()
        if (newFor !== undefined) await store.insert(tx, { mediaId, userId: newFor, ts, authenticated })
        const filled = await store.fill(tx, content, newFor === undefined ? this.#expiredSince() : ts - 1)
        if (!filled) throw unknownReservation()
      })
    } catch (error) {
      await blobs.remove(name)
      throw error
    }
  }

  async #receive(upload: Upload) {
    try {
      return await this.#needs.blobs.write(upload.stream, this.maxUploadBytes)
    } catch (error) {
      if (error instanceof BlobTooLarge) throw this.#tooLarge()
      throw error
    }
  }

  #remote(request: MediaRequest): RemoteMedia {
    const { remote } = this.#needs
    if (!request.allowRemote || remote === undefined || !isServerName(request.serverName) || !isMediaId(request.mediaId)) throw notFound()
    return remote
  }

  /** The row of content that the request may see; waits for content that is on its way. */
  async #require(request: MediaRequest): Promise<MediaRow> {
    const { mediaId, authenticated } = request
    const { store, settings, clock, database } = this.#needs
    let row = isMediaId(mediaId) ? await store.byId(mediaId) : undefined
    if (row === undefined || row.quarantined_by !== null) throw notFound()
    if (settings.authenticated && row.authenticated === 1 && !authenticated) throw notFound()
    if (row.media_length === null) row = await this.#awaited(row, request)
    const now = clock.now()
    if (isLongAgo(row.last_access_ts, now)) await database.transaction((tx) => store.touch(tx, mediaId, now))
    return row
  }

  async #awaited(reserved: MediaRow, { mediaId, timeoutMs, signal }: MediaRequest): Promise<MediaRow> {
    if (reserved.created_ts <= this.#expiredSince()) throw notFound()
    const waiting = this.#waiting.get(mediaId) ?? new Set()
    this.#waiting.set(mediaId, waiting)
    const stop = new AbortController()
    let wake = (): void => undefined
    const uploaded = new Promise<void>((resolve) => {
      wake = resolve
    })
    waiting.add(wake)
    try {
      // Looked up again: the content may have come between the first look and the registration.
      const current = await this.#needs.store.byId(mediaId)
      if (current?.media_length === null && timeoutMs > 0) {
        const timedOut = this.#needs.clock.sleep(Math.min(timeoutMs, longestWaitMs), AbortSignal.any([signal, stop.signal]))
        await Promise.race([uploaded, timedOut.catch((error: unknown) => (stop.signal.aborted ? undefined : Promise.reject(error)))])
      }
    } finally {
      stop.abort()
      waiting.delete(wake)
      if (waiting.size === 0) this.#waiting.delete(mediaId)
    }
    const row = await this.#needs.store.byId(mediaId)
    if (row === undefined || row.quarantined_by !== null) throw notFound()
    if (row.media_length === null) throw refuse('M_NOT_YET_UPLOADED', 'The content of this mxc:// URI has not been uploaded yet; try again later.')
    return row
  }

  #contentOf(row: MediaRow): ServedContent {
    return {
      type: row.media_type ?? 'application/octet-stream',
      sizeBytes: row.media_length ?? 0,
      fileName: row.upload_name ?? undefined,
      digest: row.sha256 ?? row.media_id,
      read: (range) => this.#needs.blobs.read(contentName(row.media_id), range),
    }
  }
}

/** Whether a read is to be noted: reads within an hour count as one. Times in ms since 1970. */
export function isLongAgo(lastAccessTs: number | null, now: number): boolean {
  return (lastAccessTs ?? 0) < now - 3_600_000
}

/** 24 characters with 144 random bits. */
export function newMediaId(): string {
  return randomBytes(18).toString('base64url')
}

/** The refusal of media that does not exist, or shall not be seen. */
export function notFound(): MatrixError {
  return refuse('M_NOT_FOUND', 'There is no such media.')
}

function unknownReservation(): MatrixError {
  return refuse('M_NOT_FOUND', 'This mxc:// URI was not created here or has expired; create a new one.')
}
