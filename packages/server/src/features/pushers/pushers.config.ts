/** Options of pushers. */
import { boolean, duration } from '#platform/config/kind.ts'
import { option, options, section } from '#platform/config/option.ts'

export const pushersOptions = options({
  push: section({
    enabled: option(boolean, { default: true, doc: 'Notifications calculated/sent.' }),
    include_content: option(boolean, { default: true, doc: 'Content in pushes.' }),
    group_unread_count_by_room: option(boolean, { default: true, doc: 'Badge = rooms (else messages).' }),
    jitter_delay: option(duration, { default: '0s', doc: 'Random delay.' }),
  }, { doc: 'Push settings.', effective: true }),
})
