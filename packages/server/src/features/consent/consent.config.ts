/** Options of users' consent to the server's policy. */
import { boolean, mapping, path, secret, string } from '#platform/config/kind.ts'
import { object, option, options } from '#platform/config/option.ts'

export const consentOptions = options({
  form_secret: option(secret, { doc: 'Secret that signs the addresses of the policy that are given to users.', effective: true }),
  form_secret_path: option(path, { doc: 'File that holds form_secret.', effective: true }),
  user_consent: option(object({
    template_dir: option(path, { doc: 'Folder of the policy: en/<version>.html, and en/success.html for the page after consent.' }),
    version: option(string, { doc: 'Version of the policy that users must agree to.' }),
    server_notice_content: option(mapping, { doc: 'Message of the notice that asks for consent; %(consent_uri)s stands for the address of the policy.' }),
    send_server_notice_to_guests: option(boolean, { default: false, doc: 'Whether guests get that notice too.' }),
    block_events_error: option(string, { doc: 'What users are told who try to write, join or invite without consent; without, nothing is refused.' }),
    require_at_registration: option(boolean, { default: false, doc: 'Whether registration has the stage m.login.terms.' }),
    policy_name: option(string, { default: 'Privacy Policy', doc: 'Name of the policy at registration.' }),
  }), { doc: 'Consent of users to the policy of the server.', effective: true }),
})
