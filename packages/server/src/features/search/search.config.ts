/** Options of search. */
import { boolean } from '#platform/config/kind.ts'
import { limit, option, options } from '#platform/config/option.ts'

export const searchOptions = options({
  enable_search: option(boolean, { default: true, doc: 'Message search on/off (index kept either way).', effective: true }),
  rc_search: limit(1, 20, { doc: 'Message searches of one user (Synapse does not have this option).', effective: true }),
})
