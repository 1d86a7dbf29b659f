/** The version of this program, from its manifest. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest && typeof manifest.version === 'string') return manifest.version
  return 'unknown'
}

/** Such as `0.1.0`. */
export const serverVersion = readVersion()
