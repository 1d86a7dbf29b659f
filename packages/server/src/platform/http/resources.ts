/**
 * Which endpoints belong to which `resources` name of a listener.
 *
 * Spec: Synapse's configuration manual, "listeners"; the names imply each other as they do there.
 */
import type { Endpoint } from './endpoint.ts'

/** A name in `listeners[].resources[].names`. */
export type ResourceName =
  'client' | 'consent' | 'federation' | 'health' | 'keys' | 'media' | 'metrics' | 'openid' | 'replication' | 'static'

const implied: Readonly<Partial<Record<ResourceName, readonly ResourceName[]>>> = {
  client: ['media', 'static'],
  federation: ['media', 'keys', 'openid'],
}

/** The names and all that they imply; `health` is served everywhere. */
export function withImplied(names: readonly ResourceName[]): ReadonlySet<ResourceName> {
  return new Set([...names, ...names.flatMap((name) => implied[name] ?? []), 'health'] as const)
}

/** Paths at the root that do not belong to the client resource. */
const rootResources: readonly (readonly [prefix: string, ResourceName])[] = [
  ['/health', 'health'],
  ['/_matrix/static', 'static'],
  ['/_matrix/consent', 'consent'],
  ['/_matrix/federation', 'federation'],
  ['/_matrix/key', 'keys'],
  ['/_matrix/media', 'media'],
  ['/_synapse/metrics', 'metrics'],
  ['/_synapse/replication', 'replication'],
]

/** The resource that an endpoint belongs to. */
export function resourceOf({ base, path }: Pick<Endpoint, 'base' | 'path'>): ResourceName {
  switch (base) {
    case 'client':
    case 'admin':
    case 'synapse-client':
      return 'client'
    case 'federation':
      return path.startsWith('/openid/') ? 'openid' : 'federation'
    case 'media':
      return 'media'
    case 'key':
      return 'keys'
    case 'root':
      return rootResources.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`))?.[1] ?? 'client'
  }
}
