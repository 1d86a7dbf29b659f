/** Where rooms stand: the newest events of all branches, and the state that these resolve to. Held in memory while a room is in use. */
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import type { Events } from './events.ts'
import type { CommitUnit, Lineage, Persister } from './persister.ts'
import type { Room } from './room.ts'
import type { StateResolver } from './state-resolver.ts'
import { emptyRoot, type NewNodes } from './trie.ts'

/** The newest event of a branch. */
export interface Extremity {
  readonly nid: number
  readonly eventId: EventId
  readonly depth: number
  /** Root of the state after it, in its branch. */
  readonly root: number
}

/** What the next event is built on. */
export interface Head {
  readonly lineage: Lineage
  readonly extremities: readonly Extremity[]
  /** Root of the room's state, resolved of all branches. */
  readonly root: number
  /** Nodes of that state which are not stored yet; the next commit stores them. */
  readonly nodes: NewNodes
}

interface Needs {
  readonly events: Events
  readonly resolver: StateResolver
  readonly persister: Persister
}

/** The head of a room without events. */
export function emptyHead(): Head {
  return { lineage: { valid: true }, extremities: [], root: emptyRoot, nodes: new Map() }
}

export class RoomHeads {
  readonly #needs: Needs
  readonly #heads = new Map<number, Head>()
  readonly #loading = new Map<number, Promise<Head>>()
  readonly #commits = new Map<number, Promise<void>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The head of a room. */
  async of(room: Room): Promise<Head> {
    const known = this.#heads.get(room.nid)
    if (known?.lineage.valid) return known
    const running = this.#loading.get(room.nid)
    if (running) return running
    const loading = this.#load(room).finally(() => this.#loading.delete(room.nid))
    this.#loading.set(room.nid, loading)
    return loading
  }

  /** Moves the head of a room and commits what moved it; the head moves at once, the promise follows. */
  commit(unit: CommitUnit, head: Head): Promise<void> {
    const committed = this.#needs.persister.commit(unit)
    this.#heads.set(unit.room.nid, head)
    const settled = committed.catch(() => undefined).then(() => {
      if (this.#commits.get(unit.room.nid) === settled) this.#commits.delete(unit.room.nid)
    })
    this.#commits.set(unit.room.nid, settled)
    return committed
  }

  /** Resolves once everything that was handed over for a room is stored, or has failed. */
  async settled(room: Room): Promise<void> {
    await this.#commits.get(room.nid)
  }

  /** Forgets a room that was deleted. */
  forget(room: Room): void {
    this.#heads.delete(room.nid)
  }

  async #load(room: Room): Promise<Head> {
    const rows = await this.#needs.events.store.extremities(room.nid)
    const events = await this.#needs.events.byNids(rows.map((row) => row.event_nid))
    const extremities = rows.flatMap(({ event_nid: nid, state_root: root }) => {
      const event = events.get(nid)?.event
      return event ? [{ nid, eventId: event.eventId, depth: event.depth, root }] : []
    })
    const nodes: NewNodes = new Map()
    const root = await this.#needs.resolver.resolve(room, extremities.map((extremity) => extremity.root), nodes)
    const head: Head = { lineage: { valid: true }, extremities, root, nodes }
    this.#heads.set(room.nid, head)
    return head
  }
}
