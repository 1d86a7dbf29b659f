/** Options of rtc. */
import { boolean, duration, list, mapping, path, secret, string } from '#platform/config/kind.ts'
import { option, options, section } from '#platform/config/option.ts'

export const rtcOptions = options({
  matrix_rtc: section({
    transports: option(list(mapping), { default: [], doc: 'Transports told to clients, each with its type and further keys.' }),
  }, { doc: 'MatrixRTC (MSC4143).', effective: true }),
  turn_uris: option(list(string), { default: [], doc: 'TURN URIs given to clients.', effective: true }),
  turn_shared_secret: option(secret, { doc: 'HMAC-SHA1 credentials.', effective: true }),
  turn_shared_secret_path: option(path, { doc: 'File that holds turn_shared_secret.', effective: true }),
  turn_username: option(string, { doc: 'Static user.', effective: true }),
  turn_password: option(secret, { doc: 'Static password.', effective: true }),
  turn_user_lifetime: option(duration, { default: '1h', doc: 'How long TURN credentials are valid.', effective: true }),
  turn_allow_guests: option(boolean, { default: true, doc: 'Whether guests get TURN credentials.', effective: true }),
})
