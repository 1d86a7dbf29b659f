/**
 * What a client of sliding sync has been told at one position of its connection. States are immutable; what an answer adds is a change that makes the
 * next state from this one, so that an answer that was lost can be given again.
 *
 * Spec: MSC4186, "Connections", "Changing room configs".
 */
import { RequiredState } from './required-state.ts'

/** Everything up to the token's moment was told. */
export const upToDate = 'live'
/** Nothing was told. */
export const neverTold = 'never'

/** Up to where something of a room was told: to the moment of the token, not at all, or to a place of its stream. */
export type ToldUpTo = typeof upToDate | typeof neverTold | number

/** What was told of one room. */
export interface RoomRecord {
  readonly events: ToldUpTo
  readonly receipts: ToldUpTo
  readonly accountData: ToldUpTo
  /** The state that the client keeps up with. */
  readonly requiredState: RequiredState
  /** The client has this many of the newest events without a gap; all that there are where it is infinite. */
  readonly timeline: number
  readonly isDirect: boolean
}

/** What an answer adds to a state. */
export interface StateChange {
  readonly rooms: ReadonlyMap<number, RoomRecord>
  readonly removed: ReadonlySet<number>
  /** Whether the account's own data was told; undefined leaves it. */
  readonly accountDataTold: boolean | undefined
}

/** A room as it is stored: number, events, receipts, account data, index of the required state, timeline, direct. */
type StoredRoom = [number, number, number, number, number, number, number]

interface StoredState {
  /** Whether it stands alone; otherwise it is to be added to the state before it. */
  readonly full?: 1
  /** Required states by their index. */
  readonly wishes?: readonly (readonly [number, string])[]
  readonly rooms?: readonly StoredRoom[]
  readonly removed?: readonly number[]
  readonly accountData?: 0 | 1
}

export class ConnectionState {
  readonly rooms: ReadonlyMap<number, RoomRecord>
  readonly accountDataTold: boolean
  /** Required states that texts refer to by index. */
  readonly #wishes: ReadonlyMap<string, number>

  private constructor(rooms: ReadonlyMap<number, RoomRecord>, accountDataTold: boolean, wishes: ReadonlyMap<string, number>) {
    this.rooms = rooms
    this.accountDataTold = accountDataTold
    this.#wishes = wishes
  }

  /** A client that was told nothing. */
  static readonly empty = new ConnectionState(new Map(), false, new Map())

  /** Estimated bytes of memory. */
  get weight(): number {
    return 300 + this.rooms.size * 110
  }

  /**
   * The state with a change, and the text by which the change is stored.
   * @param full store the whole state instead, so that nothing before it is needed
   */
  with(change: StateChange, full: boolean): { readonly state: ConnectionState; readonly text: string } {
    const rooms = new Map(this.rooms)
    for (const [nid, record] of change.rooms) rooms.set(nid, record)
    for (const nid of change.removed) rooms.delete(nid)
    const wishes = full ? new Map<string, number>() : new Map(this.#wishes)
    const added: [number, string][] = []
    const indexOf = ({ text }: RequiredState): number => {
      let index = wishes.get(text)
      if (index === undefined) {
        index = wishes.size
        wishes.set(text, index)
        added.push([index, text])
      }
      return index
    }
    const written = [...(full ? rooms : change.rooms)].map(([nid, record]) => storedRoom(nid, record, indexOf(record.requiredState)))
    const accountDataTold = change.accountDataTold ?? this.accountDataTold
    const stored: StoredState = {
      ...(full ? { full: 1 } : {}), wishes: added, rooms: written,
      ...(full || change.removed.size === 0 ? {} : { removed: [...change.removed] }),
      ...(full || change.accountDataTold !== undefined ? { accountData: accountDataTold ? 1 : 0 } : {}),
    }
    return { state: new ConnectionState(rooms, accountDataTold, wishes), text: JSON.stringify(stored) }
  }

  /** The state that texts tell, oldest first, the first of them a full one. */
  static read(texts: readonly string[]): ConnectionState {
    const rooms = new Map<number, RoomRecord>()
    const wishes = new Map<string, number>()
    const byIndex = new Map<number, RequiredState>()
    let accountDataTold = false
    for (const text of texts) {
      const stored: StoredState = JSON.parse(text)
      for (const [index, wish] of stored.wishes ?? []) {
        wishes.set(wish, index)
        byIndex.set(index, RequiredState.parse(wish))
      }
      for (const room of stored.rooms ?? []) rooms.set(room[0], recordOf(room, byIndex))
      for (const nid of stored.removed ?? []) rooms.delete(nid)
      if (stored.accountData !== undefined) accountDataTold = stored.accountData === 1
    }
    return new ConnectionState(rooms, accountDataTold, wishes)
  }
}

function storedRoom(nid: number, record: RoomRecord, wish: number): StoredRoom {
  const { events, receipts, accountData, timeline, isDirect } = record
  return [nid, storedPlace(events), storedPlace(receipts), storedPlace(accountData), wish, Number.isFinite(timeline) ? timeline : -1, isDirect ? 1 : 0]
}

function recordOf([, events, receipts, accountData, wish, timeline, isDirect]: StoredRoom, byIndex: ReadonlyMap<number, RequiredState>): RoomRecord {
  return {
    events: placeOf(events), receipts: placeOf(receipts), accountData: placeOf(accountData), requiredState: byIndex.get(wish) ?? RequiredState.nothing,
    timeline: timeline < 0 ? Infinity : timeline, isDirect: isDirect === 1,
  }
}

function storedPlace(told: ToldUpTo): number {
  return told === upToDate ? -1 : told === neverTold ? -2 : told
}

function placeOf(stored: number): ToldUpTo {
  return stored === -1 ? upToDate : stored === -2 ? neverTold : stored
}
