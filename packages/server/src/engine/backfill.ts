/**
 * Fetches history that this server does not have: from before it came into a room, and from times when it could not be reached.
 *
 * Spec: server-server API, "Backfilling and retrieving missing events".
 */
import type { EventId, ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Clock } from '#platform/clock.ts'
import { StorageError } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { Ancestry } from './ancestry.ts'
import type { Events } from './events.ts'
import type { PduChecks } from './pdu-checks.ts'
import type { RemoteRooms } from './remote-rooms.ts'
import type { RoomServers } from './room-servers.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

interface Needs {
  readonly clock: Clock
  readonly logger: Logger
  readonly events: Events
  readonly ancestry: Ancestry
  readonly checks: PduChecks
  readonly roomServers: RoomServers
}

/** Events that are asked for at once. */
const pageSize = 100
const mostServers = 3
/** Ends of gaps that are asked about in one request. */
const mostEnds = 20
/** After a failure a gap is left alone for this long. */
const pauseMs = 10 * 60_000
const mostPauses = 10_000

export class Backfill {
  readonly #needs: Needs
  readonly #running = new Map<number, Promise<boolean>>()
  readonly #pauses = new Map<EventId, number>()
  #remote: RemoteRooms | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Where history is asked for. */
  use(remote: RemoteRooms): void {
    this.#remote = remote
  }

  /**
   * Fetches what came right before some events of a room, where this server does not have it.
   * @returns whether there is more now than before
   */
  async fill(room: Room, events: readonly StoredEvent[]): Promise<boolean> {
    const servers = this.#remote ? await this.#needs.roomServers.others(room) : []
    if (servers.length === 0) return false
    const ends = await this.#endsOf(room, events)
    if (ends.length === 0) return false
    const running = this.#running.get(room.nid)
    if (running) return running
    const filling = this.#fill(room, ends, servers).finally(() => this.#running.delete(room.nid))
    this.#running.set(room.nid, filling)
    return filling
  }

  /** Those of the events whose predecessors are missing, and were not asked for in vain lately. */
  async #endsOf(room: Room, events: readonly StoredEvent[]): Promise<EventId[]> {
    const here = new Set(events.map(({ event }) => event.eventId))
    const named = [...new Set(events.flatMap(({ event }) => event.prevEventIds))].filter((eventId) => !here.has(eventId))
    const placed = new Set((await this.#needs.events.known(room, named)).filter(({ stateRoot }) => stateRoot !== undefined).map(({ event }) => event.eventId))
    const missing = new Set(named.filter((eventId) => !placed.has(eventId)))
    const now = this.#needs.clock.now()
    return events.map(({ event }) => event).filter(({ eventId, prevEventIds }) => prevEventIds.some((id) => missing.has(id)) && (this.#pauses.get(eventId) ?? 0) <= now)
      .map(({ eventId }) => eventId).slice(0, mostEnds)
  }

  async #fill(room: Room, ends: readonly EventId[], servers: readonly ServerName[]): Promise<boolean> {
    for (const server of servers.slice(0, mostServers)) {
      try {
        if (await this.#fillFrom(room, ends, server)) return true
      } catch (error) {
        if (error instanceof StorageError) throw error
        this.#needs.logger.info(`${server} gave no history of ${room.id}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    if (this.#pauses.size >= mostPauses) this.#pauses.clear()
    for (const eventId of ends) this.#pauses.set(eventId, this.#needs.clock.now() + pauseMs)
    return false
  }

  async #fillFrom(room: Room, ends: readonly EventId[], server: ServerName): Promise<boolean> {
    const { ancestry, checks, events } = this.#needs
    const answer = (await this.#remote?.backfill(server, room, ends, pageSize)) ?? []
    const pdus = await checks.checkAll(room.version, room.id, answer.slice(0, 2 * pageSize), server)
    const known = new Set((await events.known(room, pdus.map(({ event }) => event.eventId))).filter(({ stateRoot }) => stateRoot !== undefined).map(({ event }) => event.eventId))
    let hasMore = false
    for (const pdu of Ancestry.inOrder(pdus.filter(({ event }) => !known.has(event.eventId)))) {
      try {
        const taken = await ancestry.take(room, pdu, server, { isHistory: true })
        hasMore ||= !taken.rejected
      } catch (error) {
        // One event that cannot be understood does not keep the others away.
        if (error instanceof StorageError) throw error
        this.#needs.logger.info(`An event of the history of ${room.id} cannot be taken in: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    return hasMore
  }
}
