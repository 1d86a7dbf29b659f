/** Options of caches. */
import { boolean, bytes, duration, map, number } from '#platform/config/kind.ts'
import { option, options, section } from '#platform/config/option.ts'

export const cachesOptions = options({
  event_cache_size: option(bytes, { default: '10K', doc: 'Events in memory (K/M suffix).', effective: false }),
  caches: section({
    global_factor: option(number, { default: 0.5, doc: 'Multiplies every cache size (env SYNAPSE_CACHE_FACTOR).' }),
    per_cache_factors: option(map(number), { default: {}, doc: 'Factor by name of the cache.' }),
    expire_caches: option(boolean, { default: true, doc: 'Time-based expiry.' }),
    cache_entry_ttl: option(duration, { default: '30m', doc: 'Expiry age.' }),
    sync_response_cache_duration: option(duration, { default: '2m', doc: 'Cache sync responses.' }),
    cache_autotuning: section({
      max_cache_memory_usage: option(bytes, { doc: 'Memory use at which caches are emptied.' }),
      target_cache_memory_usage: option(bytes, { doc: 'Evict down to.' }),
      min_cache_ttl: option(duration, { doc: 'Never evict younger.' }),
    }, { doc: 'Memory-based eviction (jemalloc).' }),
    expiry_time: option(duration, {
      doc: 'Expiry time.',
      deprecated: { since: '1.53', instead: 'Use caches.expire_caches and caches.cache_entry_ttl' },
    }),
  }, { doc: 'Cache settings.', effective: true }),
})
