/** Name resolution and connecting that refuse forbidden addresses: the address that is checked is the one connected to. */
import { lookup as systemLookup } from 'node:dns'
import type { LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import { buildConnector } from 'undici'
import type { AddressPolicy } from './ip-ranges.ts'

/** The address, or one of those that a name resolves to, is not one that the server may connect to. */
export class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress'

  constructor(host: string) {
    super(`The address of ${host} is not one that this server may connect to.`)
  }
}

/** Resolves a host name to all its addresses; the system's resolver unless a test brings its own. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

/** The system's resolver, hosts file included. */
export const systemResolve: Resolve = (host) => new Promise((resolve, reject) => {
  systemLookup(host, { all: true, order: 'verbatim' }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)))
})

/** The addresses of a host. Throws `ForbiddenAddress` when one of them is forbidden: such names are made to slip through. */
export async function permittedAddresses(host: string, policy: AddressPolicy, resolve: Resolve): Promise<readonly LookupAddress[]> {
  const version = isIP(host)
  const addresses = version === 0 ? await resolve(host) : [{ address: host, family: version }]
  if (!addresses.every(({ address }) => policy.permits(address))) throw new ForbiddenAddress(host)
  return addresses
}

/** TLS settings of connections: more authorities, lowest version, or (only for tests) no check of certificates. */
export interface TlsSettings {
  readonly ca?: string | readonly Buffer[]
  readonly minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly rejectUnauthorized?: boolean
}

/** Opens the connections of a pool whose requests obey `policy`. */
export function guardedConnector(
  policy: AddressPolicy, resolve: Resolve, tls: TlsSettings, connectTimeoutMs: number,
): buildConnector.connector {
  const lookup: LookupFunction = (host, options, callback) => {
    permittedAddresses(host, policy, resolve).then(
      (addresses) => {
        const [first] = addresses
        if (first === undefined) callback(Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' }), [])
        else if (options.all === true) callback(null, [...addresses])
        else callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    )
  }
  const { ca, ...others } = tls
  const authorities = ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }
  const connect = buildConnector({ timeout: connectTimeoutMs, lookup, autoSelectFamily: true, ...others, ...authorities })
  return (options, callback) => {
    const host = options.hostname.replace(/^\[|\]$/g, '')
    if (isIP(host) !== 0 && !policy.permits(host)) callback(new ForbiddenAddress(host), null)
    else connect(options, callback)
  }
}
