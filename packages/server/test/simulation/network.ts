/** The network between the servers of a simulation: it loses, delays, repeats and reorders requests, and falls apart. */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { MatrixError } from '@myelin/protocol/errors.ts'
import { FederationRefusal, type Federation, type FederationRequest } from '#features/federation/federation.ts'
import { StorageError } from '#platform/db/database.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import type { Clock } from '#platform/clock.ts'
import type { Chance } from './random.ts'

/** Answers requests of other servers. */
export type Server = (origin: ServerName, request: FederationRequest) => Promise<JsonObject>

/** In so many of 100 requests. */
export interface Faults {
  readonly lost: number
  readonly answerLost: number
  readonly repeated: number
}

const pauseMs = 60_000

export class Network {
  readonly #servers = new Map<ServerName, Server>()
  readonly #chance: Chance
  readonly #apart = new Set<string>()
  faults: Faults = { lost: 0, answerLost: 0, repeated: 0 }

  constructor(chance: Chance) {
    this.#chance = chance
  }

  /** Connects a server; without an answerer it is down. */
  connect(name: ServerName, server: Server | undefined): void {
    if (server) this.#servers.set(name, server)
    else this.#servers.delete(name)
  }

  /** Cuts the way between two servers, or mends it. */
  setApart(one: ServerName, other: ServerName, isApart: boolean): void {
    for (const way of [`${one} ${other}`, `${other} ${one}`]) {
      if (isApart) this.#apart.add(way)
      else this.#apart.delete(way)
    }
  }

  heal(): void {
    this.#apart.clear()
    this.faults = { lost: 0, answerLost: 0, repeated: 0 }
  }

  async request(from: ServerName, to: ServerName, request: FederationRequest): Promise<JsonObject> {
    await this.#delay()
    const server = this.#apart.has(`${from} ${to}`) || this.#chance.percent(this.faults.lost) ? undefined : this.#servers.get(to)
    if (!server) throw new RemoteError('connection', `https://${to}/`, `${to} cannot be reached.`)
    if (this.#chance.percent(this.faults.repeated)) await this.#answer(server, from, to, request).catch(() => undefined)
    const answer = await this.#answer(server, from, to, request)
    await this.#delay()
    if (this.#chance.percent(this.faults.answerLost)) throw new RemoteError('connection', `https://${to}/`, `The answer of ${to} was lost.`)
    return answer
  }

  async #answer(server: Server, from: ServerName, to: ServerName, request: FederationRequest): Promise<JsonObject> {
    try {
      return JSON.parse(JSON.stringify(await server(from, JSON.parse(JSON.stringify(request)))))
    } catch (error) {
      if (error instanceof MatrixError) throw new FederationRefusal(to, error.status, { errcode: error.errcode, error: error.message })
      if (error instanceof StorageError) throw new FederationRefusal(to, 503, { errcode: 'M_UNKNOWN', error: error.message })
      throw error
    }
  }

  /** Other requests go on meanwhile, so that they overtake each other. */
  async #delay(): Promise<void> {
    for (let turns = this.#chance.below(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A server's way into the network, with the back-off of the real one. */
export function federationOf(network: Network, name: ServerName, clock: Clock): Federation & { readonly heardOf: (server: ServerName) => void } {
  const pauses = new Map<ServerName, number>()
  const listeners: ((server: ServerName) => void)[] = []
  const heardOf = (server: ServerName): void => {
    if (!pauses.delete(server)) return
    for (const listener of listeners) listener(server)
  }
  const way = {
    allows: () => true,
    retryTs: (server: ServerName) => pauses.get(server) ?? 0,
    backOff: async (server: ServerName) => { pauses.set(server, clock.now() + pauseMs) },
    onAnswered: (listener: (server: ServerName) => void) => { listeners.push(listener) },
    request: async (server: ServerName, request: FederationRequest) => {
      try {
        const answer = await network.request(name, server, request)
        heardOf(server)
        return answer
      } catch (error) {
        if (error instanceof RemoteError) pauses.set(server, clock.now() + pauseMs)
        throw error
      }
    },
    heardOf,
  }
  return way as unknown as Federation & { readonly heardOf: (server: ServerName) => void }
}
