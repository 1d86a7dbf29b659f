/** Where content lies below the media store, in Synapse's layout. */

/** Name of the file with the content of a media id. */
export function contentName(mediaId: string): string {
  return `local_content/${spread(mediaId)}`
}

/** Folder of the thumbnails of a media id. */
export function thumbnailFolder(mediaId: string): string {
  return `local_thumbnails/${spread(mediaId)}`
}

/** Where content of another server lies, by an id that this server has given it. */
export interface RemotePlace {
  readonly origin: string
  readonly filesystemId: string
}

/** Name of the file with content of another server. */
export function remoteContentName({ origin, filesystemId }: RemotePlace): string {
  return `remote_content/${origin}/${spread(filesystemId)}`
}

/** Folder of the thumbnails of content of another server. */
export function remoteThumbnailFolder({ origin, filesystemId }: RemotePlace): string {
  return `remote_thumbnail/${origin}/${spread(filesystemId)}`
}

/** An id as a path of folders, so that no folder gets too full. */
function spread(id: string): string {
  return `${id.slice(0, 2)}/${id.slice(2, 4)}/${id.slice(4)}`
}
