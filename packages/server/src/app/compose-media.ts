/** Builds the content repository. */
import { Media, type RemoteMedia } from '#features/media/media.ts'
import { MediaStore } from '#features/media/media.store.ts'
import { Thumbnails } from '#features/media/thumbnails.ts'
import { Blobs } from '#platform/blobs/blobs.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { ImageResizer } from '#platform/images/image-resizer.ts'
import type { Config } from './config.ts'

interface MediaInputs {
  readonly config: Pick<
    Config,
    | 'enable_media_repo' | 'enable_authenticated_media' | 'media_store_path' | 'max_upload_size' | 'max_image_pixels' | 'max_pending_media_uploads'
    | 'unused_expiration_time' | 'dynamic_thumbnails' | 'thumbnail_sizes'
  >
  readonly database: Database
  readonly clock: Clock
  readonly serverName: string
  readonly remote?: RemoteMedia
  /** Disposes of the image processes when the server stops. */
  readonly stack: AsyncDisposableStack
}

/** The content repository and the folder of its files. */
export function composeMedia({ config, database, clock, serverName, remote, stack }: MediaInputs) {
  const store = new MediaStore(database)
  const blobs = new Blobs(config.media_store_path)
  const resizer = stack.use(new ImageResizer())
  const thumbnails = new Thumbnails({
    database, store, blobs, resizer,
    settings: { dynamic: config.dynamic_thumbnails, sizes: config.thumbnail_sizes, maxPixels: config.max_image_pixels },
  })
  const media = new Media({
    database, store, blobs, thumbnails, clock, serverName, ...(remote === undefined ? {} : { remote }),
    settings: {
      enabled: config.enable_media_repo,
      authenticated: config.enable_authenticated_media,
      maxUploadBytes: config.max_upload_size,
      maxPendingUploads: config.max_pending_media_uploads,
      unusedExpirationMs: config.unused_expiration_time,
    },
  })
  return { media, blobs, resizer }
}
