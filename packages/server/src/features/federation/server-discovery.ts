/**
 * Finds where a server is reached.
 *
 * Spec: server-server API, "Resolving server names".
 */
import type { SrvRecord } from 'node:dns'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { parseServerName, type ServerNameParts } from '@myelin/protocol/ids/server-name.ts'
import type { Clock } from '#platform/clock.ts'
import type { GuardedClient } from '#platform/fetch/guarded-client.ts'
import type { ResolveService } from '#platform/fetch/service-records.ts'
import { Delegation, type Delegated } from './delegation.ts'

/** Where to connect, and as whom the server there must identify itself. */
export interface ServerAddress {
  /** `https://host:port`, to be connected to. */
  readonly origin: string
  /** The `Host` header, whose name the certificate must be valid for. */
  readonly host: string
}

/** Where a server was found. */
export interface FoundServer {
  /** What its host said of who serves it; undefined where the name itself says where it is. */
  readonly delegated: Delegated | undefined
  readonly addresses: readonly ServerAddress[]
}

interface Needs {
  readonly clock: Clock
  readonly resolveService: ResolveService
}

const defaultPort = 8448
const recordLifeMs = 5 * 60_000
const mostRecords = 10_000

export class ServerDiscovery {
  readonly #needs: Needs
  readonly #delegation: Delegation
  readonly #records = new Map<string, { readonly addresses: readonly ServerAddress[]; readonly untilTs: number }>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#delegation = new Delegation(needs.clock)
  }

  /**
   * Addresses of a server, to be tried in order.
   * @param client asks for its delegation
   */
  async addressesOf(serverName: ServerName, client: Pick<GuardedClient, 'fetch'>): Promise<readonly ServerAddress[]> {
    return (await this.find(serverName, client)).addresses
  }

  /** As `addressesOf`, with what led to them. */
  async find(serverName: ServerName, client: Pick<GuardedClient, 'fetch'>): Promise<FoundServer> {
    const parts = parseServerName(serverName)
    if (parts === undefined) return { delegated: undefined, addresses: [] }
    if (isPlain(parts)) return { delegated: undefined, addresses: [plainAddress(serverName, parts)] }
    const delegated = await this.#delegation.of(parts.host, client)
    const target = delegated.server === undefined ? undefined : parseServerName(delegated.server)
    if (delegated.server === undefined || target === undefined) return { delegated, addresses: await this.#byRecords(parts.host) }
    return { delegated, addresses: isPlain(target) ? [plainAddress(delegated.server, target)] : await this.#byRecords(target.host) }
  }

  /** The hosts of the SRV records of a name, else the name itself. */
  async #byRecords(host: string): Promise<readonly ServerAddress[]> {
    const { clock } = this.#needs
    const known = this.#records.get(host)
    if (known && clock.now() < known.untilTs) return known.addresses
    const addresses = await this.#lookUp(host)
    if (this.#records.size >= mostRecords) this.#records.clear()
    this.#records.set(host, { addresses, untilTs: clock.now() + recordLifeMs })
    return addresses
  }

  async #lookUp(host: string): Promise<readonly ServerAddress[]> {
    for (const service of ['_matrix-fed', '_matrix']) {
      const records = (await this.#needs.resolveService(`${service}._tcp.${host}`)).filter(({ name }) => name !== '' && name !== '.')
      if (records.length > 0) return inOrder(records).map(({ name, port }) => ({ origin: `https://${name}:${port}`, host }))
    }
    return [{ origin: `https://${host}:${defaultPort}`, host }]
  }
}

/** Whether a name says itself where its server is. */
function isPlain({ kind, port }: ServerNameParts): boolean {
  return kind !== 'dns' || port !== undefined
}

function plainAddress(name: string, { host, kind, port = defaultPort }: ServerNameParts): ServerAddress {
  return { origin: `https://${kind === 'ipv6' ? `[${host}]` : host}:${port}`, host: name }
}

/** Records by priority, of equal ones the heavier first. */
function inOrder(records: readonly SrvRecord[]): SrvRecord[] {
  return [...records].sort((a, b) => a.priority - b.priority || b.weight - a.weight)
}
