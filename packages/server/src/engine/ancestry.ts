/**
 * Takes events in whose ancestors this server lacks: it asks for what lies between, and where that is too much, for the state there.
 *
 * Spec: server-server API, "Backfilling and retrieving missing events", "Retrieving event authorisation information".
 */
import { createIdOf } from '@myelin/protocol/auth/auth-events.ts'
import { stateKeyOf } from '@myelin/protocol/events/event.ts'
import type { ParsedPdu } from '@myelin/protocol/events/parse.ts'
import type { EventId, ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import { StorageError } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Events } from './events.ts'
import type { PduChecks } from './pdu-checks.ts'
import type { RemoteRooms } from './remote-rooms.ts'
import type { RoomHeads } from './room-heads.ts'
import { LackingEvents, type ReceiveOptions, type RoomReceiver } from './room-receiver.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

interface Needs {
  readonly events: Events
  readonly heads: RoomHeads
  readonly receiver: RoomReceiver
  readonly checks: PduChecks
  readonly logger: Logger
}

/** More events than this are not fetched to close a gap. */
const gapLimit = 20
/** Above this, the whole state is fetched instead of the events that are missing of it. */
const fewEvents = 30

export class Ancestry {
  readonly #needs: Needs
  #remote: RemoteRooms | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Where missing events are asked for. */
  use(remote: RemoteRooms): void {
    this.#remote = remote
  }

  /**
   * Takes an event in, with what this server lacks of its ancestors.
   * @param server is asked for them
   * @throws LackingEvents, or what the other server's failure says
   */
  async take(room: Room, pdu: ParsedPdu, server: ServerName, options: ReceiveOptions = {}): Promise<StoredEvent> {
    try {
      return await this.#needs.receiver.receive(room, pdu, options)
    } catch (error) {
      if (!(error instanceof LackingEvents) || !this.#remote) throw error
      if (error.previous.length > 0 && !options.isHistory) await this.#closeGap(this.#remote, room, pdu, server)
      return this.#takeWithState(this.#remote, room, pdu, server, options)
    }
  }

  /** Events that were checked, each after those of them that it names. */
  static inOrder(pdus: readonly ParsedPdu[]): ParsedPdu[] {
    const byId = new Map(pdus.map((pdu) => [pdu.event.eventId, pdu]))
    const ordered = new Set<ParsedPdu>()
    const open = [...byId.values()].reverse()
    const entered = new Set<ParsedPdu>()
    for (let pdu = open.at(-1); pdu !== undefined; pdu = open.at(-1)) {
      if (entered.has(pdu)) {
        ordered.add(pdu)
        open.pop()
        continue
      }
      entered.add(pdu)
      for (const eventId of namedBy(pdu)) {
        const named = byId.get(eventId)
        if (named && !entered.has(named)) open.push(named)
      }
    }
    return [...ordered]
  }

  /** Takes in what lies between the room's newest events and an event. */
  async #closeGap(remote: RemoteRooms, room: Room, pdu: ParsedPdu, server: ServerName): Promise<void> {
    const { heads, checks } = this.#needs
    const earliest = (await heads.of(room)).extremities.map(({ eventId }) => eventId).slice(0, gapLimit)
    const missing = await remote.missingEvents(server, room, { earliest, latest: [pdu.event.eventId], limit: gapLimit })
    const checked = await checks.checkAll(room.version, room.id, missing, server)
    for (const each of Ancestry.inOrder(checked)) await this.#takeWithState(remote, room, each, server, {})
  }

  async #takeWithState(remote: RemoteRooms, room: Room, pdu: ParsedPdu, server: ServerName, options: ReceiveOptions): Promise<StoredEvent> {
    try {
      return await this.#needs.receiver.receive(room, pdu, options)
    } catch (error) {
      if (!(error instanceof LackingEvents)) throw error
      const outliers = new Map((options.outliers ?? []).map((outlier) => [outlier.event.eventId, outlier]))
      if (error.auth.length > 0) await this.#add(room, await remote.authChain(server, room, pdu.event.eventId), server, outliers)
      const state = error.previous.length === 0 ? {} : await this.#stateFor(remote, room, pdu.event.eventId, error.previous, server, outliers, options)
      return this.#needs.receiver.receive(room, pdu, { ...options, ...state, outliers: Ancestry.inOrder([...outliers.values()]) })
    }
  }

  /** The states after the predecessors that are missing; of history, and where the other server does not know them either, the state before the event. */
  async #stateFor(
    remote: RemoteRooms, room: Room, eventId: EventId, missing: readonly EventId[], server: ServerName, outliers: Map<EventId, ParsedPdu>, options: ReceiveOptions,
  ): Promise<Pick<ReceiveOptions, 'statesAfter' | 'stateBefore'>> {
    const statesAfter = new Map(options.statesAfter)
    try {
      if (!options.isHistory) {
        for (const each of missing) statesAfter.set(each, await this.#stateAfter(remote, room, each, server, outliers))
        return { statesAfter }
      }
    } catch (error) {
      if (error instanceof StorageError) throw error
      this.#needs.logger.info(`${server} does not know all events that ${eventId} names: ${error instanceof Error ? error.message : String(error)}`)
    }
    return { stateBefore: await this.#stateBefore(remote, room, eventId, server, outliers) }
  }

  /** The state before an event; what this server does not have of it goes to the outliers. */
  async #stateBefore(remote: RemoteRooms, room: Room, eventId: EventId, server: ServerName, outliers: Map<EventId, ParsedPdu>): Promise<readonly EventId[]> {
    const { state, auth } = await remote.stateIds(server, room, eventId)
    const wanted = [...new Set([...state, ...auth])]
    const known = new Set((await this.#needs.events.known(room, wanted)).map(({ event }) => event.eventId))
    const missing = wanted.filter((id) => !known.has(id) && !outliers.has(id))
    if (missing.length > fewEvents) {
      const full = await remote.state(server, room, eventId)
      await this.#add(room, [...full.state, ...full.auth], server, outliers)
    } else {
      await this.#add(room, await Promise.all(missing.map((id) => remote.event(server, id))), server, outliers)
    }
    return state
  }

  /** The state after an event that this server has no state for. */
  async #stateAfter(remote: RemoteRooms, room: Room, eventId: EventId, server: ServerName, outliers: Map<EventId, ParsedPdu>): Promise<EventId[]> {
    const state = await this.#stateBefore(remote, room, eventId, server, outliers)
    const [at] = (await this.#needs.events.known(room, [eventId])).map(({ event }) => event)
    if (!at && !outliers.has(eventId)) await this.#add(room, [await remote.event(server, eventId)], server, outliers)
    const event = at ?? outliers.get(eventId)?.event
    if (event?.stateKey === undefined) return [...state]
    return [...(await this.#without(room, state, stateKeyOf(event.type, event.stateKey), outliers)), eventId]
  }

  /** A state without what it has at one key. */
  async #without(room: Room, state: readonly EventId[], key: string, outliers: ReadonlyMap<EventId, ParsedPdu>): Promise<EventId[]> {
    const stored = (await this.#needs.events.known(room, state)).map(({ event }) => event)
    const at = [...stored, ...[...outliers.values()].map(({ event }) => event)].filter((event) => stateKeyOf(event.type, event.stateKey ?? '') === key).map(({ eventId }) => eventId)
    return state.filter((eventId) => !at.includes(eventId))
  }

  async #add(room: Room, events: readonly JsonValue[], server: ServerName, outliers: Map<EventId, ParsedPdu>): Promise<void> {
    for (const pdu of await this.#needs.checks.checkAll(room.version, room.id, events, server)) outliers.set(pdu.event.eventId, pdu)
  }
}

function namedBy({ event }: ParsedPdu): readonly EventId[] {
  const implied = event.type === 'm.room.create' ? [] : [createIdOf(event)]
  return [...event.authEventIds, ...event.prevEventIds, ...implied]
}
