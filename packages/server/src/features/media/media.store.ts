/** Queries of the content repository: media of this server and their thumbnails. */
import { sql } from 'kysely'
import type { Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { LocalMediaRepositoryTable, Tables } from '#schema/tables.gen.ts'
import type { KeptThumbnails, MadeThumbnail, ThumbnailKey, ThumbnailRow } from './thumbnails.ts'

type MediaTables = Pick<Tables, 'local_media_repository' | 'local_media_repository_thumbnails'>

/** One media id; `media_length` is null until its content was uploaded. */
export type MediaRow = Selectable<LocalMediaRepositoryTable>

type LocalThumbnail = ThumbnailKey & { readonly mediaId: string }

/** What an upload brought. */
export interface Content {
  readonly mediaId: string
  readonly type: string
  readonly sizeBytes: number
  readonly uploadName: string | null
  readonly sha256: string
  readonly authenticated: number
}

export class MediaStore {
  readonly #database: Database
  readonly #byId: Prepared<{ mediaId: string }, MediaRow>
  readonly #insert: Prepared<{ mediaId: string; userId: UserId; ts: number; authenticated: number }, unknown>
  readonly #fill: Prepared<Content & { since: number }, { media_id: string }>
  readonly #pending: Prepared<{ userId: UserId; since: number }, { count: number }>
  readonly #expire: Prepared<{ userId: UserId; since: number }, unknown>
  readonly #touch: Prepared<{ mediaId: string; ts: number }, unknown>
  readonly #thumbnail: Prepared<LocalThumbnail, ThumbnailRow>
  readonly #thumbnailCount: Prepared<{ mediaId: string }, { count: number }>
  readonly #addThumbnail: Prepared<LocalThumbnail & MadeThumbnail, unknown>
  readonly #unread: Prepared<{ since: number; limit: number }, { media_id: string }>
  readonly #remove: Prepared<{ mediaId: string }, unknown>
  readonly #removeThumbnails: Prepared<{ mediaId: string }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<MediaTables>(database.dialect)
    const count = sql<number>`count(*)`.as('count')
    this.#byId = prepare('media.byId', ({ mediaId }) => db.selectFrom('local_media_repository').selectAll().where('media_id', '=', mediaId))
    this.#insert = prepare('media.insert', ({ mediaId, userId, ts, authenticated }) =>
      db.insertInto('local_media_repository').values({ media_id: mediaId, user_id: userId, created_ts: ts, authenticated }))
    this.#fill = prepare('media.fill', (content) =>
      db.updateTable('local_media_repository')
        .set({
          media_type: content.type, media_length: content.sizeBytes, upload_name: content.uploadName, sha256: content.sha256,
          authenticated: content.authenticated,
        })
        .where('media_id', '=', content.mediaId).where('media_length', 'is', null).where('created_ts', '>', content.since)
        .returning('media_id'))
    const pending = db.selectFrom('local_media_repository').select(count).where('media_length', 'is', null)
    this.#pending = prepare('media.pending', ({ userId, since }) => pending.where('user_id', '=', userId).where('created_ts', '>', since))
    this.#expire = prepare('media.expire', ({ userId, since }) =>
      db.deleteFrom('local_media_repository').where('media_length', 'is', null).where('user_id', '=', userId).where('created_ts', '<=', since))
    this.#touch = prepare('media.touch', ({ mediaId, ts }) =>
      db.updateTable('local_media_repository').set({ last_access_ts: ts }).where('media_id', '=', mediaId))
    const thumbnails = db.selectFrom('local_media_repository_thumbnails')
    this.#thumbnail = prepare('media.thumbnail', ({ mediaId, width, height, method, animated }) =>
      thumbnails.select(['thumbnail_type', 'thumbnail_length']).where('media_id', '=', mediaId).where('thumbnail_width', '=', width).where('thumbnail_height', '=', height)
        .where('thumbnail_method', '=', method).where('animated', '=', animated))
    this.#thumbnailCount = prepare('media.thumbnailCount', ({ mediaId }) => thumbnails.select(count).where('media_id', '=', mediaId))
    this.#addThumbnail = prepare('media.addThumbnail', ({ mediaId, width, height, method, animated, type, length }) =>
      db.insertInto('local_media_repository_thumbnails')
        .values({
          media_id: mediaId, thumbnail_width: width, thumbnail_height: height, thumbnail_method: method, animated,
          thumbnail_type: type, thumbnail_length: length,
        })
        .onConflict((conflict) => conflict.doNothing()))
    this.#unread = prepare('media.unread', ({ since, limit }) =>
      db.selectFrom('local_media_repository').select('media_id').where((eb) => eb.fn.coalesce('last_access_ts', 'created_ts'), '<', since)
        .where('media_length', 'is not', null).where('quarantined_by', 'is', null).where('safe_from_quarantine', '=', 0).limit(limit))
    this.#remove = prepare('media.remove', ({ mediaId }) => db.deleteFrom('local_media_repository').where('media_id', '=', mediaId))
    this.#removeThumbnails = prepare('media.removeThumbnails', ({ mediaId }) =>
      db.deleteFrom('local_media_repository_thumbnails').where('media_id', '=', mediaId))
  }

  byId(mediaId: string): Promise<MediaRow | undefined> {
    return this.#byId.first(this.#database, { mediaId })
  }

  /** Reserves a media id. */
  async insert(tx: Tx, row: { readonly mediaId: string; readonly userId: UserId; readonly ts: number; readonly authenticated: number }): Promise<void> {
    await this.#insert.run(tx, row)
  }

  /**
   * Gives a reserved id its content.
   * @param since reservations of this time (ms since 1970) and older ones have expired
   * @returns false when the id is not reserved any more
   */
  async fill(tx: Tx, content: Content, since: number): Promise<boolean> {
    return (await this.#fill.first(tx, { ...content, since })) !== undefined
  }

  /** Number of a user's reservations that are younger than `since` (ms since 1970). */
  async pending(tx: Tx, userId: UserId, since: number): Promise<number> {
    return (await this.#pending.first(tx, { userId, since }))?.count ?? 0
  }

  /** Removes a user's reservations that are not younger than `since` (ms since 1970). */
  async expire(tx: Tx, userId: UserId, since: number): Promise<void> {
    await this.#expire.run(tx, { userId, since })
  }

  /** Notes that the content was read. */
  async touch(tx: Tx, mediaId: string, ts: number): Promise<void> {
    await this.#touch.run(tx, { mediaId, ts })
  }

  /** The thumbnails of a media id. */
  thumbnailsOf(mediaId: string): KeptThumbnails {
    return {
      find: (key) => this.#thumbnail.first(this.#database, { ...key, mediaId }),
      count: async () => (await this.#thumbnailCount.first(this.#database, { mediaId }))?.count ?? 0,
      add: (tx, key, made) => this.#addThumbnail.run(tx, { ...key, ...made, mediaId }),
    }
  }

  /** Ids of content that nobody has read since a time (ms since 1970), in no order; neither quarantined nor safe from it. */
  async unread(since: number, limit: number): Promise<string[]> {
    return (await this.#unread.all(this.#database.scans, { since, limit })).map((row) => row.media_id)
  }

  /** Forgets content and its thumbnails. */
  async remove(tx: Tx, mediaId: string): Promise<void> {
    await this.#removeThumbnails.run(tx, { mediaId })
    await this.#remove.run(tx, { mediaId })
  }
}
