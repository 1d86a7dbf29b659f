/** Options of sessions. */
import { boolean, duration, list, orNull, path, secret, string } from '#platform/config/kind.ts'
import { limit, option, options, section } from '#platform/config/option.ts'

export const sessionsOptions = options({
  session_lifetime: option(duration, { doc: 'Access token life (conflicts with refreshable).', effective: true }),
  refreshable_access_token_lifetime: option(duration, { default: '5m', doc: 'Life of refreshable tokens.', effective: true }),
  refresh_token_lifetime: option(duration, { doc: 'Refresh token life.', effective: true }),
  nonrefreshable_access_token_lifetime: option(duration, { doc: 'Life of other tokens.', effective: true }),
  login_via_existing_session: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    require_ui_auth: option(boolean, { default: true, doc: 'UIA first.' }),
    token_timeout: option(duration, { default: '5m', doc: 'Token life.' }),
  }, { doc: 'm.get_login_token.', effective: true }),
  rc_login: section({
    address: limit(0.003, 5, { doc: 'By IP.' }),
    account: limit(0.003, 5, { doc: 'By account.' }),
    failed_attempts: limit(0.17, 3, { doc: 'Failures by account.' }),
  }, { doc: 'Login limits.', effective: true }),
  jwt_config: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    secret: option(secret, { doc: 'Key.' }),
    algorithm: option(string, { doc: 'Algorithm.' }),
    subject_claim: option(orNull(string), { default: 'sub', doc: 'Localpart claim.' }),
    display_name_claim: option(string, { doc: 'Name claim.' }),
    issuer: option(string, { doc: 'Required iss.' }),
    audiences: option(list(string), { doc: 'Accepted aud.' }),
  }, { doc: 'org.matrix.login.jwt.', effective: false }),
  macaroon_secret_key: option(secret, {
    doc: 'Secret that signs short-lived tokens; derived from the signing key where it is not set.',
    effective: true,
  }),
  macaroon_secret_key_path: option(path, { doc: 'File that holds macaroon_secret_key.', effective: true }),
  user_ips_max_age: option(orNull(duration), { default: '28d', doc: 'Keep user ip records.', effective: true }),
  track_puppeted_user_ips: option(boolean, { default: false, doc: 'Record IPs of admins acting as users.', effective: true }),
})
