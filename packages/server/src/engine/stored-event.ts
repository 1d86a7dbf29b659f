/** An event as it is stored: its place in the room and the stream, and its JSON, which stays a string as long as possible. */
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import type { Room } from './room.ts'

/** Where an event stands and what was decided about it. */
export interface EventPlace {
  readonly nid: number
  /** Position in the events stream; undefined for an outlier, negative for history that was fetched later. */
  readonly streamOrdering: number | undefined
  /** Root of the room's state before the event; undefined where it is not known. */
  readonly stateRoot: number | undefined
  /** Root of the room's state once the event had come, where that is not the state after the event because there are other branches. */
  readonly roomRoot: number | undefined
  readonly rejected: boolean
  readonly softFailed: boolean
}

/** A stored event. Redacted ones hold only what redaction left. */
export class StoredEvent {
  readonly room: Room
  readonly event: RoomEvent
  /** The PDU as it goes over the wire. */
  readonly json: string
  /** The redaction that was applied to this event. */
  readonly redactedBecause: StoredEvent | undefined
  readonly nid: number
  readonly stateRoot: number | undefined
  readonly roomRoot: number | undefined
  readonly rejected: boolean
  readonly softFailed: boolean
  #streamOrdering: number | undefined
  #clientFragment: string | undefined

  constructor(room: Room, event: RoomEvent, json: string, place: EventPlace, redactedBecause?: StoredEvent) {
    this.room = room
    this.event = event
    this.json = json
    this.nid = place.nid
    this.stateRoot = place.stateRoot
    this.roomRoot = place.roomRoot
    this.rejected = place.rejected
    this.softFailed = place.softFailed
    this.redactedBecause = redactedBecause
    this.#streamOrdering = place.streamOrdering
  }

  get streamOrdering(): number | undefined {
    return this.#streamOrdering
  }

  /** Called once by the persister, when the event takes its place in the stream. */
  place(streamOrdering: number): void {
    this.#streamOrdering = streamOrdering
  }

  /** Whether the event changes the room's state. */
  get isState(): boolean {
    return this.event.stateKey !== undefined
  }

  /** Text that is made from the event once and then kept with it. */
  fragment(build: (event: RoomEvent) => string): string {
    return (this.#clientFragment ??= build(this.event))
  }
}

/** What of a room's current state is another one since an event. Branches that come together can change more, or less, than the event itself says. */
export interface ChangedState {
  readonly types: ReadonlySet<string>
  /** Users of this server whose membership is another one. */
  readonly localMembers: readonly string[]
}

/** A row of the events stream. */
export interface EventsRow {
  readonly event: StoredEvent
  readonly changed: ChangedState
}
