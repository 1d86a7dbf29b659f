/** Reading the state of rooms: now, and before any event. */
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Events } from './events.ts'
import type { Names } from './names.ts'
import type { Room } from './room.ts'
import { StateStore } from './state.store.ts'
import type { StoredEvent } from './stored-event.ts'
import { decodeNode, emptyRoot, reachable, trieDiff, trieEntries, trieGet, trieOf, trieSet, type NewNodes, type NodeSource, type StateEntry, type TrieNode } from './trie.ts'

/** More changes than this are cheaper by building the state anew. */
const rebuildAbove = 64

/** A place of a state with the event that it now has, if any. */
export interface ChangedEntry {
  readonly typeNid: number
  readonly stateKeyNid: number
  readonly eventNid: number | undefined
}

/** Memory of a node: sixteen entries of three numbers, or up to 32 children. */
function nodeBytes(node: TrieNode): number {
  return 64 + 8 * ('entries' in node ? node.entries.length : node.children.length)
}

/** Content of a current state event with the empty state key. */
export interface CurrentContent {
  readonly roomNid: number
  readonly type: string
  readonly content: JsonObject
}

function contentOf(json: string): JsonObject {
  const event: unknown = JSON.parse(json)
  const content = isObject(event) ? own(event, 'content') : undefined
  return isObject(content) ? content : {}
}

export class RoomStates implements NodeSource {
  readonly #store: StateStore
  readonly #names: Names
  readonly #events: Events
  readonly #nodes: Cache<number, TrieNode>
  /** Nodes that are not committed yet and must not be lost to the cache's budget. */
  readonly #pinned = new Map<number, TrieNode>()

  constructor(needs: { readonly database: Database; readonly caches: CacheBudget; readonly names: Names; readonly events: Events }) {
    this.#store = new StateStore(needs.database)
    this.#names = needs.names
    this.#events = needs.events
    this.#nodes = needs.caches.cache('state_nodes', nodeBytes)
  }

  /** The store, for the persister alone. */
  get store(): StateStore {
    return this.#store
  }

  node(roomNid: number, id: number): TrieNode | Promise<TrieNode> {
    return this.#nodes.get(id) ?? this.#pinned.get(id) ?? this.#load(roomNid, id)
  }

  /** Holds nodes that are about to be stored, until `settled`. */
  pin(nodes: NewNodes): void {
    for (const [id, { node }] of nodes) this.#pinned.set(id, node)
  }

  /** The nodes were stored or will never be. */
  settled(nodes: NewNodes, stored: boolean): void {
    for (const [id, { node }] of nodes) {
      this.#pinned.delete(id)
      if (stored) this.#nodes.set(id, node)
    }
  }

  /** Deletes at most `limit` places of a room's current state. @returns whether there may be more */
  async purgeCurrent(tx: Tx, room: Room, limit: number): Promise<boolean> {
    return (await this.#store.deleteCurrent(tx, room.nid, limit)) === limit
  }

  /**
   * Deletes states with all of their nodes, also those that other states share: for rooms that go as a whole. What is below a node that is gone is gone
   * as well, because each transaction takes all that its states reach.
   */
  async purgeNodes(tx: Tx, roots: readonly number[]): Promise<void> {
    const seen = new Set<number>()
    for (let next = [...new Set(roots)]; next.length > 0;) {
      for (const id of next) seen.add(id)
      const contents = await this.#store.deleteNodes(tx, next)
      next = [...new Set(contents.map(decodeNode).flatMap((node) => ('children' in node ? node.children : [])))].filter((id) => !seen.has(id))
    }
  }

  /** An event by number. */
  eventByNid(nid: number): Promise<StoredEvent | undefined> {
    return this.#events.byNid(nid)
  }

  /** The event that holds (type, state key) in the state `root`. */
  async get(room: Room, root: number, type: string, stateKey: string): Promise<StoredEvent | undefined> {
    const nid = await this.nidOf(room, root, type, stateKey)
    return nid === undefined ? undefined : this.#events.byNid(nid)
  }

  /** The number of the event that holds (type, state key) in the state `root`. */
  async nidOf(room: Room, root: number, type: string, stateKey: string): Promise<number | undefined> {
    if (root === emptyRoot) return undefined
    const typeNid = await this.#names.find(type)
    const stateKeyNid = await this.#names.find(stateKey)
    if (typeNid === undefined || stateKeyNid === undefined) return undefined
    return trieGet(this, room.nid, root, typeNid, stateKeyNid)
  }

  /** All events of the state `root`; of some types only, where given. */
  async all(room: Room, root: number, types?: readonly string[]): Promise<StoredEvent[]> {
    const entries = await this.entries(room, root, types)
    const events = await this.#events.byNids(entries.map((entry) => entry.eventNid))
    return entries.map((entry) => events.get(entry.eventNid)).filter((event) => event !== undefined)
  }

  /** All entries of the state `root`; of some types only, where given. */
  async entries(room: Room, root: number, types?: readonly string[]): Promise<StateEntry[]> {
    const entries = await trieEntries(this, room.nid, root)
    if (!types) return entries
    const nids = new Set(await Promise.all(types.map((type) => this.#names.find(type))))
    return entries.filter((entry) => nids.has(entry.typeNid))
  }

  /**
   * Current state events of some types with the empty state key, of many rooms, with two reads.
   * @returns their contents as they are shown: of a redacted event it is empty
   */
  async currentContents(roomNids: readonly number[], types: readonly string[]): Promise<CurrentContent[]> {
    const stateKeyNid = await this.#names.find('')
    const byNid = new Map<number, string>()
    for (const type of types) {
      const nid = await this.#names.find(type)
      if (nid !== undefined) byNid.set(nid, type)
    }
    if (stateKeyNid === undefined || byNid.size === 0 || roomNids.length === 0) return []
    const rows = await this.#store.currentOfRooms(roomNids, [...byNid.keys()], stateKeyNid)
    return rows.map((row) => ({ roomNid: row.room_nid, type: byNid.get(row.type_nid) ?? '', content: row.redacted_by_nid === null ? contentOf(row.json) : {} }))
  }

  /** Current state events of one type in a room. */
  async currentOfType(room: Room, type: string): Promise<StoredEvent[]> {
    const typeNid = await this.#names.find(type)
    const rows = typeNid === undefined ? [] : await this.#store.currentByType(room.nid, typeNid)
    return [...(await this.#events.byNids(rows.map((row) => row.event_nid))).values()]
  }

  /**
   * The state `root` with an event in it.
   * @param made collects nodes that must be stored with the event
   */
  async with(room: Room, root: number, event: { readonly type: string; readonly stateKey: string; readonly eventNid: number }, made: NewNodes): Promise<number> {
    const typeNid = await this.#names.intern(event.type)
    const stateKeyNid = await this.#names.intern(event.stateKey)
    return trieSet(this, room.nid, root, { typeNid, stateKeyNid, eventNid: event.eventNid }, made)
  }

  /**
   * A state with several entries set, or removed where their event is undefined.
   * @param made collects nodes that must be stored
   */
  async withEntries(room: Room, root: number, entries: readonly ChangedEntry[], made: NewNodes): Promise<number> {
    const nodes: NewNodes = new Map()
    const changed = entries.some(({ eventNid }) => eventNid === undefined) || entries.length > rebuildAbove
      ? trieOf(room.nid, await this.#merged(room, root, entries), nodes)
      : await this.#setAll(room, root, entries, nodes)
    const kept = reachable(changed, nodes)
    this.pin(kept)
    for (const [id, node] of kept) made.set(id, node)
    return changed
  }

  /** What changes from one state to another: for each key its new event. */
  async changes(room: Room, from: number, to: number): Promise<ChangedEntry[]> {
    const { onlyLeft, onlyRight } = await trieDiff(this, room.nid, from, to)
    const changed = new Map<string, ChangedEntry>()
    for (const { typeNid, stateKeyNid } of onlyLeft) changed.set(`${typeNid} ${stateKeyNid}`, { typeNid, stateKeyNid, eventNid: undefined })
    for (const entry of onlyRight) changed.set(`${entry.typeNid} ${entry.stateKeyNid}`, entry)
    return [...changed.values()]
  }

  /** Root of the room's state once an event had come: of all branches that there were. */
  async rootAfter(event: StoredEvent): Promise<number | undefined> {
    return event.roomRoot ?? this.branchAfter(event)
  }

  /** Root of the state after an event in its own branch, from the state before it. */
  async branchAfter(event: StoredEvent): Promise<number | undefined> {
    const { type, stateKey } = event.event
    if (stateKey === undefined || event.stateRoot === undefined || event.rejected) return event.stateRoot
    const made: NewNodes = new Map()
    const root = await this.with(event.room, event.stateRoot, { type, stateKey, eventNid: event.nid }, made)
    for (const [id, { node }] of made) this.#nodes.set(id, node)
    return root
  }

  /** Event ids of the state before an event by their place, for federation and tests. */
  async idsAt(room: Room, root: number): Promise<EventId[]> {
    return (await this.all(room, root)).map((event) => event.event.eventId)
  }

  async #setAll(room: Room, root: number, entries: readonly ChangedEntry[], nodes: NewNodes): Promise<number> {
    let changed = root
    for (const { typeNid, stateKeyNid, eventNid } of entries) {
      if (eventNid !== undefined) changed = await trieSet(this.#with(nodes), room.nid, changed, { typeNid, stateKeyNid, eventNid }, nodes)
    }
    return changed
  }

  /** Nodes that were just made come before those that are stored. */
  #with(nodes: NewNodes): NodeSource {
    return { node: (roomNid, id) => nodes.get(id)?.node ?? this.node(roomNid, id) }
  }

  async #merged(room: Room, root: number, changes: readonly ChangedEntry[]): Promise<StateEntry[]> {
    const entries = new Map((await trieEntries(this, room.nid, root)).map((entry) => [`${entry.typeNid} ${entry.stateKeyNid}`, entry]))
    for (const { typeNid, stateKeyNid, eventNid } of changes) {
      const key = `${typeNid} ${stateKeyNid}`
      if (eventNid === undefined) entries.delete(key)
      else entries.set(key, { typeNid, stateKeyNid, eventNid })
    }
    return [...entries.values()]
  }

  async #load(roomNid: number, id: number): Promise<TrieNode> {
    const [row] = await this.#store.nodes([id])
    if (!row || row.room_nid !== roomNid) throw new Error(`State node ${id} of room number ${roomNid} is missing`)
    const node = decodeNode(row.content)
    this.#nodes.set(id, node)
    return node
  }
}
