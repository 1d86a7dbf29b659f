/** Options of accounts. */
import { boolean, choice, duration, integer, list, secret, string } from '#platform/config/kind.ts'
import { limit, object, option, options, section } from '#platform/config/option.ts'

export const accountsOptions = options({
  bcrypt_rounds: option(integer, { default: 12, doc: 'Cost of hashing a password with bcrypt.', effective: true }),
  password_config: section({
    enabled: option(choice(true, false, 'only_for_reauth'), {
      default: true,
      doc: 'Whether passwords are accepted for login, or only to confirm an action.',
    }),
    localdb_enabled: option(boolean, { default: true, doc: 'Local hashes (false: modules only).' }),
    pepper: option(secret, { doc: 'Hash pepper; never change.' }),
    policy: section({
      enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
      minimum_length: option(integer, { default: 0, doc: 'Length.' }),
      require_digit: option(boolean, { default: false, doc: 'Digit.' }),
      require_symbol: option(boolean, { default: false, doc: 'Symbol.' }),
      require_lowercase: option(boolean, { default: false, doc: 'Lower.' }),
      require_uppercase: option(boolean, { default: false, doc: 'Upper.' }),
    }, { doc: 'Password policy.' }),
  }, { doc: 'Password login.', effective: true }),
  account_threepid_delegates: section({
    msisdn: option(string, { doc: 'Identity server sending SMS (email sub-option removed).' }),
    email: option(string, {
      doc: 'Email.',
      removed: { since: '1.66', instead: 'Remove it; the server sends mails itself, see email', stops: true },
    }),
  }, { doc: 'Delegation of validation.', effective: false }),
  enable_3pid_changes: option(boolean, { default: true, doc: 'Users may change 3pids.', effective: false }),
  request_token_inhibit_3pid_errors: option(boolean, { default: false, doc: 'Hide whether a 3pid is in use.', effective: false }),
  next_link_domain_whitelist: option(list(string), { doc: 'Allowed next_link domains (null any, [] none).', effective: false }),
  rc_3pid_validation: limit(0.003, 5, { doc: '3pid validation mails/SMS.', effective: false }),
  account_validity: option(object({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    period: option(duration, { doc: 'Validity after registration/renewal.' }),
    renew_at: option(duration, { doc: 'Send renewal mail this long before expiry.' }),
    renew_email_subject: option(string, { default: 'Renew your %(app)s account', doc: 'Subject.' }),
    startup_job_max_delta: option(duration, { doc: 'Random spread for existing users when first enabled (default 10% of period).' }),
    template_dir: option(string, {
      doc: 'Template dir.',
      deprecated: { since: '1.41', instead: 'Use templates.custom_template_directory' },
    }),
    account_renewed_html_path: option(string, { default: 'account_renewed.html', doc: 'Template for renewed page.' }),
    invalid_token_html_path: option(string, { default: 'invalid_token.html', doc: 'Template for bad token.' }),
  }), { doc: 'Legacy built-in account expiry (enabled, period, renew_at, renew_email_subject, startup_job_max_delta); no longer in the manual, still supported.', effective: false }),
})
