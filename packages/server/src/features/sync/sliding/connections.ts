/**
 * Connections of sliding sync: each position that a client may come back with, and what the client knows at it. Positions survive a restart; only an
 * answer that changes what the client knows makes a new one.
 *
 * Spec: MSC4186, "Connections".
 */
import { refuse, type MatrixError } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { formatSyncToken, parseSyncToken, type SyncPosition } from '../sync-token.ts'
import { ConnectionState, type StateChange } from './connection-state.ts'
import { ConnectionsStore } from './connections.store.ts'

/** A device has at most this many connections; the one that was used longest ago gives way. */
const connectionsLimit = 16
/** Connections that nobody used for so long are forgotten. */
const idleMs = 30 * 24 * 3_600_000
const idlePage = 200
/** How exactly the time of the last use is known. */
const usedGranularityMs = 3_600_000
/** After so many changes a whole state is stored. */
const changesLimit = 32
/** Texts of changes are kept until they are so many times as long as a whole state, or this long. */
const changesFactor = 2
const changesLength = 16_384
/** Of the answers to one position that nobody has come back with, so many are kept. */
const answersKept = 3
/** So many closed connections are remembered. */
const closedLimit = 50_000

/** Who has a connection. */
export interface ConnectionOwner {
  readonly userId: UserId
  readonly deviceId: string | undefined
  readonly connectionId: string
}

interface Connection extends ConnectionOwner {
  readonly nid: number
  lastUsedTs: number
}

/** A position of a connection. */
export interface ConnectionPosition {
  readonly nid: number
  readonly connection: Connection
  readonly state: ConnectionState
  /** Positions whose texts make the state, the last of them this one. */
  readonly chain: readonly number[]
  /** Length of the first text of the chain, and of the others. */
  readonly fullLength: number
  readonly changesLength: number
  /** Positions that were made from this one. */
  readonly children: number[]
}

/** Where a client stands: its position, and the moment up to which it knows what its position tells. */
export interface ClientPosition {
  readonly position: ConnectionPosition
  readonly since: SyncPosition
}

const form = /^(\d{1,16})\/(s.{1,400})$/

/** The token of a position at a moment. */
export function formatPos(position: ConnectionPosition, moment: SyncPosition): string {
  return `${position.nid}/${formatSyncToken(moment)}`
}

/** Number and moment of a token, or undefined where the text is none. */
export function parsePos(text: string): { readonly nid: number; readonly moment: SyncPosition } | undefined {
  const [, nid, token] = form.exec(text) ?? []
  const moment = token === undefined ? undefined : parseSyncToken(token)
  return moment && { nid: Number(nid), moment }
}

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
}

export class Connections {
  readonly #needs: Needs
  readonly #store: ConnectionsStore
  readonly #positions: Cache<number, ConnectionPosition>
  readonly #closed = new Set<number>()
  #lastConnection: number
  #lastPosition: number

  private constructor(needs: Needs, highest: { readonly connection: number; readonly position: number }) {
    this.#needs = needs
    this.#store = new ConnectionsStore(needs.database)
    this.#positions = needs.caches.cache('sliding_sync_positions', (position) => position.state.weight)
    this.#lastConnection = highest.connection
    // Numbers of positions that were deleted are not given out again, so that an old token never meets a new state.
    this.#lastPosition = Math.max(highest.position, needs.clock.now())
  }

  static async open(needs: Needs): Promise<Connections> {
    return new Connections(needs, await ConnectionsStore.highest(needs.database))
  }

  /** Where a client stands that comes with a token. @throws M_UNKNOWN_POS where the token is not one of the owner's, or was forgotten */
  async require(owner: ConnectionOwner, pos: string): Promise<ClientPosition> {
    const parsed = parsePos(pos)
    const position = parsed && (this.#positions.get(parsed.nid) ?? (await this.#load(parsed.nid)))
    if (!parsed || !position || this.#closed.has(position.connection.nid) || !isOwner(position.connection, owner)) throw unknownPosition()
    await this.#used(position.connection)
    return { position, since: parsed.moment }
  }

  /** Begins a connection of which `change` was told; an earlier one of the same owner ends. */
  async begin(owner: ConnectionOwner, change: StateChange): Promise<ConnectionPosition> {
    const connection: Connection = { ...owner, nid: ++this.#lastConnection, lastUsedTs: this.#needs.clock.now() }
    const { state, text } = ConnectionState.empty.with(change, true)
    const nid = ++this.#lastPosition
    const position: ConnectionPosition = { nid, connection, state, chain: [nid], fullLength: text.length, changesLength: 0, children: [] }
    await this.#needs.database.transaction(async (tx) => {
      await this.#makeRoom(tx, owner)
      const { lastUsedTs } = connection
      await this.#store.insertConnection(tx, {
        connection_nid: connection.nid, user_id: owner.userId, device_id: owner.deviceId ?? '', conn_id: owner.connectionId,
        created_ts: lastUsedTs, last_used_ts: lastUsedTs,
      })
      await this.#store.insertPosition(tx, { position_nid: nid, connection_nid: connection.nid, parent_nid: null, state: text })
      tx.afterCommit(() => this.#positions.set(nid, position))
    })
    return position
  }

  /** The position after an answer that told `change`. @throws M_UNKNOWN_POS where the connection has ended meanwhile */
  async advance(from: ConnectionPosition, change: StateChange): Promise<ConnectionPosition> {
    const { connection } = from
    const isFull = from.chain.length > changesLimit || from.changesLength > Math.max(changesLength, changesFactor * from.fullLength)
    const { state, text } = from.state.with(change, isFull)
    const nid = ++this.#lastPosition
    const position: ConnectionPosition = {
      nid, connection, state, children: [], chain: isFull ? [nid] : [...from.chain, nid],
      fullLength: isFull ? text.length : from.fullLength, changesLength: isFull ? 0 : from.changesLength + text.length,
    }
    // Answers to one position may be made at the same time, when a client gives a request up and sends another: each spares the others.
    from.children.push(nid)
    const kept = from.children.slice(-answersKept)
    await this.#needs.database.transaction(async (tx) => {
      const rows = await this.#store.ofDevice(tx, connection.userId, connection.deviceId ?? '')
      if (!rows.some((row) => row.connection_nid === connection.nid)) throw unknownPosition()
      await this.#store.insertPosition(tx, { position_nid: nid, connection_nid: connection.nid, parent_nid: from.nid, state: text })
      await this.#store.keepPositions(tx, connection.nid, [...from.chain, ...kept])
      tx.afterCommit(() => {
        for (const old of from.children.splice(0, Math.max(0, from.children.length - answersKept))) this.#positions.delete(old)
        this.#positions.set(nid, position)
      })
    })
    return position
  }

  /** Ends the connections of devices, within the transaction that deletes the devices. */
  async devicesDeleted(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#close(tx, await this.#store.ofDevices(tx, userId, deviceIds))
  }

  /** Ends connections that nobody uses; called now and then. */
  async expire(): Promise<void> {
    for (;;) {
      const idle = await this.#store.idle(this.#needs.clock.now() - idleMs, idlePage)
      if (idle.length > 0) await this.#needs.database.transaction((tx) => this.#close(tx, idle))
      if (idle.length < idlePage) return
    }
  }

  /** Ends the owner's connection of the same id, and the oldest ones of the device where they are too many. */
  async #makeRoom(tx: Tx, owner: ConnectionOwner): Promise<void> {
    const rows = await this.#store.ofDevice(tx, owner.userId, owner.deviceId ?? '')
    const others = rows.filter((row) => row.conn_id !== owner.connectionId)
    const ended = [...rows.filter((row) => row.conn_id === owner.connectionId), ...others.slice(0, Math.max(0, others.length + 1 - connectionsLimit))]
    await this.#close(tx, ended.map((row) => row.connection_nid))
  }

  async #close(tx: Tx, connectionNids: readonly number[]): Promise<void> {
    await this.#store.delete(tx, connectionNids)
    tx.afterCommit(() => {
      for (const nid of connectionNids) this.#closed.add(nid)
      if (this.#closed.size <= closedLimit) return
      this.#closed.clear()
      this.#positions.clear()
    })
  }

  async #load(nid: number): Promise<ConnectionPosition | undefined> {
    const row = await this.#store.ofPosition(nid)
    if (!row) return undefined
    const byNid = new Map((await this.#store.positions(row.connection_nid, nid)).map((position) => [position.position_nid, position]))
    const chain: number[] = []
    const texts: string[] = []
    for (let at: number | null = nid; at !== null;) {
      const position = byNid.get(at)
      if (!position) return undefined
      chain.unshift(at)
      texts.unshift(position.state)
      at = position.state.startsWith('{"full":1') ? null : position.parent_nid
    }
    const connection: Connection = {
      nid: row.connection_nid, userId: row.user_id, deviceId: row.device_id === '' ? undefined : row.device_id, connectionId: row.conn_id,
      lastUsedTs: row.last_used_ts,
    }
    const fullLength = texts[0]?.length ?? 0
    const loaded: ConnectionPosition = {
      nid, connection, state: ConnectionState.read(texts), chain, fullLength,
      changesLength: texts.reduce((sum, text) => sum + text.length, -fullLength), children: [],
    }
    this.#positions.set(nid, loaded)
    return loaded
  }

  async #used(connection: Connection): Promise<void> {
    const now = this.#needs.clock.now()
    if (now - connection.lastUsedTs < usedGranularityMs) return
    connection.lastUsedTs = now
    await this.#needs.database.transaction((tx) => this.#store.setUsed(tx, connection.nid, now))
  }
}

function isOwner(connection: ConnectionOwner, owner: ConnectionOwner): boolean {
  return connection.userId === owner.userId && connection.deviceId === owner.deviceId && connection.connectionId === owner.connectionId
}

function unknownPosition(): MatrixError {
  return refuse('M_UNKNOWN_POS', 'The connection has expired or the pos is not one of this connection; sync again without pos.')
}
