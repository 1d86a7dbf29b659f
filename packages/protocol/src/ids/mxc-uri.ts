/**
 * URIs of the content repository.
 *
 * Spec: client-server API, "Matrix Content (mxc://) URIs".
 */
import type { ServerName } from './ids.ts'
import { isServerName } from './server-name.ts'

/** The parts of `mxc://<server-name>/<media-id>`. */
export interface MxcParts {
  readonly serverName: ServerName
  readonly mediaId: string
}

const mediaIdGrammar = /^[A-Za-z0-9_-]{1,255}$/

/** Whether a text may be a media id: letters, digits, `_` and `-`. */
export function isMediaId(text: unknown): text is string {
  return typeof text === 'string' && mediaIdGrammar.test(text)
}

/** The parts of an mxc URI, or undefined where the text is none; a query or fragment is none of its parts. */
export function parseMxcUri(text: string): MxcParts | undefined {
  if (!text.startsWith('mxc://')) return undefined
  const slash = text.indexOf('/', 6)
  if (slash < 0) return undefined
  const serverName = text.slice(6, slash)
  const mediaId = text.slice(slash + 1)
  return isServerName(serverName) && isMediaId(mediaId) ? { serverName, mediaId } : undefined
}

/** The URI of a piece of content. */
export function formatMxcUri(serverName: ServerName, mediaId: string): string {
  return `mxc://${serverName}/${mediaId}`
}
