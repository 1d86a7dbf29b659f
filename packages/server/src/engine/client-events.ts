/**
 * Events as clients see them. The part that is the same for everybody is made once and kept as text; `unsigned` is spliced in for each reader.
 *
 * Spec: client-server API, "Room event format", "Types of state events"; rooms/v11, "Redactions".
 */
import { clientEvent } from '@myelin/protocol/events/client-format.ts'
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import { strippedState } from '@myelin/protocol/events/stripped-state.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { own } from '@myelin/protocol/json/json.ts'
import type { RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { Clock } from '#platform/clock.ts'
import type { Erasure } from './erasure.ts'
import type { MembershipState } from './memberships.ts'
import type { RoomStates } from './room-states.ts'
import type { StoredEvent } from './stored-event.ts'

/** For whom events are written. */
export interface Reader {
  readonly userId: UserId
  readonly deviceId: string | undefined
}

/** An event to be written, with the reader's membership when it was sent, where known. */
export interface Shown {
  readonly event: StoredEvent
  readonly membership?: MembershipState
}

/** Adds members to the `unsigned` of some events, as JSON text such as `"transaction_id":"x"`. */
export interface UnsignedSource {
  collect(reader: Reader, events: readonly StoredEvent[]): Promise<ReadonlyMap<number, readonly string[]>>
}

/** The part of an event that all readers share, as an open JSON object: everything but `room_id` and `unsigned`. */
function fragmentOf(version: RoomVersion, event: RoomEvent): string {
  return clientEvent(version, event, false).slice(0, -1)
}

export class ClientEvents {
  readonly #clock: Clock
  readonly #states: RoomStates
  readonly #erasure: Erasure
  readonly #sources: UnsignedSource[] = []

  constructor(needs: { readonly clock: Clock; readonly states: RoomStates; readonly erasure: Erasure }) {
    this.#clock = needs.clock
    this.#states = needs.states
    this.#erasure = needs.erasure
  }

  /** Adds a source of `unsigned`; slices do so when the server is built. */
  addSource(source: UnsignedSource): void {
    this.#sources.push(source)
  }

  /**
   * Events as JSON texts, in the same order.
   * @param options `roomId: false` leaves out `room_id`, as `/sync` does; `old` adds the `user_id` of the first version of the API
   */
  async format(reader: Reader, shown: readonly Shown[], options: { readonly roomId?: boolean; readonly old?: boolean } = {}): Promise<string[]> {
    const events = shown.map((item) => item.event)
    const extras = await Promise.all(this.#sources.map((source) => source.collect(reader, events)))
    const now = this.#clock.now()
    return Promise.all(shown.map(async ({ event, membership }) => {
      const members = [`"age":${now - event.event.originServerTs}`]
      if (membership !== undefined) members.push(`"membership":"${membership}"`)
      if (event.isState) members.push(...(await this.#previous(event, membership)))
      if (event.redactedBecause) members.push(...this.#redacted(event.redactedBecause))
      for (const extra of extras) members.push(...(extra.get(event.nid) ?? []))
      return this.#write(event, members, options)
    }))
  }

  /** As `format`, for one event. */
  async formatOne(reader: Reader, shown: Shown, options: { readonly roomId?: boolean } = {}): Promise<string> {
    return (await this.format(reader, [shown], options))[0] ?? '{}'
  }

  /** A state event as invites and previews show it: type, state key, sender and content. */
  stripped(event: StoredEvent): string {
    return JSON.stringify(strippedState(event.event))
  }

  /** What a redacted event says of its redaction. `redacted_by` is not in the specification; Synapse gives it (its issue 8764) and SyTest asks for it. */
  #redacted(redaction: StoredEvent): string[] {
    const because = this.#write(redaction, [`"age":${this.#clock.now() - redaction.event.originServerTs}`], {})
    return [`"redacted_by":${JSON.stringify(redaction.event.eventId)}`, `"redacted_because":${because}`]
  }

  #write(event: StoredEvent, unsigned: readonly string[], { roomId, old }: { readonly roomId?: boolean; readonly old?: boolean }): string {
    const room = roomId === false ? '' : `,"room_id":${JSON.stringify(event.room.id)}`
    const user = old === true ? `,"user_id":${JSON.stringify(event.event.sender)}` : ''
    return `${event.fragment((parsed) => fragmentOf(event.room.version, parsed))}${room}${user},"unsigned":{${unsigned.join(',')}}}`
  }

  /** What a state event replaced. */
  async #previous(event: StoredEvent, membership: MembershipState | undefined): Promise<string[]> {
    const { type, stateKey } = event.event
    if (event.stateRoot === undefined || stateKey === undefined) return []
    const previous = await this.#states.get(event.room, event.stateRoot, type, stateKey)
    if (!previous) return []
    const { content, sender, eventId } = this.#erasure.shown(previous, membership).event
    const replaced = `"replaces_state":${JSON.stringify(eventId)}`
    // Who reads the state of a room need not have been allowed to read what it was before.
    return membership === undefined ? [replaced] : [`"prev_content":${JSON.stringify(content)}`, `"prev_sender":${JSON.stringify(sender)}`, replaced]
  }
}

/** A string member of an event's content, where it is one. */
export function contentString(event: StoredEvent | undefined, key: string): string | undefined {
  const value = event && own(event.event.content, key)
  return typeof value === 'string' ? value : undefined
}
