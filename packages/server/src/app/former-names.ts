/** Options under their former names: their values are given to the options that took their place. */
import type { Setting } from '#platform/config/setting.ts'
import type { ReadConfig } from './config.ts'

/** The values with those of deprecated names filled in; the new name wins where both are written. */
export function applyFormerNames(read: ReadConfig, settings: ReadonlyMap<string, Setting>): ReadConfig {
  const written = (path: string): boolean => {
    const [top, inner] = path.split('.')
    const data = settings.get(top ?? '')?.data
    return inner === undefined ? settings.has(top ?? '') : data instanceof Map && data.has(inner)
  }
  const presence =
    read.use_presence !== null && !written('presence.enabled') ? { presence: { ...read.presence, enabled: read.use_presence } } : {}
  const caches =
    read.caches.expiry_time !== null && !written('caches.cache_entry_ttl')
      ? { caches: { ...read.caches, cache_entry_ttl: read.caches.expiry_time } }
      : {}
  const mail =
    read.email?.riot_base_url && !written('email.client_base_url')
      ? { email: { ...read.email, client_base_url: read.email.riot_base_url } }
      : {}
  const listeners = read.listeners.map((entry) =>
    entry.bind_address !== null && entry.bind_addresses === null ? { ...entry, bind_addresses: [entry.bind_address] } : entry,
  )
  return { ...read, ...presence, ...caches, ...mail, listeners }
}
