/** Options of oauth. */
import { boolean, path, secret, string } from '#platform/config/kind.ts'
import { option, options, section } from '#platform/config/option.ts'

export const oauthOptions = options({
  matrix_authentication_service: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    endpoint: option(string, { default: 'http://localhost:8080', doc: 'Where MAS is reached.' }),
    force_http2: option(boolean, { default: false, doc: 'H2c to MAS.' }),
    secret: option(secret, { doc: 'Shared secret both ways.' }),
    secret_path: option(path, { doc: 'File with the secret.' }),
  }, { doc: 'Delegate auth to MAS.', effective: false }),
})
