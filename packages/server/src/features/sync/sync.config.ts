/** Options of sync. */
import { integer, list, string } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

export const syncOptions = options({
  filter_timeline_limit: option(integer, { default: 100, doc: 'Max events per timeline (-1 none).', effective: true }),
  exclude_rooms_from_sync: option(list(string), { default: [], doc: 'Room ids hidden in sync.', effective: true }),
})
