/** Options of server keys. */
import { boolean, duration, integer, list, map, path, string } from '#platform/config/kind.ts'
import { object, option, options } from '#platform/config/option.ts'

export const serverKeysOptions = options({
  signing_key_path: option(path, { doc: 'File with the key that signs events and requests.', effective: true }),
  old_signing_keys: option(map(object({
    key: option(string, { doc: 'Public key.' }),
    expired_ts: option(integer, { doc: 'Ms.' }),
  })), { default: {}, doc: 'Retired keys published.', effective: true }),
  key_refresh_interval: option(duration, { default: '1d', doc: 'Validity of published keys.', effective: true }),
  trusted_key_servers: option(list(object({
    server_name: option(string, { doc: 'Name of the notary.' }),
    verify_keys: option(map(string), { default: {}, doc: 'Its public keys by key id.' }),
    accept_keys_insecurely: option(boolean, { default: false, doc: 'Whether to believe it without those keys and without TLS.' }),
  })), { default: [{ server_name: 'matrix.org' }], doc: 'Notaries that are asked for keys of other servers.', effective: true }),
  suppress_key_server_warning: option(boolean, { default: false, doc: 'Silence matrix.org warning.', effective: true }),
  key_server_signing_keys_path: option(path, { doc: 'Key used when acting as notary.', effective: true }),
})
