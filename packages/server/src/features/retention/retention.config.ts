/** Options of retention. */
import { boolean, duration, list } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'

export const retentionOptions = options({
  retention: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    default_policy: section({
      min_lifetime: option(duration, { doc: 'Shortest life of a message.' }),
      max_lifetime: option(duration, { doc: 'Longest life of a message.' }),
    }, { doc: 'Policy for rooms without m.room.retention.' }),
    allowed_lifetime_min: option(duration, { doc: 'Floor clamp for rooms\' max_lifetime.' }),
    allowed_lifetime_max: option(duration, { doc: 'Ceiling clamp.' }),
    purge_jobs: option(list(object({
      shortest_max_lifetime: option(duration, { doc: 'Lower bound of policy range.' }),
      longest_max_lifetime: option(duration, { doc: 'Upper bound.' }),
      interval: option(duration, { doc: 'Run interval.' }),
    })), { doc: 'List of purge jobs (default one daily job).' }),
  }, { doc: 'Message retention (MSC1763).', effective: true }),
})
