/** Options of search. */
import { boolean } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

export const searchOptions = options({
  enable_search: option(boolean, { default: true, doc: 'Message search on/off (index kept either way).', effective: false }),
})
