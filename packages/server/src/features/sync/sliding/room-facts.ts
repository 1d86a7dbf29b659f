/**
 * What filters of room lists ask of rooms: type, encryption, name, children of spaces. Read for many rooms at once and kept in memory until it changes.
 *
 * Spec: MSC4186, `SlidingRoomFilter`.
 */
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { own } from '@myelin/protocol/json/json.ts'
import type { Room } from '#engine/room.ts'
import type { Cache } from '#platform/cache/cache.ts'
import { nextTurn } from '../next-turn.ts'
import type { SyncSources } from '../sources.ts'

/** What filters ask of a room. */
export interface RoomFacts {
  /** `type` of the create event; null where it has none, undefined where the room is not known so far. */
  readonly type: string | null | undefined
  readonly isEncrypted: boolean
  /** Name, or else canonical alias. */
  readonly name: string | undefined
}

const asked = ['m.room.create', 'm.room.encryption', 'm.room.name', 'm.room.canonical_alias']
const redactionType = 'm.room.redaction'
const childType = 'm.space.child'
/** Rooms that are read before other requests get their turn. */
const roomsPerTurn = 500

export class RoomFactsReader {
  readonly #sources: Pick<SyncSources, 'states' | 'eventsStream'>
  readonly #facts: Cache<number, RoomFacts>
  readonly #children: Cache<number, ReadonlySet<string>>

  constructor(sources: Pick<SyncSources, 'caches' | 'states' | 'eventsStream'>) {
    this.#sources = sources
    this.#facts = sources.caches.cache('room_facts', (facts) => 80 + 2 * (facts.name?.length ?? 0))
    this.#children = sources.caches.cache('space_children', (children) => 100 + children.size * 100)
    sources.eventsStream.onAdvance((entries) => {
      for (const { row: { event, changed } } of entries) {
        if (asked.some((type) => changed.types.has(type)) || event.event.type === redactionType) this.#facts.delete(event.room.nid)
        if (changed.types.has(childType) || event.event.type === redactionType) this.#children.delete(event.room.nid)
      }
    })
  }

  /** Facts of rooms as they are now, by room number. */
  async of(roomNids: readonly number[]): Promise<Map<number, RoomFacts>> {
    const found = new Map<number, RoomFacts>()
    const missing: number[] = []
    for (const nid of roomNids) {
      const facts = this.#facts.get(nid)
      if (facts) found.set(nid, facts)
      else missing.push(nid)
    }
    for (let start = 0; start < missing.length; start += roomsPerTurn) {
      if (start > 0) await nextTurn()
      const page = missing.slice(start, start + roomsPerTurn)
      const before = this.#sources.eventsStream.position
      const byRoom = Map.groupBy(await this.#sources.states.currentContents(page, asked), (row) => row.roomNid)
      const isCurrent = before === this.#sources.eventsStream.position
      for (const nid of page) {
        const facts = factsOf(new Map(byRoom.get(nid)?.map(({ type, content }) => [type, content])))
        found.set(nid, facts)
        if (isCurrent) this.#facts.set(nid, facts)
      }
    }
    return found
  }

  /** Ids of the rooms that a space names as its children. */
  async childrenOf(space: Room): Promise<ReadonlySet<string>> {
    const known = this.#children.get(space.nid)
    if (known) return known
    const before = this.#sources.eventsStream.position
    const children = new Set<string>()
    for (const { event } of await this.#sources.states.currentOfType(space, childType)) {
      const via = own(event.content, 'via')
      if (Array.isArray(via) && via.length > 0 && event.stateKey !== undefined) children.add(event.stateKey)
    }
    if (before === this.#sources.eventsStream.position) this.#children.set(space.nid, children)
    return children
  }
}

/** The facts that state events tell, by their type. */
export function factsOf(contents: ReadonlyMap<string, JsonObject>): RoomFacts {
  const create = contents.get('m.room.create')
  const type = create && own(create, 'type')
  return {
    type: create ? (typeof type === 'string' ? type : null) : undefined,
    isEncrypted: contents.has('m.room.encryption'),
    name: textOf(contents.get('m.room.name'), 'name') ?? textOf(contents.get('m.room.canonical_alias'), 'alias'),
  }
}

function textOf(content: JsonObject | undefined, key: string): string | undefined {
  const value = content && own(content, key)
  return typeof value === 'string' && value !== '' ? value : undefined
}
