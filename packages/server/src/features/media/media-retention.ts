/** Deletes content that nobody has read for long (`media_retention`). */
import type { Blobs } from '#platform/blobs/blobs.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { contentName, remoteContentName, remoteThumbnailFolder, thumbnailFolder } from './media-paths.ts'
import type { MediaStore } from './media.store.ts'
import { keyOf, placeOf } from './remote-media.ts'
import type { RemoteMediaStore } from './remote-media.store.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly blobs: Blobs
  readonly store: MediaStore
  readonly remoteStore: RemoteMediaStore
  /** Since when nobody must have read content for it to be deleted, in ms; null keeps it. */
  readonly localLifetimeMs: number | null
  readonly remoteLifetimeMs: number | null
}

const intervalMs = 3_600_000
const pageSize = 100

export class MediaRetention {
  readonly #needs: Needs
  readonly #timer: Timer | undefined
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(needs: Needs) {
    this.#needs = needs
    const isWanted = needs.localLifetimeMs !== null || needs.remoteLifetimeMs !== null
    this.#timer = isWanted ? needs.clock.every(intervalMs, () => this.#start()) : undefined
  }

  /** Resolves when nothing is being deleted. */
  settled(): Promise<void> {
    return this.#running
  }

  /** Finishes what is being deleted. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#stopping.abort()
    await this.#running
  }

  #start(): void {
    this.#running = this.#running.then(() => this.#run()).catch((error: unknown) => {
      this.#needs.logger.error('Media that nobody reads could not be deleted; the next run tries again.', { error })
    })
  }

  async #run(): Promise<void> {
    const { store, remoteStore, database, localLifetimeMs, remoteLifetimeMs } = this.#needs
    await this.#each(localLifetimeMs, (since) => store.unread(since, pageSize), async (mediaId) => {
      await database.transaction((tx) => store.remove(tx, mediaId))
      return [contentName(mediaId), thumbnailFolder(mediaId)]
    })
    await this.#each(remoteLifetimeMs, (since) => remoteStore.unread(since, pageSize), async (row) => {
      await database.transaction((tx) => remoteStore.remove(tx, keyOf(row)))
      return [remoteContentName(placeOf(row)), remoteThumbnailFolder(placeOf(row))]
    })
  }

  /** @param forget forgets one item and answers its files, which go after the row: a row promises that they are there */
  async #each<Item>(lifetimeMs: number | null, page: (since: number) => Promise<Item[]>, forget: (item: Item) => Promise<string[]>): Promise<void> {
    if (lifetimeMs === null) return
    const { clock, blobs, logger } = this.#needs
    const since = clock.now() - lifetimeMs
    let count = 0
    for (let items = await page(since); items.length > 0; items = await page(since)) {
      for (const item of items) {
        if (this.#stopping.signal.aborted) return
        for (const name of await forget(item)) await blobs.remove(name)
        count++
      }
    }
    if (count > 0) logger.info('Deleted media that nobody has read for long', { count })
  }
}
