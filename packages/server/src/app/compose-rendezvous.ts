/** Builds what lets two devices meet, so that one logs the other in. */
import { Rendezvous } from '#features/rendezvous/rendezvous.ts'
import type { PlainRendezvous } from '#features/rendezvous/rendezvous.msc4108.routes.ts'
import type { JsonRendezvous } from '#features/rendezvous/rendezvous.routes.ts'
import type { Clock } from '#platform/clock.ts'
import type { Config } from './config.ts'
import { isExperimental } from './experimental.ts'

/** Each form of rendezvous, where it is on. */
export function composeRendezvous({ config, clock }: { readonly config: Config; readonly clock: Clock }) {
  const mode = config.experimental_features['msc4388_mode']
  const delegatedTo = delegationOf(config)
  const publicUrl = config.public_baseurl ?? `https://${config.server_name}/`
  const plainRendezvous: PlainRendezvous | undefined = isExperimental(config, 'msc4108_enabled') || delegatedTo !== undefined
    ? { sessions: new Rendezvous({ clock }), baseUrl: publicUrl.endsWith('/') ? publicUrl : `${publicUrl}/`, delegatedTo }
    : undefined
  const jsonRendezvous: JsonRendezvous | undefined = mode === 'open' || mode === 'authenticated'
    ? { sessions: new Rendezvous({ clock }), isOpen: mode === 'open' }
    : undefined
  return { plainRendezvous, jsonRendezvous }
}

/** Another server at which devices meet, instead of this one. */
export function delegationOf({ experimental_features: features }: Pick<Config, 'experimental_features'>): string | undefined {
  const url = features['msc4108_delegation_endpoint']
  return typeof url === 'string' ? url : undefined
}
