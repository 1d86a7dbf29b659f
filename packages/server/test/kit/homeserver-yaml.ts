/** The homeserver.yaml of a test: no limits, no network, the storage engine under test. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { testDatabase } from './postgres.ts'
import { sharedSecret } from './shared-secret.ts'

/** What a test wants to be different. */
export interface HomeserverYamlOptions {
  /** Further lines; one with the name of a line of the test's own takes its place. */
  readonly config?: string
  /** Keep the rate limits of the defaults; without, nothing is limited. */
  readonly rateLimits?: boolean
}

const unlimited = '{per_second: 100000, burst_count: 100000}'

const baseConfig = `server_name: test.example
report_stats: false
enable_registration: true
enable_registration_without_verification: true
allow_guest_access: true
registration_shared_secret: ${sharedSecret}
macaroon_secret_key: macaroon-secret-of-tests
form_secret: form-secret-of-tests
url_preview_enabled: false
suppress_key_server_warning: true
federation_domain_whitelist: []
`

/** Rate limits that no test reaches. */
export const withoutLimits = `rc_message: ${unlimited}
rc_registration: ${unlimited}
rc_registration_token_validity: ${unlimited}
rc_login: {address: ${unlimited}, account: ${unlimited}, failed_attempts: ${unlimited}}
rc_admin_redaction: ${unlimited}
rc_delayed_event_mgmt: ${unlimited}
rc_federation: {sleep_limit: 100000, reject_limit: 100000, concurrent: 100000}
rc_joins: {local: ${unlimited}, remote: ${unlimited}}
rc_joins_per_room: ${unlimited}
rc_invites: {per_room: ${unlimited}, per_user: ${unlimited}, per_issuer: ${unlimited}}
rc_third_party_invite: ${unlimited}
rc_media_create: ${unlimited}
rc_presence: {per_user: ${unlimited}}
rc_reports: ${unlimited}
rc_room_creation: ${unlimited}
rc_search: ${unlimited}
rc_user_directory: ${unlimited}
`

/** Which engine the test runs on. */
export const testEngine = process.env['MYELIN_TEST_DATABASE'] === 'postgres' ? 'postgres' : 'sqlite'

/**
 * Writes a configuration whose data lie in the same folder, or in a PostgreSQL database of their own.
 * @returns the path of the file
 */
export async function writeHomeserverYaml(t: TestContext, folder: string, options: HomeserverYamlOptions = {}): Promise<string> {
  const path = join(folder, 'homeserver.yaml')
  const database = testEngine === 'postgres' ? await testDatabase(t) : `database: {name: sqlite3, args: {database: "${join(folder, 'homeserver.db')}"}}\n`
  const own = options.config ?? ''
  const paths = `media_store_path: "${join(folder, 'media')}"\nsigning_key_path: "${join(folder, 'signing.key')}"\n`
  const defaults = [baseConfig, database, options.rateLimits ? '' : withoutLimits, paths]
  const isOverridden = (line: string): boolean => new RegExp(`^${/^\w+/.exec(line)?.[0] ?? '\\0'}:`, 'm').test(own)
  const lines = defaults.join('').split('\n').filter((line) => line !== '' && !isOverridden(line))
  writeFileSync(path, `${lines.join('\n')}\n${own}`)
  return path
}
