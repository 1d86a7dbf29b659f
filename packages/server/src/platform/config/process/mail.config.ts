/** Options of mail. */
import { boolean, duration, path, port, secret, string } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'

export const mailOptions = options({
  email: option(object({
    smtp_host: option(string, { default: 'localhost', doc: 'Server.' }),
    smtp_port: option(port, { doc: 'Port of it; 25, or 465 with force_tls.' }),
    smtp_user: option(string, { doc: 'Auth user.' }),
    smtp_pass: option(secret, { doc: 'Auth password.' }),
    force_tls: option(boolean, { default: false, doc: 'Implicit TLS.' }),
    require_transport_security: option(boolean, { default: false, doc: 'Fail without STARTTLS.' }),
    enable_tls: option(boolean, { default: true, doc: 'Use STARTTLS when offered.' }),
    tlsname: option(string, { doc: 'Name for certificate check.' }),
    notif_from: option(string, { doc: 'From header; %(app)s substituted; required.' }),
    app_name: option(string, { default: 'Matrix', doc: 'Name used in subjects/templates.' }),
    enable_notifs: option(boolean, { default: false, doc: 'Missed-message mails allowed.' }),
    notif_for_new_users: option(boolean, { default: true, doc: 'Auto-create email pusher on registration.' }),
    notif_delay_before_mail: option(duration, { default: '10m', doc: 'Wait before first mail.' }),
    client_base_url: option(string, { default: 'https://matrix.to', doc: 'Base of links to rooms in mails.' }),
    riot_base_url: option(string, {
      doc: 'Former name of client_base_url.',
      deprecated: { since: '1.12', instead: 'Use email.client_base_url' },
    }),
    validation_token_lifetime: option(duration, { default: '1h', doc: 'Validation link life.' }),
    invite_client_location: option(string, { doc: 'Web client for 3pid invites (identity server mails).' }),
    subjects: section({
      message_from_person_in_room: option(string, {
        default: '[%(app)s] You have a message on %(app)s from %(person)s in the %(room)s room...',
        doc: '1 message, room with name.',
      }),
      message_from_person: option(string, {
        default: '[%(app)s] You have a message on %(app)s from %(person)s...',
        doc: '1 message, no room name.',
      }),
      messages_from_person: option(string, {
        default: '[%(app)s] You have messages on %(app)s from %(person)s...',
        doc: 'Several, one person.',
      }),
      messages_in_room: option(string, {
        default: '[%(app)s] You have messages on %(app)s in the %(room)s room...',
        doc: 'Several in one named room.',
      }),
      messages_in_room_and_others: option(string, {
        default: '[%(app)s] You have messages on %(app)s in the %(room)s room and others...',
        doc: 'Several rooms.',
      }),
      messages_from_person_and_others: option(string, {
        default: '[%(app)s] You have messages on %(app)s from %(person)s and others...',
        doc: 'Several people.',
      }),
      invite_from_person_to_room: option(string, {
        default: '[%(app)s] %(person)s has invited you to join the %(room)s room on %(app)s...',
        doc: 'Invite with room name.',
      }),
      invite_from_person: option(string, {
        default: '[%(app)s] %(person)s has invited you to chat on %(app)s...',
        doc: 'Invite without room name.',
      }),
      password_reset: option(string, { default: '[%(server_name)s] Password reset', doc: 'Reset mail; %(server_name)s.' }),
      email_validation: option(string, { default: '[%(server_name)s] Validate your email', doc: 'Validation mail; %(server_name)s.' }),
    }, { doc: 'Subject templates.' }),
    template_dir: option(string, {
      doc: 'Template dir.',
      deprecated: { since: '1.41', instead: 'Use templates.custom_template_directory' },
    }),
    notif_template_html: option(string, { default: 'notif_mail.html', doc: 'File name of that template.' }),
    notif_template_text: option(string, { default: 'notif_mail.txt', doc: 'File name of that template.' }),
    expiry_template_html: option(string, { default: 'notice_expiry.html', doc: 'File name of that template.' }),
    expiry_template_text: option(string, { default: 'notice_expiry.txt', doc: 'File name of that template.' }),
    registration_template_html: option(string, { default: 'registration.html', doc: 'File name of that template.' }),
    registration_template_text: option(string, { default: 'registration.txt', doc: 'File name of that template.' }),
    add_threepid_template_html: option(string, { default: 'add_threepid.html', doc: 'File name of that template.' }),
    add_threepid_template_text: option(string, { default: 'add_threepid.txt', doc: 'File name of that template.' }),
    password_reset_template_html: option(string, { default: 'password_reset.html', doc: 'File name of that template.' }),
    password_reset_template_text: option(string, { default: 'password_reset.txt', doc: 'File name of that template.' }),
    registration_template_success_html: option(string, { default: 'registration_success.html', doc: 'File name of that template.' }),
    registration_template_failure_html: option(string, { default: 'registration_failure.html', doc: 'File name of that template.' }),
    add_threepid_template_success_html: option(string, { default: 'add_threepid_success.html', doc: 'File name of that template.' }),
    add_threepid_template_failure_html: option(string, { default: 'add_threepid_failure.html', doc: 'File name of that template.' }),
    password_reset_template_success_html: option(string, { default: 'password_reset_success.html', doc: 'File name of that template.' }),
    password_reset_template_failure_html: option(string, { default: 'password_reset_failure.html', doc: 'File name of that template.' }),
  }), { doc: 'Mail settings.', effective: false }),
  templates: section({
    custom_template_directory: option(path, { doc: 'Single directory overriding packaged templates.' }),
  }, { doc: 'Template settings.', effective: false }),
})
