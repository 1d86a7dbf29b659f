/**
 * The cover index of auth chains: every auth event has a place (chain, sequence number), links lead between chains, and the difference of
 * auth chains that state resolution needs becomes a few index look-ups instead of a walk.
 *
 * Spec: rooms/v2, "State resolution": full conflicted set, auth difference.
 */
import { sql } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { EventAuthChainLinksTable, EventAuthChainsTable, Tables } from '#schema/tables.gen.ts'

type ChainTables = Pick<Tables, 'event_auth_chains' | 'event_auth_chain_links'>

/** Types whose events stand in auth chains. */
const authTypes: ReadonlySet<string> = new Set([
  'm.room.create', 'm.room.member', 'm.room.power_levels', 'm.room.join_rules', 'm.room.third_party_invite',
])

/** An event to be placed: its number, its key, and the numbers of its auth events. */
export interface ChainedEvent {
  readonly nid: number
  readonly type: string
  readonly stateKey: string
  readonly authEvents: readonly { readonly nid: number; readonly type: string; readonly stateKey: string }[]
  /** It was stored before, and may have its place already. */
  readonly isKnown?: boolean
}

/** A state, as far as auth chains are concerned. */
export interface ChainedState {
  /** Numbers of its events of the types that stand in auth chains; their chains count without themselves. */
  readonly events: readonly number[]
  /** Numbers of the auth events of its other events; they count with their chains. */
  readonly authEvents: readonly number[]
}

interface Place {
  readonly chain: number
  readonly sequence: number
}

/** Whether events of a type stand in auth chains. */
export function standsInAuthChain(type: string): boolean {
  return authTypes.has(type)
}

export class ChainCover {
  readonly #database: Database
  readonly #places: Cache<number, Place>
  readonly #links: Cache<number, Map<number, number>>
  readonly #tips: Cache<number, number>
  readonly #placesOf: Prepared<{ nids: readonly number[] }, EventAuthChainsTable>
  readonly #tipOf: Prepared<{ chain: number }, { tip: number | null }>
  readonly #linksOf: Prepared<{ chains: readonly number[] }, EventAuthChainLinksTable>
  readonly #deleteLinks: Prepared<{ nids: readonly number[] }, unknown>
  readonly #deletePlaces: Prepared<{ nids: readonly number[] }, unknown>
  readonly #range: Prepared<{ chain: number; after: number; upTo: number }, { event_nid: number }>
  readonly #insertPlaces = new BulkInsert<EventAuthChainsTable>(
    'chainCover.insertPlaces', 'event_auth_chains', [['event_nid', 'BIGINT'], ['chain_id', 'BIGINT'], ['sequence_number', 'BIGINT']], '(event_nid) DO NOTHING',
  )
  readonly #insertLinks = new BulkInsert<EventAuthChainLinksTable>(
    'chainCover.insertLinks', 'event_auth_chain_links',
    [['origin_chain_id', 'BIGINT'], ['origin_sequence_number', 'BIGINT'], ['target_chain_id', 'BIGINT'], ['target_sequence_number', 'BIGINT']],
    '(origin_chain_id, origin_sequence_number, target_chain_id) DO NOTHING',
  )

  constructor(needs: { readonly database: Database; readonly caches: CacheBudget }) {
    this.#database = needs.database
    this.#places = needs.caches.cache('auth_chain_places', () => 48)
    this.#links = needs.caches.cache('auth_chain_links', (map) => 100 + map.size * 32)
    this.#tips = needs.caches.cache('auth_chain_tips', () => 32)
    const { dialect } = needs.database
    const db = buildersFor<ChainTables>(dialect)
    this.#placesOf = prepare('chainCover.placesOf', ({ nids }) => db.selectFrom('event_auth_chains').selectAll().where(anyOf(dialect, sql.ref('event_nid'), nids)))
    this.#tipOf = prepare('chainCover.tipOf', ({ chain }) =>
      db.selectFrom('event_auth_chains').select((eb) => eb.fn.max<number | null>('sequence_number').as('tip')).where('chain_id', '=', chain))
    this.#linksOf = prepare('chainCover.linksOf', ({ chains }) =>
      db.selectFrom('event_auth_chain_links').selectAll().where(anyOf(dialect, sql.ref('origin_chain_id'), chains)))
    const ofEvents = (nids: readonly number[]) => anyOf(dialect, sql.ref('event_nid'), nids)
    this.#deleteLinks = prepare('chainCover.deleteLinks', ({ nids }) =>
      db.deleteFrom('event_auth_chain_links').where('origin_chain_id', 'in', (eb) => eb.selectFrom('event_auth_chains').select('chain_id').where(ofEvents(nids))))
    this.#deletePlaces = prepare('chainCover.deletePlaces', ({ nids }) => db.deleteFrom('event_auth_chains').where(ofEvents(nids)))
    this.#range = prepare('chainCover.range', ({ chain, after, upTo }) =>
      db.selectFrom('event_auth_chains').select('event_nid').where('chain_id', '=', chain).where('sequence_number', '>', after).where('sequence_number', '<=', upTo))
  }

  /** Places events, each after its auth events, in the transaction that stores them. */
  async place(tx: Tx, events: readonly ChainedEvent[]): Promise<void> {
    const made = new Map<number, Place>()
    const tips = new Map<number, number>()
    const links: EventAuthChainLinksTable[] = []
    const known = await this.#placesFor(events.filter((event) => event.isKnown).map((event) => event.nid), made)
    for (const event of events) {
      if (known.has(event.nid)) continue
      const auth = await this.#authPlaces(event, made)
      const place = await this.#choose(event, auth, tips)
      made.set(event.nid, place)
      tips.set(place.chain, place.sequence)
      links.push(...(await this.#newLinks(place, auth, links)))
    }
    await this.#insertPlaces.run(tx, [...made].map(([event_nid, { chain, sequence }]) => ({ event_nid, chain_id: chain, sequence_number: sequence })))
    await this.#insertLinks.run(tx, links)
    tx.afterCommit(() => {
      for (const [nid, place] of made) this.#places.set(nid, place)
      for (const [chain, tip] of tips) this.#tips.set(chain, tip)
      for (const link of links) this.#links.delete(link.origin_chain_id)
    })
  }

  /** Deletes the places of events, and all links from their chains: for rooms that go as a whole. */
  async purge(tx: Tx, nids: readonly number[]): Promise<void> {
    await this.#deleteLinks.run(tx, { nids })
    await this.#deletePlaces.run(tx, { nids })
  }

  /**
   * The auth difference: events that are in the auth chain of some of the states and not of all.
   * @param shared what all states have alike
   * @param states what each of them has beyond that
   * @returns undefined where an event is not indexed; then the chains must be walked
   */
  async difference(shared: ChainedState, states: readonly ChainedState[]): Promise<Set<number> | undefined> {
    const common = await this.#chainsOf(shared)
    const reaches = await Promise.all(states.map((state) => this.#chainsOf(state)))
    if (!common || reaches.includes(undefined)) return undefined
    for (const reach of reaches) for (const [chain, height] of common) reach?.set(chain, Math.max(reach.get(chain) ?? 0, height))
    return this.#between(reaches.filter((reach) => reach !== undefined))
  }

  async #between(reaches: readonly ReadonlyMap<number, number>[]): Promise<Set<number>> {
    const found = new Set<number>()
    for (const chain of new Set(reaches.flatMap((reach) => [...reach.keys()]))) {
      const heights = reaches.map((reach) => reach.get(chain) ?? 0)
      const [after, upTo] = [Math.min(...heights), Math.max(...heights)]
      if (after === upTo) continue
      for (const row of await this.#range.all(this.#database, { chain, after, upTo })) found.add(row.event_nid)
    }
    return found
  }

  /** How far up each chain a state reaches, its events of auth types left out; undefined where an event is not indexed. */
  async #chainsOf({ events, authEvents }: ChainedState): Promise<Map<number, number> | undefined> {
    const places = await this.#placesFor([...events, ...authEvents], new Map())
    const open: Place[] = []
    const own: Place[] = []
    for (const [nids, into] of [[events, own], [authEvents, open]] as const) {
      for (const nid of nids) {
        const place = places.get(nid)
        if (!place) return undefined
        into.push(place)
      }
    }
    const heights = new Map<number, number>()
    for (const { chain, sequence } of own) {
      if (sequence > 1) open.push({ chain, sequence: sequence - 1 })
      heights.set(chain, Math.max(heights.get(chain) ?? 0, sequence))
    }
    const links = own.length === 0 ? [] : await this.#linksOf.all(this.#database, { chains: [...heights.keys()] })
    for (const link of links) {
      if (link.origin_sequence_number <= (heights.get(link.origin_chain_id) ?? 0)) open.push({ chain: link.target_chain_id, sequence: link.target_sequence_number })
    }
    return this.#reach(open)
  }

  async #authPlaces(event: ChainedEvent, made: ReadonlyMap<number, Place>): Promise<{ type: string; stateKey: string; place: Place }[]> {
    const chained = event.authEvents.filter((auth) => authTypes.has(auth.type))
    const places = await this.#placesFor(chained.map((auth) => auth.nid), made)
    return chained.flatMap(({ nid, type, stateKey }) => {
      const place = places.get(nid)
      return place ? [{ type, stateKey, place }] : []
    })
  }

  /** The next place after the event's predecessor under the same key, or the first of a chain of its own, named by the event. */
  async #choose(event: ChainedEvent, auth: readonly { type: string; stateKey: string; place: Place }[], tips: Map<number, number>): Promise<Place> {
    const previous = auth.find(({ type, stateKey }) => type === event.type && stateKey === event.stateKey)?.place
    if (previous) {
      const tip = tips.get(previous.chain) ?? (await this.#tip(previous.chain))
      if (tip === previous.sequence) return { chain: previous.chain, sequence: tip + 1 }
    }
    return { chain: event.nid, sequence: 1 }
  }

  async #newLinks(place: Place, auth: readonly { place: Place }[], pending: readonly EventAuthChainLinksTable[]): Promise<EventAuthChainLinksTable[]> {
    const known = new Map(place.sequence === 1 ? [] : await this.#linksFrom(place.chain))
    for (const link of pending) {
      if (link.origin_chain_id === place.chain) known.set(link.target_chain_id, Math.max(known.get(link.target_chain_id) ?? 0, link.target_sequence_number))
    }
    const highest = new Map<number, number>()
    for (const { place: target } of auth) {
      if (target.chain !== place.chain) highest.set(target.chain, Math.max(highest.get(target.chain) ?? 0, target.sequence))
    }
    return [...highest].filter(([chain, sequence]) => (known.get(chain) ?? 0) < sequence).map(([chain, sequence]) => ({
      origin_chain_id: place.chain, origin_sequence_number: place.sequence, target_chain_id: chain, target_sequence_number: sequence,
    }))
  }

  async #placesFor(nids: readonly number[], made: ReadonlyMap<number, Place>): Promise<Map<number, Place>> {
    const found = new Map<number, Place>()
    const missing: number[] = []
    for (const nid of nids) {
      const place = made.get(nid) ?? this.#places.get(nid)
      if (place) found.set(nid, place)
      else missing.push(nid)
    }
    for (const row of missing.length > 0 ? await this.#placesOf.all(this.#database, { nids: missing }) : []) {
      const place = { chain: row.chain_id, sequence: row.sequence_number }
      this.#places.set(row.event_nid, place)
      found.set(row.event_nid, place)
    }
    return found
  }

  async #tip(chain: number): Promise<number> {
    return this.#tips.get(chain) ?? (await this.#tipOf.first(this.#database, { chain }))?.tip ?? 0
  }

  /** Highest target of each chain that a chain links to. */
  async #linksFrom(chain: number): Promise<ReadonlyMap<number, number>> {
    const cached = this.#links.get(chain)
    if (cached) return cached
    const map = new Map<number, number>()
    for (const row of await this.#linksOf.all(this.#database, { chains: [chain] })) {
      map.set(row.target_chain_id, Math.max(map.get(row.target_chain_id) ?? 0, row.target_sequence_number))
    }
    this.#links.set(chain, map)
    return map
  }

  /** How far up each chain the given places can see. */
  async #reach(places: readonly Place[]): Promise<Map<number, number>> {
    const reach = new Map<number, number>()
    let open = places
    while (open.length > 0) {
      const raised = new Set<number>()
      for (const { chain, sequence } of open) {
        if ((reach.get(chain) ?? 0) >= sequence) continue
        reach.set(chain, sequence)
        raised.add(chain)
      }
      if (raised.size === 0) break
      const rows = await this.#linksOf.all(this.#database, { chains: [...raised] })
      open = rows.filter((row) => row.origin_sequence_number <= (reach.get(row.origin_chain_id) ?? 0))
        .map((row) => ({ chain: row.target_chain_id, sequence: row.target_sequence_number }))
    }
    return reach
  }
}
