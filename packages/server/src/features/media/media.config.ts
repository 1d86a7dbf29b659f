/** Options of media. */
import { boolean, bytes, choice, duration, integer, list, mapping, path, string } from '#platform/config/kind.ts'
import { limit, object, option, options, section } from '#platform/config/option.ts'

export const mediaOptions = options({
  enable_media_repo: option(boolean, { default: true, doc: 'Media repo in this process (false when media worker).', effective: true }),
  enable_authenticated_media: option(boolean, { default: true, doc: 'Serve new media only on authenticated endpoints.', effective: true }),
  enable_local_media_storage: option(boolean, { default: true, doc: 'Keep local copies (false needs a provider).', effective: false }),
  media_store_path: option(path, { default: 'media_store', doc: 'Folder of uploaded and downloaded media.', effective: true }),
  max_upload_size: option(bytes, { default: '50M', doc: 'Largest upload.', effective: true }),
  max_image_pixels: option(bytes, { default: '32M', doc: 'Largest image that gets thumbnails, in pixels.', effective: true }),
  max_pending_media_uploads: option(integer, { default: 5, doc: 'Pending async uploads per user.', effective: true }),
  unused_expiration_time: option(duration, { default: '24h', doc: 'Expiry of created-but-unused mxc.', effective: true }),
  media_upload_limits: option(list(object({
    time_period: option(duration, { doc: 'Length of the period.' }),
    max_size: option(bytes, { doc: 'Bytes that a user may upload in it.' }),
    msc4335_info_uri: option(string, { doc: 'Page that explains the limit.' }),
    msc4335_soft_limit: option(boolean, { default: false, doc: 'Whether the limit can be raised.' }),
    msc4335_increase_uri: option(string, { doc: 'Page where it can be raised.' }),
  })), { default: [], doc: 'Upload quotas of a user by period.', effective: false }),
  dynamic_thumbnails: option(boolean, { default: false, doc: 'Make requested sizes on demand.', effective: true }),
  thumbnail_sizes: option(list(object({
    width: option(integer, { default: 0, doc: 'Pixels.' }),
    height: option(integer, { default: 0, doc: 'Pixels.' }),
    method: option(choice('crop', 'scale'), { default: 'scale', doc: 'Whether the image is cut to the size or fitted into it.' }),
  })), {
    default: [
      { width: 32, height: 32, method: 'crop' },
      { width: 96, height: 96, method: 'crop' },
      { width: 320, height: 240, method: 'scale' },
      { width: 640, height: 480, method: 'scale' },
      { width: 800, height: 600, method: 'scale' },
    ],
    doc: 'Sizes of thumbnails.',
    effective: true,
  }),
  rc_media_create: limit(10, 50, { doc: 'Async media create.', effective: true }),
  remote_media_download_burst_count: option(bytes, { default: '500MiB', doc: 'Bucket size per IP.', effective: true }),
  remote_media_download_per_second: option(bytes, { default: '87KiB', doc: 'Leak rate per IP.', effective: true }),
  prevent_media_downloads_from: option(list(string), { default: [], doc: 'Servers whose media is refused.', effective: true }),
  media_storage_providers: option(list(object({
    module: option(string, { doc: 'Provider class (file_system built in).' }),
    store_local: option(boolean, { doc: 'Store local uploads.' }),
    store_remote: option(boolean, { doc: 'Store remote media.' }),
    store_synchronous: option(boolean, { doc: 'Wait for the write.' }),
    config: option(mapping, { default: {}, doc: 'Configuration of the provider, such as directory.' }),
  })), { default: [], doc: 'Extra media back-ends.', effective: false }),
  media_retention: section({
    local_media_lifetime: option(duration, { doc: 'Delete local media that nobody has read for so long.' }),
    remote_media_lifetime: option(duration, { doc: 'Delete cached remote media that nobody has read for so long.' }),
  }, { doc: 'Media expiry by last access.', effective: true }),
})
