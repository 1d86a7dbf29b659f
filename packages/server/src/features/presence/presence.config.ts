/** Options of presence. */
import { boolean, choice, duration, list, mapping, string } from '#platform/config/kind.ts'
import { limit, option, options, section } from '#platform/config/option.ts'

export const presenceOptions = options({
  presence: section({
    enabled: option(choice(true, false, 'untracked'), {
      default: true,
      doc: 'Whether presence is tracked; "untracked" serves it to modules only.',
    }),
    include_offline_users_on_sync: option(boolean, { default: false, doc: 'Initial sync also lists offline users.' }),
    last_active_granularity: option(duration, { default: '1m', doc: 'How long a user stays currently_active.' }),
    sync_online_timeout: option(duration, { default: '30s', doc: 'How long after the last sync a user becomes offline.' }),
    idle_timeout: option(duration, { default: '5m', doc: 'Inactivity until unavailable.' }),
    presence_router: option(mapping, { doc: 'Presence router.', deprecated: { since: '1.37', instead: 'Use modules' } }),
  }, { doc: 'Presence settings.', effective: true }),
  use_presence: option(boolean, { doc: 'Use presence.', effective: true, deprecated: { since: '1.25', instead: 'Use presence.enabled' } }),
  exclude_rooms_from_presence: option(list(string), { default: [], doc: 'Rooms ignored for presence.', effective: true }),
  rc_presence: section({
    per_user: limit(0.1, 1, { doc: 'Presence updates of one user.' }),
  }, { doc: 'Presence limits.', effective: true }),
})
