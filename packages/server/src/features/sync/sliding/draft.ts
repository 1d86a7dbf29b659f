/** What an answer tells a client beyond what it knows: the change of the connection's state, while it is made. */
import type { ConnectionState, RoomRecord, StateChange } from './connection-state.ts'

export class Draft implements StateChange {
  readonly rooms = new Map<number, RoomRecord>()
  readonly removed = new Set<number>()
  accountDataTold: boolean | undefined
  readonly #before: ConnectionState

  constructor(before: ConnectionState) {
    this.#before = before
  }

  /** Whether the client knows something else now. */
  get isChange(): boolean {
    return this.rooms.size > 0 || this.removed.size > 0 || this.accountDataTold !== undefined
  }

  /** Whether the client has the account's own data. */
  get hasAccountData(): boolean {
    return this.accountDataTold ?? this.#before.accountDataTold
  }

  /** What the client knows of a room. */
  get(roomNid: number): RoomRecord | undefined {
    return this.removed.has(roomNid) ? undefined : (this.rooms.get(roomNid) ?? this.#before.rooms.get(roomNid))
  }

  /** Numbers of the rooms that the client knows. */
  *known(): Iterable<number> {
    for (const nid of this.#before.rooms.keys()) if (!this.removed.has(nid)) yield nid
    for (const nid of this.rooms.keys()) if (!this.#before.rooms.has(nid)) yield nid
  }

  /** The client knows this of a room, or undefined: it knows the room no longer. */
  set(roomNid: number, record: RoomRecord | undefined): void {
    const before = this.#before.rooms.get(roomNid)
    this.rooms.delete(roomNid)
    this.removed.delete(roomNid)
    if (!record) {
      if (before) this.removed.add(roomNid)
      return
    }
    if (!before || !isSame(before, record)) this.rooms.set(roomNid, record)
  }
}

function isSame(one: RoomRecord, other: RoomRecord): boolean {
  return one.events === other.events && one.receipts === other.receipts && one.accountData === other.accountData && one.timeline === other.timeline
    && one.isDirect === other.isDirect && one.requiredState.text === other.requiredState.text
}
