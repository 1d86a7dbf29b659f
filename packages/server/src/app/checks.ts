/**
 * Conditions that one option alone cannot show: what is required, what needs something else, what contradicts.
 *
 * Spec: appendices, "Server Name"; else Synapse's configuration manual.
 */
import { PolicyPages } from '#features/consent/consent.ts'
import type { Findings, Place } from '#platform/config/fault.ts'
import { TemplateFault } from '#platform/templates/template.ts'
import type { ReadConfig } from './config.ts'

type Locate = (path: string) => Place
type Check = (config: ReadConfig, at: Locate, findings: Findings) => void

/** Notes every fault and warning about options that do not fit together. */
export function checkConfig(config: ReadConfig, at: Locate, findings: Findings): void {
  for (const check of [serverName, registration, autoJoin, database, listeners, previews, tokens, workers, notices, consent, removedProposals]) {
    check(config, at, findings)
  }
}

const dnsName = /^[a-z0-9.-]{1,255}$/
const ipv6 = /^\[[0-9a-f:.]{2,45}\]$/

/** What would mend a server name; undefined where it is right. */
export function serverNameAdvice(name: string): string | undefined {
  if (name !== name.toLowerCase()) return `Write it in lower case: ${name.toLowerCase()}.`
  const match = /^(.*?)(?::(\d{1,5}))?$/.exec(name)
  const host = match?.[1] ?? ''
  const wholeHost = ipv6.test(host) || (dnsName.test(host) && !host.includes('..') && !host.startsWith('.'))
  if (wholeHost && Number(match?.[2] ?? 0) <= 65_535) return undefined
  return 'Write a domain name such as example.org, optionally with a port (example.org:8448); no https://, no path.'
}

const serverName: Check = ({ server_name: name }, at, findings) => {
  if (name === null || name === '') {
    findings.fault(at('server_name'), 'The option server_name is missing.', 'Write the domain of your users\' ids, such as "server_name: example.org".')
    return
  }
  const advice = serverNameAdvice(name)
  if (advice !== undefined) findings.fault(at('server_name'), `"${name}" is not a server name.`, advice)
}

const registration: Check = (config, at, findings) => {
  const verified = config.enable_registration_captcha || config.registrations_require_3pid.length > 0 || config.registration_requires_token
  if (config.enable_registration && !verified && !config.enable_registration_without_verification) {
    findings.fault(
      at('enable_registration'),
      'Open registration without any verification is a known way for spam and abuse.',
      'Ask for verification with registration_requires_token, registrations_require_3pid or enable_registration_captcha; ' +
        'or, if you do want this, set enable_registration_without_verification: true.',
    )
  }
  if (config.enable_registration_captcha && (!config.recaptcha_public_key || !config.recaptcha_private_key)) {
    findings.fault(at('enable_registration_captcha'), 'The captcha has no keys.', 'Set recaptcha_public_key and recaptcha_private_key.')
  }
}

const autoJoin: Check = (config, at, findings) => {
  config.auto_join_rooms.forEach((alias, index) => {
    if (!/^#[^:]+:.+/.test(alias)) {
      findings.fault(at(`auto_join_rooms.<item ${index}>`), `"${alias}" is not a room alias.`, 'Write it as "#name:example.org", in quotes.')
    }
  })
  if (config.autocreate_auto_join_room_preset !== 'public_chat' && config.auto_join_mxid_localpart === null && config.auto_join_rooms.length > 0) {
    findings.fault(
      at('autocreate_auto_join_room_preset'),
      'Rooms that need an invite need somebody who invites.',
      'Set auto_join_mxid_localpart to the localpart of that user.',
    )
  }
}

const database: Check = (config, at, findings) => {
  const { name, args } = config.database
  if (name === 'sqlite3' && typeof args['database'] !== 'string') {
    findings.fault(at('database.args'), 'It is not said where the SQLite database is.', 'Write "args: {database: /path/to/homeserver.db}" below database.')
  }
  if (name === 'psycopg2' && args['dbname'] === undefined && args['database'] === undefined && args['service'] === undefined) {
    findings.fault(at('database.args'), 'It is not said which PostgreSQL database to use.', 'Write dbname, user, password and host below database.args.')
  }
  if (name === 'sqlite3' && config.worker_app !== null) {
    findings.fault(at('database.name'), 'Workers cannot share a SQLite database.', 'Use PostgreSQL: "name: psycopg2".')
  }
}

const listeners: Check = (config, at, findings) => {
  config.listeners.forEach((entry, index) => {
    const path = `listeners.<item ${index}>`
    if (entry.port === null && entry.path === null) findings.fault(at(path), 'The listener has no port.', 'Write "port: 8008", or "path:" with a UNIX socket.')
    if (entry.port !== null && entry.path !== null) findings.fault(at(path), 'The listener has a port and a UNIX socket.', 'Keep port or path, and write a second listener for the other.')
    if (entry.tls && (!config.tls_certificate_path || !config.tls_private_key_path)) {
      findings.fault(at(`${path}.tls`), 'The listener speaks TLS, but there is no certificate.', 'Set tls_certificate_path and tls_private_key_path, or let a reverse proxy speak TLS.')
    }
  })
  if (config.listeners.length === 0 && config.worker_app === null) {
    findings.warn(at('listeners'), 'There are no listeners, so nothing is served. Write at least one: "listeners: [{port: 8008, type: http, resources: [{names: [client]}]}]".')
  }
}

const previews: Check = (config, at, findings) => {
  if (config.url_preview_enabled && config.url_preview_ip_range_blacklist === null) {
    findings.fault(
      at('url_preview_enabled'),
      'URL previews need url_preview_ip_range_blacklist, so that nobody can read your internal network through the server.',
      'Set it to the address ranges of your network; the default of ip_range_blacklist is a good start.',
    )
  }
}

const tokens: Check = (config, at, findings) => {
  const { session_lifetime: session, nonrefreshable_access_token_lifetime: plain, refreshable_access_token_lifetime: refreshable } = config
  if (session !== null && at('refreshable_access_token_lifetime').line > 0) {
    findings.fault(at('session_lifetime'), 'It conflicts with refreshable_access_token_lifetime.', 'Remove session_lifetime, or the option about refreshable tokens.')
  }
  if (plain !== null && plain < refreshable) {
    findings.fault(
      at('nonrefreshable_access_token_lifetime'),
      'Tokens that cannot be refreshed would live shorter than those that can.',
      'Make it at least as long as refreshable_access_token_lifetime.',
    )
  }
}

const workers: Check = (config, at, findings) => {
  if (config.notify_appservices === false && config.notify_appservices_from_worker === null) {
    findings.warn(at('notify_appservices'), 'No process notifies application services; set notify_appservices_from_worker.')
  }
  if (config.update_user_directory === false && config.update_user_directory_from_worker === null) {
    findings.warn(at('update_user_directory'), 'No process updates the user directory; set update_user_directory_from_worker.')
  }
}

const notices: Check = ({ server_notices: options }, at, findings) => {
  if (options === null) return
  const localpart = options.system_mxid_localpart
  if (!localpart) {
    findings.fault(at('server_notices'), 'It is not said which user sends the notices.', 'Write "system_mxid_localpart: notices" below server_notices, or another name that no user has.')
  } else if (!/^[a-z0-9._=/+-]+$/.test(localpart)) {
    findings.fault(at('server_notices.system_mxid_localpart'), `"${localpart}" cannot be the localpart of a user.`, 'Use small letters, digits and ._=-/+ only, such as "notices".')
  }
}

const consent: Check = ({ user_consent: options, form_secret: secret, server_notices: sender }, at, findings) => {
  if (options === null) return
  if (!secret) findings.fault(at('user_consent'), 'Addresses of the policy cannot be signed.', 'Set form_secret to a long random text, which nobody else knows.')
  if (options.server_notice_content !== null && sender === null) {
    findings.warn(at('user_consent.server_notice_content'), 'Nobody is asked for consent by a notice, because server_notices is not set.')
  }
  if (!options.template_dir || !options.version) {
    findings.fault(at('user_consent'), 'It is not said what users are to agree to.', 'Write "template_dir: /path/to/policy" and "version: 1.0" below user_consent; the text is then in /path/to/policy/en/1.0.html.')
    return
  }
  try {
    void new PolicyPages(options.template_dir, options.version)
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error
    findings.fault(at('user_consent.template_dir'), error.message, 'Write HTML there; {{ names }}, {% if %} and {# comments #} may be used.')
  }
}

const removedProposals: Check = (config, at, findings) => {
  if (config.experimental_features['msc3861'] !== undefined) {
    findings.fault(at('experimental_features.msc3861'), 'This option was removed in Synapse 1.157.', 'Use matrix_authentication_service.')
  }
}
