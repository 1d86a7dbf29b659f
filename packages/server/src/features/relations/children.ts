/**
 * The children of events in the form that aggregations are made from: read in batches, kept in memory, and carried on as new children arrive.
 *
 * Spec: client-server API, "Aggregations of child events".
 */
import type { Names } from '#engine/names.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Relation } from './relation.ts'
import type { RelationsStore } from './relations.store.ts'

/** A child event. */
export interface Child {
  readonly nid: number
  readonly eventId: string
  readonly sender: string
  readonly type: string
  readonly topological: number
  readonly stream: number
  readonly originServerTs: number
}

/** What one sender wrote in a thread. */
export interface ThreadPart {
  readonly count: number
  readonly latest: Child
}

/** The children of one event that are aggregated. */
export interface Children {
  /** By sender. */
  readonly thread: Map<string, ThreadPart>
  /** The most recent replacement of each sender and type. */
  readonly replacements: Map<string, Child>
  readonly references: Child[]
  /** The highest number among the children. */
  newestNid: number
}

/** Key of a replacement: only the sender of an event may replace it, with an event of the same type. */
export function replacementKey(sender: string, type: string): string {
  return `${sender} ${type}`
}

/** Whether `one` is behind `other` in the room's history. */
export function isLater(one: Child, other: Child): boolean {
  return one.topological - other.topological > 0 || (one.topological === other.topological && one.stream > other.stream)
}

function isMoreRecent(one: Child, other: Child): boolean {
  return one.originServerTs > other.originServerTs || (one.originServerTs === other.originServerTs && one.eventId > other.eventId)
}

function weigh(children: Children): number {
  return 200 + (children.thread.size + children.replacements.size + children.references.length) * 250
}

export class ChildrenCache {
  readonly #store: RelationsStore
  readonly #names: Names
  readonly #rooms: Cache<number, boolean>
  readonly #byParent: Cache<string, Children>
  #generation = 0

  constructor(needs: { readonly store: RelationsStore; readonly names: Names; readonly caches: CacheBudget }) {
    this.#store = needs.store
    this.#names = needs.names
    this.#rooms = needs.caches.cache('rooms_with_relations', () => 8)
    this.#byParent = needs.caches.cache('event_children', weigh)
  }

  /** Whether any event of the room relates to another one; from memory after the first question. */
  async hasAny(roomNid: number): Promise<boolean> {
    const known = this.#rooms.get(roomNid)
    if (known !== undefined) return known
    const generation = this.#generation
    const any = await this.#store.hasAny(roomNid)
    if (generation === this.#generation) this.#rooms.set(roomNid, any)
    return any
  }

  /** The children of events of one room by the parent's id; events without any are left out. */
  async of(room: Room, parents: readonly StoredEvent[]): Promise<ReadonlyMap<string, Children>> {
    const found = new Map<string, Children>()
    if (parents.length === 0 || !(await this.hasAny(room.nid))) return found
    const missing: string[] = []
    for (const { event } of parents) {
      const known = this.#byParent.get(`${room.nid} ${event.eventId}`)
      if (!known) missing.push(event.eventId)
      else if (hasChildren(known)) found.set(event.eventId, known)
    }
    if (missing.length > 0) for (const [id, children] of await this.#load(room, missing)) if (hasChildren(children)) found.set(id, children)
    return found
  }

  /** A relation was committed. */
  added(child: StoredEvent, relation: Relation): void {
    this.#generation += 1
    this.#rooms.set(child.room.nid, true)
    const key = `${child.room.nid} ${relation.relatesTo}`
    const known = this.#byParent.get(key)
    if (!known || child.streamOrdering === undefined) return
    if (child.nid <= known.newestNid) {
      // The children may have been read between the commit and this call, so that this one is among them.
      this.#byParent.delete(key)
      return
    }
    const { eventId, sender, type, depth, originServerTs } = child.event
    fold(known, relation.type, { nid: child.nid, eventId, sender, type, topological: depth, stream: child.streamOrdering, originServerTs })
    this.#byParent.set(key, known)
  }

  /** A child of the event was taken away. */
  removed(roomNid: number, parentId: string): void {
    this.#generation += 1
    this.#byParent.delete(`${roomNid} ${parentId}`)
  }

  async #load(room: Room, parents: readonly string[]): Promise<Map<string, Children>> {
    const generation = this.#generation
    const loaded = new Map(parents.map((id): [string, Children] => [id, { thread: new Map(), replacements: new Map(), references: [], newestNid: 0 }]))
    const rows = await this.#store.children(room.nid, parents)
    const strings = await this.#names.strings(new Set(rows.flatMap((row) => [row.sender_nid, row.type_nid])))
    for (const row of rows) {
      const children = loaded.get(row.relates_to)
      if (!children || row.stream_ordering === null) continue
      fold(children, row.relation_type, {
        nid: row.event_nid, eventId: row.event_id, sender: strings.get(row.sender_nid) ?? '', type: strings.get(row.type_nid) ?? '',
        topological: row.topological_ordering, stream: row.stream_ordering, originServerTs: row.origin_server_ts,
      })
    }
    if (generation === this.#generation) for (const [id, children] of loaded) this.#byParent.set(`${room.nid} ${id}`, children)
    return loaded
  }
}

function hasChildren(children: Children): boolean {
  return children.thread.size > 0 || children.replacements.size > 0 || children.references.length > 0
}

/** Adds a child to what is known of its parent's children. */
function fold(children: Children, relationType: string, child: Child): void {
  children.newestNid = Math.max(children.newestNid, child.nid)
  if (relationType === 'm.thread') {
    const part = children.thread.get(child.sender)
    children.thread.set(child.sender, { count: (part?.count ?? 0) + 1, latest: part && isLater(part.latest, child) ? part.latest : child })
  } else if (relationType === 'm.replace') {
    const key = replacementKey(child.sender, child.type)
    const known = children.replacements.get(key)
    if (!known || isMoreRecent(child, known)) children.replacements.set(key, child)
  } else if (relationType === 'm.reference') {
    children.references.push(child)
  }
}
