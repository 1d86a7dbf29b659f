/** Options of registration. */
import { boolean, choice, httpUrl, list, path, secret, string } from '#platform/config/kind.ts'
import { limit, object, option, options, section } from '#platform/config/option.ts'

export const registrationOptions = options({
  enable_registration: option(boolean, { default: false, doc: 'Whether anybody may register an account.', effective: true }),
  enable_registration_without_verification: option(boolean, {
    default: false,
    doc: 'Confirms that registration shall be open although nothing keeps bots away.',
    effective: true,
  }),
  registration_requires_token: option(boolean, {
    default: false,
    doc: 'Whether registration needs a token that an administrator gave.',
    effective: true,
  }),
  registration_shared_secret: option(secret, {
    doc: 'Secret that lets its holder register accounts, also administrators.',
    effective: true,
  }),
  registration_shared_secret_path: option(path, {
    doc: 'File with that secret; created where it is missing.',
    effective: true,
    createMissing: true,
  }),
  registrations_require_3pid: option(list(string), { default: [], doc: 'Email and/or msisdn stages required.', effective: false }),
  disable_msisdn_registration: option(boolean, { default: false, doc: 'No msisdn flows.', effective: false }),
  allowed_local_3pids: option(list(object({
    medium: option(choice('email', 'msisdn'), { doc: 'Medium.' }),
    pattern: option(string, { doc: 'Regex.' }),
  })), { doc: 'Allow-list of 3pids.', effective: false }),
  allow_guest_access: option(boolean, { default: false, doc: 'Guest registration.', effective: true }),
  allow_underscore_prefixed_registration: option(boolean, { default: false, doc: 'Allow _localparts.', effective: true }),
  inhibit_user_in_use_error: option(boolean, { default: false, doc: 'Register/available does not reveal taken names.', effective: true }),
  auto_join_rooms: option(list(string), { default: [], doc: 'Aliases joined on registration.', effective: true }),
  autocreate_auto_join_rooms: option(boolean, { default: true, doc: 'Create them on first registration.', effective: true }),
  autocreate_auto_join_rooms_federated: option(boolean, {
    default: true,
    doc: 'Whether these rooms are open to other servers.',
    effective: true,
  }),
  autocreate_auto_join_room_preset: option(choice('public_chat', 'private_chat', 'trusted_private_chat'), {
    default: 'public_chat',
    doc: 'Preset; private ones need auto_join_mxid_localpart.',
    effective: true,
  }),
  auto_join_mxid_localpart: option(string, { doc: 'Creator/inviter of those rooms.', effective: true }),
  auto_join_rooms_for_guests: option(boolean, { default: true, doc: 'Guests too.', effective: true }),
  enable_registration_captcha: option(boolean, { default: false, doc: 'Whether registration has the stage m.login.recaptcha.', effective: true }),
  recaptcha_public_key: option(secret, { doc: 'Site key of the captcha, which clients are given.', effective: true }),
  recaptcha_public_key_path: option(path, { doc: 'File that holds recaptcha_public_key.', effective: true }),
  recaptcha_private_key: option(secret, { doc: 'Secret key of the captcha.', effective: true }),
  recaptcha_private_key_path: option(path, { doc: 'File that holds recaptcha_private_key.', effective: true }),
  recaptcha_siteverify_api: option(httpUrl, {
    default: 'https://www.recaptcha.net/recaptcha/api/siteverify',
    doc: 'URL of the service that checks captchas.',
    effective: true,
  }),
  rc_registration: limit(0.17, 3, { doc: 'Registrations from one address.', effective: true }),
  rc_registration_token_validity: limit(0.1, 5, { doc: 'Token validity checks, by IP.', effective: true }),
  user_types: section({
    default_user_type: option(string, { doc: 'Type given to new users.' }),
    extra_user_types: option(list(string), { default: [], doc: 'Extra allowed types (besides bot, support).' }),
  }, { doc: 'User type settings.', effective: true }),
})
