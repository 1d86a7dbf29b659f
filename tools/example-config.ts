/** A configuration for tools that need the composed server without running it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventSigner } from '../packages/protocol/src/events/build.ts'
import { loadConfig, type Config } from '../packages/server/src/app/config.ts'
import { eventSignerOf } from '../packages/server/src/app/signer.ts'

/** Loads a minimal configuration in a temporary folder; `dispose` removes the folder. */
export function exampleConfig(): { readonly config: Config; readonly signer: EventSigner; readonly dispose: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-tool-'))
  const file = join(folder, 'homeserver.yaml')
  writeFileSync(file, `server_name: example.org\nreport_stats: false\ndatabase: {name: sqlite3, args: {database: example.db}}\nsigning_key_path: "${join(folder, 'signing.key')}"\nmedia_store_path: "${join(folder, 'media')}"\n`)
  const loaded = loadConfig([file])
  return { config: loaded.config, signer: eventSignerOf(loaded), dispose: () => rmSync(folder, { recursive: true, force: true }) }
}
