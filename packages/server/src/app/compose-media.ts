/** Builds the content repository. */
import type { Federation } from '#features/federation/federation.ts'
import { Media } from '#features/media/media.ts'
import { MediaRetention } from '#features/media/media-retention.ts'
import { MediaStore } from '#features/media/media.store.ts'
import { RemoteDownload } from '#features/media/remote-download.ts'
import { RemoteMediaCache } from '#features/media/remote-media.ts'
import { RemoteMediaStore } from '#features/media/remote-media.store.ts'
import { Thumbnails } from '#features/media/thumbnails.ts'
import { Blobs } from '#platform/blobs/blobs.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { GuardedClient } from '#platform/fetch/guarded-client.ts'
import { ImageResizer } from '#platform/images/image-resizer.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Config } from './config.ts'

interface MediaInputs {
  readonly config: Pick<
    Config,
    | 'enable_media_repo' | 'enable_authenticated_media' | 'media_store_path' | 'max_upload_size' | 'max_image_pixels' | 'max_pending_media_uploads'
    | 'unused_expiration_time' | 'dynamic_thumbnails' | 'thumbnail_sizes' | 'prevent_media_downloads_from' | 'media_retention'
  >
  readonly database: Database
  readonly clock: Clock
  readonly serverName: string
  readonly logger: Logger
  /** What content of other servers is fetched with; without, there is none. */
  readonly fetching?: { readonly federation: Federation; readonly outbound: GuardedClient; readonly limits: RateLimits }
  /** Disposes of the image processes and the deleting of old content when the server stops. */
  readonly stack: AsyncDisposableStack
}

/** The content repository and the folder of its files. */
export function composeMedia(inputs: MediaInputs) {
  const { config, database, fetching, stack } = inputs
  const store = new MediaStore(database)
  const remoteStore = new RemoteMediaStore(database)
  const blobs = new Blobs(config.media_store_path)
  const resizer = stack.use(new ImageResizer())
  const thumbnails = new Thumbnails({
    database, blobs, resizer, settings: { dynamic: config.dynamic_thumbnails, sizes: config.thumbnail_sizes, maxPixels: config.max_image_pixels },
  })
  const common = { ...inputs, blobs, thumbnails }
  const remote = fetching && new RemoteMediaCache({
    ...common, ...fetching, store: remoteStore,
    download: new RemoteDownload({ ...fetching, maxBytes: config.max_upload_size }),
    settings: {
      maxBytes: config.max_upload_size, authenticated: config.enable_authenticated_media, refusedServers: new Set(config.prevent_media_downloads_from),
    },
  })
  const media = new Media({
    ...common, store, ...(remote === undefined ? {} : { remote }),
    settings: {
      enabled: config.enable_media_repo,
      authenticated: config.enable_authenticated_media,
      maxUploadBytes: config.max_upload_size,
      maxPendingUploads: config.max_pending_media_uploads,
      unusedExpirationMs: config.unused_expiration_time,
    },
  })
  const { local_media_lifetime: localLifetimeMs, remote_media_lifetime: remoteLifetimeMs } = config.media_retention
  const mediaRetention = new MediaRetention({ ...common, store, remoteStore, localLifetimeMs, remoteLifetimeMs })
  stack.defer(() => mediaRetention.stop())
  return { media, mediaRetention, blobs, resizer }
}
