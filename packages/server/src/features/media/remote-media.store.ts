/** Queries of the content of other servers that is kept here, and of its thumbnails. */
import { sql } from 'kysely'
import type { Selectable } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { RemoteMediaCacheTable, Tables } from '#schema/tables.gen.ts'
import type { KeptThumbnails, MadeThumbnail, ThumbnailKey, ThumbnailRow } from './thumbnails.ts'

/** Content of another server. */
export type RemoteMediaRow = Selectable<RemoteMediaCacheTable>

/** Which content. */
export interface RemoteKey {
  readonly origin: string
  readonly mediaId: string
}

/** Content that has come: what its server says of it, and where it is here. */
export interface RemoteContentRow extends RemoteKey {
  readonly type: string
  readonly sizeBytes: number
  readonly uploadName: string | null
  readonly filesystemId: string
  readonly sha256: string
  readonly authenticated: number
  readonly ts: number
}

export class RemoteMediaStore {
  readonly #database: Database
  readonly #byKey: Prepared<RemoteKey, RemoteMediaRow>
  readonly #insert: Prepared<RemoteContentRow, { media_id: string }>
  readonly #touch: Prepared<RemoteKey & { ts: number }, unknown>
  readonly #thumbnail: Prepared<RemoteKey & ThumbnailKey, ThumbnailRow>
  readonly #thumbnailCount: Prepared<RemoteKey, { count: number }>
  readonly #addThumbnail: Prepared<RemoteKey & ThumbnailKey & MadeThumbnail, unknown>
  readonly #unread: Prepared<{ since: number; limit: number }, RemoteMediaRow>
  readonly #remove: Prepared<RemoteKey, unknown>
  readonly #removeThumbnails: Prepared<RemoteKey, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'remote_media_cache' | 'remote_media_cache_thumbnails'>>(database.dialect)
    this.#byKey = prepare('remoteMedia.byKey', ({ origin, mediaId }) =>
      db.selectFrom('remote_media_cache').selectAll().where('media_origin', '=', origin).where('media_id', '=', mediaId))
    this.#insert = prepare('remoteMedia.insert', (content) =>
      db.insertInto('remote_media_cache')
        .values({
          media_origin: content.origin, media_id: content.mediaId, media_type: content.type, media_length: content.sizeBytes, upload_name: content.uploadName,
          filesystem_id: content.filesystemId, sha256: content.sha256, authenticated: content.authenticated, created_ts: content.ts, last_access_ts: content.ts,
        })
        .onConflict((conflict) => conflict.doNothing()).returning('media_id'))
    this.#touch = prepare('remoteMedia.touch', ({ origin, mediaId, ts }) =>
      db.updateTable('remote_media_cache').set({ last_access_ts: ts }).where('media_origin', '=', origin).where('media_id', '=', mediaId))
    const thumbnails = db.selectFrom('remote_media_cache_thumbnails')
    this.#thumbnail = prepare('remoteMedia.thumbnail', ({ origin, mediaId, width, height, method, animated }) =>
      thumbnails.select(['thumbnail_type', 'thumbnail_length']).where('media_origin', '=', origin).where('media_id', '=', mediaId)
        .where('thumbnail_width', '=', width).where('thumbnail_height', '=', height).where('thumbnail_method', '=', method).where('animated', '=', animated))
    this.#thumbnailCount = prepare('remoteMedia.thumbnailCount', ({ origin, mediaId }) =>
      thumbnails.select(sql<number>`count(*)`.as('count')).where('media_origin', '=', origin).where('media_id', '=', mediaId))
    this.#addThumbnail = prepare('remoteMedia.addThumbnail', ({ origin, mediaId, width, height, method, animated, type, length }) =>
      db.insertInto('remote_media_cache_thumbnails')
        .values({
          media_origin: origin, media_id: mediaId, thumbnail_width: width, thumbnail_height: height, thumbnail_method: method, animated,
          thumbnail_type: type, thumbnail_length: length,
        })
        .onConflict((conflict) => conflict.doNothing()))
    this.#unread = prepare('remoteMedia.unread', ({ since, limit }) =>
      db.selectFrom('remote_media_cache').selectAll().where('last_access_ts', '<', since).where('quarantined_by', 'is', null).limit(limit))
    this.#remove = prepare('remoteMedia.remove', ({ origin, mediaId }) =>
      db.deleteFrom('remote_media_cache').where('media_origin', '=', origin).where('media_id', '=', mediaId))
    this.#removeThumbnails = prepare('remoteMedia.removeThumbnails', ({ origin, mediaId }) =>
      db.deleteFrom('remote_media_cache_thumbnails').where('media_origin', '=', origin).where('media_id', '=', mediaId))
  }

  byKey({ origin, mediaId }: RemoteKey): Promise<RemoteMediaRow | undefined> {
    return this.#byKey.first(this.#database, { origin, mediaId })
  }

  /** Adds content; false where it is there already. */
  async insert(tx: Tx, content: RemoteContentRow): Promise<boolean> {
    return (await this.#insert.first(tx, content)) !== undefined
  }

  /** Notes that the content was read. */
  async touch(tx: Tx, { origin, mediaId }: RemoteKey, ts: number): Promise<void> {
    await this.#touch.run(tx, { origin, mediaId, ts })
  }

  /** The thumbnails of a piece of content. */
  thumbnailsOf({ origin, mediaId }: RemoteKey): KeptThumbnails {
    return {
      find: (key) => this.#thumbnail.first(this.#database, { ...key, origin, mediaId }),
      count: async () => (await this.#thumbnailCount.first(this.#database, { origin, mediaId }))?.count ?? 0,
      add: (tx, key, made) => this.#addThumbnail.run(tx, { ...key, ...made, origin, mediaId }),
    }
  }

  /** Content that nobody has read since a time (ms since 1970) and that is not quarantined, in no order. */
  unread(since: number, limit: number): Promise<RemoteMediaRow[]> {
    return this.#unread.all(this.#database, { since, limit })
  }

  /** Forgets content and its thumbnails. */
  async remove(tx: Tx, { origin, mediaId }: RemoteKey): Promise<void> {
    await this.#removeThumbnails.run(tx, { origin, mediaId })
    await this.#remove.run(tx, { origin, mediaId })
  }
}
