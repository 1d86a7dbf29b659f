/** Options of discovery. */
import { boolean, mapping, string } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

export const discoveryOptions = options({
  public_baseurl: option(string, { doc: 'Client-facing base URL; base for SSO callbacks, mail links, well-known.', effective: true }),
  serve_server_wellknown: option(boolean, { default: false, doc: 'Serve /.well-known/matrix/server = server_name:443.', effective: true }),
  extra_well_known_client_content: option(mapping, { default: {}, doc: 'Further content of /.well-known/matrix/client.', effective: true }),
  default_identity_server: option(string, { doc: 'Advertised/used identity server.', effective: true }),
  web_client_location: option(string, { doc: 'Http(s) URL that / redirects to.', effective: true }),
})
