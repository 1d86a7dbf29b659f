/**
 * Whether users are there, how long ago they did something, and what they say about it.
 *
 * Spec: client-server API, "Presence".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { Stream } from '#platform/streams/stream.ts'
import { busy, combined, fade, type Device, type PresenceTimes, type PresenceValue } from './device-presence.ts'
import { PresenceStore, type PresenceRow } from './presence.store.ts'

export type { PresenceValue } from './device-presence.ts'

/** Presence of a user, also a row of the presence stream. */
export interface PresenceState {
  readonly userId: UserId
  readonly value: PresenceValue
  readonly statusMsg: string | undefined
  /** Milliseconds since 1970; 0 where the user never did anything. */
  readonly lastActiveTs: number
  readonly currentlyActive: boolean
}

/** How often fading is looked at. */
const fadeIntervalMs = 5_000
const statusLimitBytes = 8_192

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly memberships: Memberships
  readonly logger: Logger
  readonly enabled: boolean
  readonly busyEnabled: boolean
  readonly times: PresenceTimes
  /** Ids of rooms that do not let their members see each other's presence. */
  readonly excludedRooms: ReadonlySet<string>
}

export class Presence implements AsyncDisposable {
  /** Every change of presence that readers must learn of. */
  readonly stream: Stream<PresenceState>
  readonly enabled: boolean
  readonly #needs: Needs
  readonly #store: PresenceStore
  readonly #states: Cache<string, PresenceState>
  /** Devices of local users who are not offline. */
  readonly #devices = new Map<string, Map<string, Device>>()
  /** Newest states of local users who are not offline, and of all that wait to be written. */
  readonly #live = new Map<string, PresenceState>()
  #unwritten = new Map<string, PresenceState>()
  #writing: Promise<void> | undefined
  readonly #timer: Timer
  readonly #arrivals: ((userId: UserId) => void)[] = []

  private constructor(needs: Needs, stream: Stream<PresenceState>) {
    this.#needs = needs
    this.stream = stream
    this.enabled = needs.enabled
    this.#store = new PresenceStore(needs.database)
    this.#states = needs.caches.cache('presence', (state) => 200 + (state.statusMsg?.length ?? 0))
    this.#timer = needs.clock.every(fadeIntervalMs, () => this.#fadeAll())
  }

  /** Opens the presence of a database. Local users who were there get a while to sync again. */
  static async open(needs: Needs): Promise<Presence> {
    const [row] = await needs.database.rows<{ last: number | null }>('SELECT max(stream_id) AS last FROM presence', [])
    const presence = new Presence(needs, new Stream({ name: 'presence', position: row?.last ?? 0 }))
    if (needs.enabled) await presence.#resume()
    return presence
  }

  /** Calls `listener` whenever a client of a user asks for news. */
  onSyncing(listener: (userId: UserId) => void): void {
    this.#arrivals.push(listener)
  }

  /** Stops the time and waits for what is being written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer.cancel()
    // Who changed something hears of a failure; it must not keep the server from stopping.
    await this.#writing?.catch(() => undefined)
  }

  /**
   * Sets what a device of a local user says.
   * @param statusMsg undefined takes the message away
   * @throws M_BAD_JSON for a state that does not exist
   */
  async set(userId: UserId, deviceId: string | undefined, value: string, statusMsg: string | undefined): Promise<void> {
    const known = this.#valueOf(value)
    if (statusMsg !== undefined && Buffer.byteLength(statusMsg) > statusLimitBytes) {
      throw refuse('M_TOO_LARGE', `A status message has at most ${statusLimitBytes} bytes.`)
    }
    if (statusMsg?.includes('\0')) throw refuse('M_INVALID_PARAM', 'A status message must not contain the NUL character; remove it.')
    if (!this.enabled) return
    const told = await this.get(userId)
    const previous = { ...told, lastActiveTs: this.#lastActive(told) }
    const now = this.#needs.clock.now()
    if (known === 'offline') this.#devices.get(userId)?.delete(deviceId ?? '')
    else {
      const device = this.#device(userId, deviceId)
      device.value = known
      if (known !== 'unavailable') device.lastActiveTs = now
    }
    await this.#update(previous, statusMsg)
  }

  /**
   * A client syncs: it is there until the answer is disposed, and for a while after.
   * @param setPresence the request's `set_presence`; `offline` leaves the user's presence alone
   */
  async syncing(userId: UserId, deviceId: string | undefined, setPresence: string = 'online'): Promise<Disposable> {
    const value = this.#valueOf(setPresence)
    for (const listener of this.#arrivals) listener(userId)
    if (!this.enabled || value === 'offline') return { [Symbol.dispose]: () => undefined }
    const previous = await this.get(userId)
    const known = this.#devices.get(userId)?.get(deviceId ?? '')
    const device = known ?? this.#device(userId, deviceId)
    device.syncing += 1
    if (!known || device.syncValue !== value) {
      device.value = value
      if (value !== 'unavailable') device.lastActiveTs = this.#needs.clock.now()
    }
    device.syncValue = value
    this.#refresh(previous)
    return {
      [Symbol.dispose]: () => {
        device.syncing -= 1
        device.lastSyncTs = this.#needs.clock.now()
      },
    }
  }

  /** A local user did something: sent, read or typed. */
  active(userId: string, deviceId: string | undefined): void {
    if (!this.enabled) return
    const device = this.#device(userId as UserId, deviceId)
    device.lastActiveTs = this.#needs.clock.now()
    if (device.value !== busy) device.value = 'online'
    void this.get(userId as UserId).then((previous) => this.#refresh(previous), (error: unknown) => this.#failed(error))
  }

  /** What another server says of its user. */
  async receive(state: PresenceState): Promise<void> {
    if (!this.enabled || this.#needs.memberships.isLocal(state.userId)) return
    const statusMsg = state.statusMsg?.replaceAll('\0', '').slice(0, statusLimitBytes)
    await this.#publish({ ...state, statusMsg })
  }

  /** Presence of a user as last told; offline where nothing is known. */
  async get(userId: UserId): Promise<PresenceState> {
    return (await this.getMany([userId])).get(userId) ?? nothingKnown(userId)
  }

  /** Presence of many users; unknown ones are left out. */
  async getMany(userIds: readonly UserId[]): Promise<Map<UserId, PresenceState>> {
    const found = new Map<UserId, PresenceState>()
    const missing: UserId[] = []
    for (const userId of userIds) {
      const state = this.#live.get(userId) ?? this.#unwritten.get(userId) ?? this.#states.get(userId)
      if (state) found.set(userId, state)
      else missing.push(userId)
    }
    if (missing.length === 0) return found
    const before = this.stream.position
    for (const row of await this.#store.byUsers(missing)) {
      found.set(row.user_id, stateOf(row))
      if (before === this.stream.position) this.#states.set(row.user_id, stateOf(row))
    }
    return found
  }

  /** @throws M_FORBIDDEN where the observer may not see the user's presence */
  async getFor(observer: UserId, userId: UserId): Promise<PresenceState> {
    if (!(await this.mayBeSeen(observer, userId))) throw refuse('M_FORBIDDEN', 'You can only see the presence of users with whom you share a room.')
    return this.enabled ? this.get(userId) : nothingKnown(userId)
  }

  /** Whether an observer may see the presence of a user: they share a room that is not excluded. */
  async mayBeSeen(observer: UserId, userId: UserId): Promise<boolean> {
    if (observer === userId) return true
    const { memberships, excludedRooms } = this.#needs
    if (excludedRooms.size === 0) return memberships.shareRoom(observer, userId)
    const others = await memberships.ofUser(userId)
    return (await memberships.joinedRooms(observer)).some((room) => !excludedRooms.has(room.id) && others.get(room.nid)?.membership === 'join')
  }

  /** Changes with `since < position <= upTo`, each user once, newest state. */
  async changesSince(since: number, upTo: number): Promise<PresenceState[]> {
    const recent = this.stream.since(since)
    if (!recent) return (await this.#store.changes(since, upTo)).map(stateOf)
    return [...new Map(recent.filter(({ id }) => id <= upTo).map(({ row }) => [row.userId, row])).values()]
  }

  /** Content of an `m.presence` event, and what `/presence/{userId}/status` answers. */
  content(state: PresenceState): Record<string, string | number | boolean> {
    const content: Record<string, string | number | boolean> = { presence: state.value }
    if (state.lastActiveTs > 0) content['last_active_ago'] = Math.max(0, this.#needs.clock.now() - this.#lastActive(state))
    if (state.statusMsg !== undefined) content['status_msg'] = state.statusMsg
    if (state.value === 'online') content['currently_active'] = state.currentlyActive
    return content
  }

  /** The devices know of activity that was not worth a change. */
  #lastActive(state: PresenceState): number {
    let last = state.lastActiveTs
    for (const device of this.#devices.get(state.userId)?.values() ?? []) last = Math.max(last, device.lastActiveTs)
    return last
  }

  #valueOf(text: string): PresenceValue {
    if (text === 'online' || text === 'unavailable' || text === 'offline') return text
    if (this.#needs.busyEnabled && (text === busy || text === 'busy')) return busy
    throw refuse('M_BAD_JSON', 'A presence is one of "online", "unavailable" and "offline".')
  }

  #device(userId: string, deviceId: string | undefined): Device {
    let devices = this.#devices.get(userId)
    if (!devices) this.#devices.set(userId, (devices = new Map()))
    let device = devices.get(deviceId ?? '')
    if (!device) {
      const now = this.#needs.clock.now()
      devices.set(deviceId ?? '', (device = { value: 'online', lastActiveTs: now, lastSyncTs: now, syncing: 0, syncValue: undefined }))
    }
    return device
  }

  async #resume(): Promise<void> {
    for (const row of await this.#store.seen()) {
      if (!this.#needs.memberships.isLocal(row.user_id)) continue
      const state = stateOf(row)
      this.#live.set(row.user_id, state)
      const device = this.#device(row.user_id, undefined)
      device.value = state.value
      device.lastActiveTs = row.last_active_ts
    }
  }

  #fadeAll(): void {
    const now = this.#needs.clock.now()
    for (const [userId, devices] of this.#devices) {
      const told = this.#live.get(userId)
      const state = told && { ...told, lastActiveTs: this.#lastActive(told) }
      for (const [deviceId, device] of devices) if (!fade(device, now, this.#needs.times)) devices.delete(deviceId)
      if (state) this.#refresh(state)
      if (devices.size === 0) this.#devices.delete(userId)
    }
  }

  /** Publishes what time and devices made of a state, if readers must learn of it. */
  #refresh(previous: PresenceState): void {
    this.#update(previous, (this.#live.get(previous.userId) ?? previous).statusMsg).catch((error: unknown) => this.#failed(error))
  }

  #update(base: PresenceState, statusMsg: string | undefined): Promise<void> {
    const told = this.#live.get(base.userId) ?? base
    const { lastActiveGranularityMs } = this.#needs.times
    const lastActiveTs = this.#lastActive(base)
    const value = combined(this.#devices.get(base.userId)?.values() ?? [])
    const next: PresenceState = {
      userId: base.userId, value, statusMsg, lastActiveTs,
      currentlyActive: value === 'online' && this.#needs.clock.now() - lastActiveTs < lastActiveGranularityMs,
    }
    const same = next.value === told.value && next.statusMsg === told.statusMsg && next.currentlyActive === told.currentlyActive
    const news = !same || (!next.currentlyActive && next.lastActiveTs - told.lastActiveTs >= lastActiveGranularityMs)
    return news ? this.#publish(next) : Promise.resolve()
  }

  /** Writes and publishes a state; states that come while one group is being written form the next. */
  #publish(state: PresenceState): Promise<void> {
    if (this.#needs.memberships.isLocal(state.userId) && state.value !== 'offline') this.#live.set(state.userId, state)
    else this.#live.delete(state.userId)
    this.#unwritten.set(state.userId, state)
    return (this.#writing ??= this.#write())
  }

  async #write(): Promise<void> {
    await Promise.resolve()
    try {
      while (this.#unwritten.size > 0) {
        const states = [...this.#unwritten.values()]
        await this.#needs.database.transaction((tx) =>
          this.#store.set(tx, states.map((state) => rowOf(state, this.stream.append(tx, state)))))
        for (const state of states) {
          this.#states.set(state.userId, state)
          if (this.#unwritten.get(state.userId) === state) this.#unwritten.delete(state.userId)
        }
      }
    } finally {
      this.#writing = undefined
    }
  }

  #failed(error: unknown): void {
    this.#needs.logger.error('Failed to store presence; it is tried again with the next change', { error })
  }
}

function nothingKnown(userId: UserId): PresenceState {
  return { userId, value: 'offline', statusMsg: undefined, lastActiveTs: 0, currentlyActive: false }
}

function stateOf(row: PresenceRow): PresenceState {
  const value = row.state === 'online' || row.state === 'unavailable' || row.state === busy ? row.state : 'offline'
  return {
    userId: row.user_id, value, statusMsg: row.status_msg ?? undefined, lastActiveTs: row.last_active_ts, currentlyActive: row.currently_active === 1,
  }
}

function rowOf(state: PresenceState, streamId: number): PresenceRow {
  return {
    user_id: state.userId, stream_id: streamId, state: state.value, status_msg: state.statusMsg ?? null, last_active_ts: state.lastActiveTs,
    currently_active: state.currentlyActive ? 1 : 0,
  }
}
