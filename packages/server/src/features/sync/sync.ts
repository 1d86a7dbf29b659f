/**
 * What happened to a user between two moments, told as the answer of `/sync`; and waiting until something happens.
 *
 * Spec: client-server API, "Syncing".
 */
import type { Cache } from '#platform/cache/cache.ts'
import { accountScope, type AccountDataEntry } from '#features/account-data/account-data.ts'
import type { DeviceParts } from './device-parts.ts'
import type { LazyMembers } from './lazy-members.ts'
import { OldSync } from './old-sync.ts'
import type { People } from './people.ts'
import type { Poll, Polls } from './polls.ts'
import { accountDataEvents } from './room-sections.ts'
import type { SyncSources } from './sources.ts'
import { eventsSection, type SyncContext, type SyncRequest } from './sync-context.ts'
import { SyncFilters } from './sync-filters.ts'
import type { SyncParts } from './sync-parts.ts'
import { SyncRooms } from './sync-rooms.ts'
import { formatSyncToken, notBeyond, requireSyncToken, samePosition, type SyncPosition } from './sync-token.ts'

export { formatSyncToken, parseSyncToken, type SyncPosition } from './sync-token.ts'
export { SyncParts } from './sync-parts.ts'
export { Connections, parsePos } from './sliding/connections.ts'
export { SlidingSync } from './sliding/sliding-sync.ts'
export type { SyncSources, SyncOptions } from './sources.ts'
export type { SyncRequest } from './sync-context.ts'

/** A computed answer. */
interface Answer {
  readonly text: string
  readonly hasNews: boolean
  /** The moment that the client knows with it. */
  readonly position: SyncPosition
  /** To be called when the client gets the answer. */
  readonly given: () => void
}

/** Events of a timeline where the filter does not say. */
const defaultTimelineLimit = 10
/** Nobody waits longer. */
const longestTimeoutMs = 5 * 60_000

export class Sync {
  /** The deprecated endpoints. */
  readonly old: OldSync
  readonly #parts: SyncParts
  readonly #sources: SyncSources
  readonly #filters: SyncFilters
  readonly #rooms: SyncRooms
  readonly #people: People
  readonly #devices: DeviceParts
  readonly #lazyMembers: LazyMembers
  readonly #polls: Polls
  /** Answers that were given, or are being made, by what was asked. */
  readonly #answers: Cache<string, { readonly text: string; readonly expiresTs: number }>
  readonly #running = new Map<string, Promise<string>>()

  constructor(parts: SyncParts) {
    const { sources } = parts
    this.#parts = parts
    this.#sources = sources
    this.#filters = new SyncFilters(sources)
    this.#rooms = new SyncRooms(parts)
    this.#people = parts.people
    this.#devices = parts.devices
    this.#lazyMembers = parts.lazyMembers
    this.#polls = parts.polls
    this.#answers = sources.caches.cache('sync_responses', ({ text }) => text.length)
    this.old = new OldSync(parts)
  }

  /** The newest moment. */
  position(): SyncPosition {
    return this.#parts.position()
  }

  /** How many requests of a user wait for news or are being answered. */
  waitingOf(userId: string): number {
    return this.#polls.countOf(userId)
  }

  /** Ends the waits of devices that exist no longer, or whose tokens were taken away; undefined means all devices of the user. */
  endWaits(userId: string, deviceIds?: readonly string[]): void {
    this.#polls.end(userId, deviceIds)
  }

  /**
   * Answers a request, waiting for news where it allows to.
   * @param signal ends the wait: the client is gone, or the server stops
   * @returns the body, JSON text
   * @throws M_UNKNOWN with 400 for a wrong token, M_INVALID_PARAM, M_NOT_JSON and M_BAD_JSON for a wrong filter, M_UNKNOWN_TOKEN once the device is gone
   */
  async sync(request: SyncRequest, signal: AbortSignal): Promise<string> {
    const since = request.since === undefined || request.since === '' ? undefined : requireSyncToken(request.since)
    const key = JSON.stringify([
      request.userId, request.deviceId, request.since, request.filter, request.fullState, request.stateAfter, since ? request.setPresence : this.position(),
    ])
    const known = this.#answers.get(key)
    if (known && known.expiresTs > this.#sources.clock.now()) return known.text
    const running = this.#running.get(key)
    if (running) return running
    const answer = this.#answer(request, since, key, signal)
    this.#running.set(key, answer)
    try {
      return await answer
    } finally {
      if (this.#running.get(key) === answer) this.#running.delete(key)
    }
  }

  async #answer(request: SyncRequest, since: SyncPosition | undefined, key: string, signal: AbortSignal): Promise<string> {
    const { userId, deviceId } = request
    const filter = await this.#filters.of(userId, request.filter)
    const present = await this.#sources.presence.syncing(userId, deviceId, request.setPresence)
    try {
      return await this.#present(request, filter, since, key, signal)
    } finally {
      present[Symbol.dispose]()
    }
  }

  /** Answers while the client counts as present. */
  async #present(
    request: SyncRequest, filter: SyncContext['filter'], since: SyncPosition | undefined, key: string, signal: AbortSignal,
  ): Promise<string> {
    const { userId, deviceId } = request
    if (since && deviceId !== undefined) await this.#devices.acknowledge(userId, deviceId, Math.min(since.toDevice, this.position().toDevice))
    const start = since && notBeyond(since, this.position())
    const timeoutMs = start && !request.fullState ? Math.min(request.timeoutMs, longestTimeoutMs) : 0
    const poll = this.#polls.open({ userId, deviceId, timeoutMs, signal })
    try {
      const { text, hasNews } = await this.#wait(request, filter, start, poll)
      const lifetimeMs = this.#sources.options.responseLifetimeMs
      if (since && hasNews && lifetimeMs > 0) this.#answers.set(key, { text, expiresTs: this.#sources.clock.now() + lifetimeMs })
      return text
    } finally {
      poll[Symbol.dispose]()
    }
  }

  async #wait(request: SyncRequest, filter: SyncContext['filter'], start: SyncPosition | undefined, poll: Poll): Promise<Answer> {
    let base = start
    for (;;) {
      const wait = poll.listen()
      try {
        const isOver = poll.isOver
        const quiet = base && !isOver && !request.fullState && samePosition(base, this.position())
        if (!quiet) {
          const answer = await this.#compute(request, filter, base)
          if (answer.hasNews || isOver || request.fullState || !base) {
            answer.given()
            return answer
          }
          base = answer.position
        }
        await wait.woken
      } finally {
        wait.cancel()
      }
    }
  }

  /** Tells everything that happened after `since`. */
  async #compute(request: SyncRequest, filter: SyncContext['filter'], since: SyncPosition | undefined): Promise<Answer> {
    const { userId, deviceId } = request
    const ignored = await this.#sources.accountData.ignoredBy(userId)
    const { memberships, upTo } = await this.#parts.moment(userId)
    const usesLazyMembers = filter.lazyLoadMembers && !filter.state.includeRedundantMembers && deviceId !== undefined
    const context: SyncContext = {
      userId, deviceId, filter, since, upTo, ignored, fullState: request.fullState, stateAfter: request.stateAfter,
      sent: usesLazyMembers ? this.#lazyMembers.begin(`${userId} ${deviceId}`, request.since) : undefined,
      timelineLimit: filter.timeline.limitWithin(defaultTimelineLimit, this.#parts.mostEvents),
    }
    const accountData = await this.#accountData(context)
    const rooms = await this.#rooms.of(context, memberships, accountData.ofRooms)
    const messages = deviceId === undefined ? undefined : await this.#devices.messages(userId, deviceId, since?.toDevice ?? 0, upTo.toDevice)
    const news = [
      ...eventsSection('account_data', accountData.events),
      ...eventsSection('presence', await this.#people.presence(context, rooms.sharing)),
      ...eventsSection('to_device', messages?.messages ?? []),
      ...(await this.#people.deviceLists(context, rooms.sharing)),
      ...(rooms.sections.length === 0 ? [] : [`"rooms":{${rooms.sections.join(',')}}`]),
    ]
    const position: SyncPosition = { ...upTo, toDevice: messages?.last ?? upTo.toDevice }
    const token = formatSyncToken(position)
    const keys = deviceId === undefined ? [] : await this.#devices.keys(userId, deviceId)
    const text = `{${[`"next_batch":"${token}"`, ...keys, ...news].join(',')}}`
    return { text, hasNews: news.length > 0, position, given: () => context.sent?.commit(token) }
  }

  /** The account's data as events, and that of rooms: what changed, or all. */
  async #accountData({ userId, since, upTo, filter }: SyncContext): Promise<{ events: string[]; ofRooms: readonly AccountDataEntry[] }> {
    const { accountData } = this.#sources
    if (!since) {
      const events = [...(await accountData.globalFor(userId))].map(([type, content]) => ({ type, content }))
      const ofRooms = [...(await accountData.roomsFor(userId)).values()].flat()
      return { events: accountDataEvents(events.filter(({ type }) => filter.accountData.matchesType(type))), ofRooms }
    }
    const changes = since.accountData < upTo.accountData ? await accountData.changesSince(userId, since.accountData, upTo.accountData) : []
    const events = changes.filter(({ scope, type }) => scope === accountScope && filter.accountData.matchesType(type))
    return { events: accountDataEvents(events), ofRooms: changes.filter(({ scope }) => scope !== accountScope) }
  }
}
