/**
 * Smaller pictures of content: made when they are first asked for, then kept.
 *
 * Spec: client-server API, "Thumbnails".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { Blobs } from '#platform/blobs/blobs.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { ImageJob, ImageOutcome, ResizeMethod } from '#platform/images/image-job.ts'
import type { ServedContent } from './media-reply.ts'

/** What a client would like to get; sizes in pixels. */
export interface WantedThumbnail {
  readonly width: number
  readonly height: number
  readonly method: ResizeMethod
  readonly animated: boolean
}

/** One of the configured sizes. */
export interface ThumbnailSize {
  readonly width: number
  readonly height: number
  readonly method: ResizeMethod
}

/** The options that thumbnails follow. */
export interface ThumbnailSettings {
  /** Make the size that is asked for, not only the configured ones. */
  readonly dynamic: boolean
  readonly sizes: readonly ThumbnailSize[]
  readonly maxPixels: number
}

/** Which thumbnail of a picture; `animated` is 0 or 1. */
export interface ThumbnailKey {
  readonly width: number
  readonly height: number
  readonly method: string
  readonly animated: number
}

/** What a thumbnail became; without a length in bytes the original serves in its place. */
export interface MadeThumbnail {
  readonly type: string
  readonly length: number | null
}

/** The columns of a kept thumbnail that matter here. */
export interface ThumbnailRow {
  readonly thumbnail_type: string
  readonly thumbnail_length: number | null
}

/** The thumbnails of one picture. */
export interface KeptThumbnails {
  find(key: ThumbnailKey): Promise<ThumbnailRow | undefined>
  count(): Promise<number>
  add(tx: Tx, key: ThumbnailKey, made: MadeThumbnail): Promise<void>
}

/** The picture to make smaller. */
export interface ThumbnailSource {
  /** Blob of the picture. */
  readonly contentName: string
  /** Folder of blobs for what is made of it. */
  readonly thumbnailFolder: string
  readonly kept: KeptThumbnails
  readonly original: ServedContent
}

interface ThumbnailsNeeds {
  readonly database: Database
  readonly blobs: Blobs
  readonly resizer: { resize(job: ImageJob): Promise<ImageOutcome> }
  readonly settings: ThumbnailSettings
}

/** With `dynamic_thumbnails`, one picture has at most so many of them; then the configured sizes serve. */
const dynamicLimit = 50
/** No side of a dynamic thumbnail is longer. */
const longestSide = 4096

export class Thumbnails {
  readonly #needs: ThumbnailsNeeds
  /** Thumbnails that are being made, so that nobody makes one twice. */
  readonly #making = new Map<string, Promise<Thumbnail>>()

  constructor(needs: ThumbnailsNeeds) {
    this.#needs = needs
  }

  /**
   * A picture of at least the wanted size where the original is so large, else the original.
   * Throws 413 `M_TOO_LARGE` for pictures with more pixels than `max_image_pixels`, 400 `M_UNKNOWN` for what is no picture.
   */
  async of(source: ThumbnailSource, wanted: WantedThumbnail): Promise<ServedContent> {
    const key = await this.#keyOf(source.kept, wanted)
    const made = (await kept(source.kept, key)) ?? (await this.#makeOnce(source, key))
    if (made.sizeBytes === undefined) return { ...source.original, type: made.type, fileName: thumbnailName(made.type) }
    return {
      type: made.type,
      sizeBytes: made.sizeBytes,
      fileName: thumbnailName(made.type),
      digest: `${source.original.digest}-${key.width}-${key.height}-${key.method}-${key.animated}`,
      read: (range) => this.#needs.blobs.read(thumbnailPath(source, key), range),
    }
  }

  async #keyOf(thumbnails: KeptThumbnails, wanted: WantedThumbnail): Promise<ThumbnailKey> {
    const { settings } = this.#needs
    const animated = wanted.animated ? 1 : 0
    if (settings.dynamic) {
      const width = Math.min(wanted.width, longestSide)
      const height = Math.min(wanted.height, longestSide)
      const key = { width, height, method: wanted.method, animated }
      if ((await thumbnails.find(key)) !== undefined || (await thumbnails.count()) < dynamicLimit) return key
    }
    const size = bestSize(settings.sizes, wanted)
    if (size === undefined) throw cannotThumbnail()
    return { width: size.width, height: size.height, method: size.method, animated }
  }

  #makeOnce(source: ThumbnailSource, key: ThumbnailKey): Promise<Thumbnail> {
    const path = thumbnailPath(source, key)
    const known = this.#making.get(path)
    if (known !== undefined) return known
    const making = this.#make(source, key).finally(() => this.#making.delete(path))
    this.#making.set(path, making)
    return making
  }

  async #make(source: ThumbnailSource, key: ThumbnailKey): Promise<Thumbnail> {
    const { blobs, resizer, settings, database } = this.#needs
    const target = await blobs.stagingPath()
    const method = key.method === 'crop' ? 'crop' : 'scale'
    const { width, height } = key
    const job = { source: blobs.path(source.contentName), target, width, height, method, animated: key.animated === 1, maxPixels: settings.maxPixels } as const
    try {
      const outcome = await resizer.resize(job)
      if (outcome.kind === 'too-large') throw refuse('M_TOO_LARGE', `The picture has more than the ${settings.maxPixels} pixels that this server makes thumbnails of.`)
      if (outcome.kind === 'unreadable') throw cannotThumbnail()
      const length = outcome.kind === 'made' ? await blobs.adopt(target, thumbnailPath(source, key)) : null
      await database.transaction((tx) => source.kept.add(tx, key, { type: outcome.type, length }))
      return { type: outcome.type, sizeBytes: length ?? undefined }
    } finally {
      await blobs.drop(target)
    }
  }
}

interface Thumbnail {
  readonly type: string
  /** Undefined where the original serves. */
  readonly sizeBytes: number | undefined
}

/**
 * The smallest configured size that is not smaller than wanted, else the largest; sizes of the wanted method come first.
 */
export function bestSize(sizes: readonly ThumbnailSize[], wanted: Pick<WantedThumbnail, 'width' | 'height' | 'method'>): ThumbnailSize | undefined {
  const area = (size: ThumbnailSize): number => size.width * size.height
  const ofMethod = sizes.filter((size) => size.method === wanted.method)
  const isLargeEnough = (size: ThumbnailSize): boolean => size.width >= wanted.width && size.height >= wanted.height
  const usable = ofMethod.some(isLargeEnough) || !sizes.some(isLargeEnough) ? ofMethod : sizes
  const candidates = [...(usable.length > 0 ? usable : sizes)].sort((a, b) => area(a) - area(b))
  return candidates.find(isLargeEnough) ?? candidates.at(-1)
}

async function kept(thumbnails: KeptThumbnails, key: ThumbnailKey): Promise<Thumbnail | undefined> {
  const row = await thumbnails.find(key)
  return row === undefined ? undefined : { type: row.thumbnail_type, sizeBytes: row.thumbnail_length ?? undefined }
}

function thumbnailPath({ thumbnailFolder }: ThumbnailSource, { width, height, method, animated }: ThumbnailKey): string {
  return `${thumbnailFolder}/${width}-${height}-${animated === 1 ? 'animated' : 'still'}-${method}`
}

/** A name for the download, by the type: `thumbnail.png`. */
function thumbnailName(type: string): string {
  return `thumbnail.${type === 'image/jpeg' ? 'jpg' : type.slice(type.indexOf('/') + 1)}`
}

function cannotThumbnail(): MatrixError {
  return new MatrixError(400, 'M_UNKNOWN', 'There is no thumbnail of this content: it is no PNG, JPEG, GIF or WebP picture, or it is damaged.')
}
