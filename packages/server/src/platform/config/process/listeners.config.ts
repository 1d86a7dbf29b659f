/** Options of listeners. */
import { boolean, choice, fileMode, list, map, mapping, path, port, secret, string } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'

const resourceNames = ['client', 'consent', 'federation', 'health', 'keys', 'media', 'metrics', 'openid', 'replication', 'static'] as const

/** One place to listen at. */
export const listener = options({
  port: option(port, { doc: 'TCP port; 0 takes a free one.' }),
  tag: option(string, { doc: 'Name for metrics and logs in place of the port.' }),
  bind_addresses: option(list(string), { doc: 'Local addresses (default all).' }),
  bind_address: option(string, { doc: 'One local address; bind_addresses takes several.' }),
  type: option(choice('http', 'manhole', 'metrics'), { default: 'http', doc: 'What is served there.' }),
  tls: option(boolean, { default: false, doc: 'Whether the listener speaks TLS itself.' }),
  x_forwarded: option(boolean, {
    default: false,
    doc: 'Whether to trust the headers X-Forwarded-For and X-Forwarded-Proto of a reverse proxy.',
  }),
  request_id_header: option(string, { doc: 'Header whose value is used as request id.' }),
  resources: option(list(object({
    names: option(list(choice(...resourceNames)), { default: [], doc: 'Names of what is served.' }),
    compress: option(boolean, { default: false, doc: 'Whether answers are compressed with gzip.' }),
  })), { default: [], doc: 'What an HTTP listener serves.' }),
  additional_resources: option(map(object({
    module: option(string, { doc: 'Module that serves it.' }),
    config: option(mapping, { default: {}, doc: 'Configuration of the module.' }),
  })), { default: {}, doc: 'Further paths, served by modules.' }),
  path: option(path, { doc: 'UNIX socket to listen on in place of a port.' }),
  mode: option(fileMode, { default: '666', doc: 'Mode of the UNIX socket, in octal digits.' }),
})

export const listenersOptions = options({
  listeners: option(list(object(listener)), { default: [], doc: 'Where the server listens.', effective: true }),
  manhole: option(port, { doc: 'Port of the debug shell on 127.0.0.1.', effective: false }),
  manhole_settings: section({
    username: option(string, { doc: 'Ssh user (default matrix).' }),
    password: option(secret, { doc: 'Ssh password (default rabbithole).' }),
    ssh_priv_key_path: option(path, { doc: 'Host key.' }),
    ssh_pub_key_path: option(path, { doc: 'Host public key.' }),
  }, { doc: 'Manhole login.', effective: false }),
  tls_certificate_path: option(path, { doc: 'PEM chain for TLS listeners.', effective: true }),
  tls_private_key_path: option(path, { doc: 'PEM key.', effective: true }),
})
