/** Options of messages. */
import { duration, integer, orNull, rateLimit } from '#platform/config/kind.ts'
import { limit, option, options } from '#platform/config/option.ts'

export const messagesOptions = options({
  dummy_events_threshold: option(integer, {
    default: 10,
    doc: 'Forward extremities count that triggers org.matrix.dummy_event.',
    effective: false,
  }),
  max_event_delay_duration: option(duration, { doc: 'Enables MSC4140 and caps delay.', effective: true }),
  rc_message: limit(0.2, 10, { doc: 'Messages and other events sent by one user.', effective: true }),
  rc_admin_redaction: option(rateLimit(0.2, 10), { doc: 'Redactions by room admins (default rc_message).', effective: true }),
  rc_delayed_event_mgmt: limit(1, 5, { doc: 'Delayed event management.', effective: true }),
  redaction_retention_period: option(orNull(duration), { default: '7d', doc: 'Time until redacted content is pruned.', effective: true }),
})
