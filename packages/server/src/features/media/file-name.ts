/**
 * The name that a server gives a file.
 *
 * Spec: RFC 6266, "Content-Disposition"; RFC 8187, "Extended Parameters".
 */
import { isFileName } from './media-reply.ts'

const extended = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i
const quoted = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i
const plain = /;\s*filename\s*=\s*([^;"\s][^;]*)/i

/** The file name in a `Content-Disposition` header; undefined where there is none that could be kept. */
export function fileNameOf(disposition: string | undefined): string | undefined {
  if (disposition === undefined || disposition.length > 10_000) return undefined
  const name = decoded(extended.exec(disposition)?.[1]) ?? quoted.exec(disposition)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? plain.exec(disposition)?.[1]?.trim()
  return name !== undefined && name !== '' && isFileName(name) ? name : undefined
}

function decoded(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  try {
    return decodeURIComponent(value)
  } catch {
    return undefined
  }
}
