/** Where content lies below the media store, in Synapse's layout. */

/** Name of the file with the content of a media id. */
export function contentName(mediaId: string): string {
  return `local_content/${mediaId.slice(0, 2)}/${mediaId.slice(2, 4)}/${mediaId.slice(4)}`
}
