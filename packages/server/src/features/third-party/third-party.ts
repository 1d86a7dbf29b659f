/**
 * Look-ups of users and rooms of other networks, answered by the bridges that serve them.
 *
 * Spec: client-server API, "Third-party Networks".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'

/** Fields of a network by name, each possibly given several times. */
export type LookupFields = ReadonlyMap<string, readonly string[]>

/** What answers look-ups, for instance all application services of this server. */
export interface ThirdPartyNetworks {
  /** Descriptions of protocols by name. */
  protocols(): Promise<ReadonlyMap<string, JsonObject>>
  /** Locations or users of a protocol that have these fields. */
  lookup(kind: 'location' | 'user', protocol: string, fields: LookupFields): Promise<readonly JsonObject[]>
  /** What is behind a room alias or a Matrix user id. */
  reverse(kind: 'location' | 'user', id: string): Promise<readonly JsonObject[]>
}

export class ThirdParty {
  readonly #networks: ThirdPartyNetworks[] = []

  /** Adds what answers look-ups; slices do so when the server is built. */
  add(networks: ThirdPartyNetworks): void {
    this.#networks.push(networks)
  }

  async protocols(): Promise<ReadonlyMap<string, JsonObject>> {
    const all = new Map<string, JsonObject>()
    for (const networks of this.#networks) for (const [name, protocol] of await networks.protocols()) all.set(name, protocol)
    return all
  }

  /** @throws M_NOT_FOUND */
  async protocol(name: string): Promise<JsonObject> {
    const protocol = (await this.protocols()).get(name)
    if (!protocol) throw refuse('M_NOT_FOUND', 'No bridge of this server speaks that protocol; GET /thirdparty/protocols lists them.')
    return protocol
  }

  async lookup(kind: 'location' | 'user', protocol: string, fields: LookupFields): Promise<JsonObject[]> {
    return (await Promise.all(this.#networks.map((networks) => networks.lookup(kind, protocol, fields)))).flat()
  }

  async reverse(kind: 'location' | 'user', id: string): Promise<JsonObject[]> {
    return (await Promise.all(this.#networks.map((networks) => networks.reverse(kind, id)))).flat()
  }
}
