/** A configuration for tools that need the composed server without running it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig, type LoadedConfig } from '../packages/server/src/app/config.ts'

/** Loads a minimal configuration in a temporary folder; `dispose` removes the folder. */
export function exampleConfig(): { readonly loaded: LoadedConfig; readonly dispose: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-tool-'))
  const file = join(folder, 'homeserver.yaml')
  writeFileSync(file, `server_name: example.org\nreport_stats: false\ndatabase: {name: sqlite3, args: {database: example.db}}\nsigning_key_path: "${join(folder, 'signing.key')}"\nmedia_store_path: "${join(folder, 'media')}"\n`)
  return { loaded: loadConfig([file]), dispose: () => rmSync(folder, { recursive: true, force: true }) }
}
