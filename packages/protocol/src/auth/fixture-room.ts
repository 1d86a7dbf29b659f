/**
 * Rooms of made-up events for tests: state by branch, auth events by the selection rules, ids without hashes.
 *
 * Spec: server-server API, "PDUs", "Auth events selection".
 */
import type { RoomEvent } from '../events/event.ts'
import { stateKeyOf } from '../events/event.ts'
import type { EventId, RoomId, UserId } from '../ids/ids.ts'
import type { JsonObject } from '../json/json.ts'
import { getRoomVersion } from '../rooms/versions.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { AuthState } from './auth-check.ts'
import { authTypesFor } from './auth-events.ts'

export const alice = '@alice:a.example'
export const bob = '@bob:b.example'
export const carol = '@carol:c.example'

/** What a test says of an event; the rest follows from the branch it is sent on. */
export interface FixtureDraft {
  readonly type: string
  readonly stateKey?: string | undefined
  readonly sender?: string
  readonly content?: JsonObject
  readonly id?: string
  readonly roomId?: string
  readonly ts?: number
  readonly depth?: number
  readonly prevEventIds?: readonly string[]
  readonly authEventIds?: readonly string[]
  readonly redacts?: string
  readonly pdu?: JsonObject
}

export function versionOf(id: string): RoomVersion {
  const version = getRoomVersion(id)
  if (version === undefined) throw new Error(`room version ${id} is not known`)
  return version
}

/** A line of events with the state after the last of them. */
export class Branch {
  readonly room: FixtureRoom
  readonly state: Map<string, EventId>
  head: readonly EventId[]
  depth: number

  constructor(room: FixtureRoom, state: ReadonlyMap<string, EventId>, head: readonly EventId[], depth: number) {
    this.room = room
    this.state = new Map(state)
    this.head = head
    this.depth = depth
  }

  fork(): Branch {
    return new Branch(this.room, this.state, this.head, this.depth)
  }

  /** An event as it would be sent next on this branch, not yet sent. */
  draft(draft: FixtureDraft): RoomEvent {
    const sender = draft.sender ?? alice
    const content = draft.content ?? {}
    const auth = authTypesFor(this.room.version, { type: draft.type, stateKey: draft.stateKey, sender, content })
      .map(([type, stateKey]) => this.state.get(stateKeyOf(type, stateKey)))
      .filter((id) => id !== undefined)
    return this.room.event({ prevEventIds: this.head, authEventIds: auth, depth: this.depth + 1, ...draft })
  }

  /** Sends an event: it becomes the head and, with a state key, state. Its auth rules are not checked. */
  send(draft: FixtureDraft): RoomEvent {
    const event = this.draft(draft)
    this.room.events.set(event.eventId, event)
    if (event.stateKey !== undefined) this.state.set(stateKeyOf(event.type, event.stateKey), event.eventId)
    this.head = [event.eventId]
    this.depth = event.depth
    return event
  }

  member(userId: string, membership: string, sender = userId, content: JsonObject = {}): RoomEvent {
    return this.send({ type: 'm.room.member', stateKey: userId, sender, content: { membership, ...content } })
  }

  joinRule(rule: string, sender = alice): RoomEvent {
    return this.send({ type: 'm.room.join_rules', stateKey: '', sender, content: { join_rule: rule } })
  }

  powerLevels(content: JsonObject, sender = alice): RoomEvent {
    return this.send({ type: 'm.room.power_levels', stateKey: '', sender, content })
  }

  /** The state as the auth rules read it. */
  readonly authState: AuthState = (type, stateKey) => {
    const id = this.state.get(stateKeyOf(type, stateKey))
    return id === undefined ? undefined : this.room.events.get(id)
  }
}

/** A room created by `creator`, who is joined; `main` is its first branch. */
export class FixtureRoom {
  readonly version: RoomVersion
  readonly roomId: RoomId
  readonly events = new Map<EventId, RoomEvent>()
  readonly create: RoomEvent
  readonly main: Branch
  #count = 0

  constructor(versionId: string, createContent: JsonObject = {}, creator = alice) {
    this.version = versionOf(versionId)
    this.roomId = (this.version.roomIdIsCreateHash ? '!create' : '!room:a.example') as RoomId
    this.main = new Branch(this, new Map(), [], 0)
    const content = { ...(this.version.creatorField ? { creator } : {}), room_version: versionId, ...createContent }
    this.create = this.main.send({ type: 'm.room.create', stateKey: '', sender: creator, content, id: '$create', authEventIds: [] })
    this.main.member(creator, 'join')
  }

  readonly lookup = (id: EventId): RoomEvent | undefined => this.events.get(id)

  event(draft: FixtureDraft): RoomEvent {
    this.#count += 1
    const roomId = draft.roomId ?? this.roomId
    return {
      eventId: (draft.id ?? `$e${String(this.#count).padStart(6, '0')}`) as EventId,
      roomId: roomId as RoomId,
      type: draft.type,
      stateKey: draft.stateKey,
      sender: (draft.sender ?? alice) as UserId,
      content: draft.content ?? {},
      originServerTs: draft.ts ?? this.#count,
      depth: draft.depth ?? this.#count,
      prevEventIds: (draft.prevEventIds ?? []) as readonly EventId[],
      authEventIds: (draft.authEventIds ?? []) as readonly EventId[],
      redacts: draft.redacts as EventId | undefined,
      pdu: draft.pdu ?? (this.version.roomIdIsCreateHash && draft.type === 'm.room.create' ? {} : { room_id: roomId }),
    }
  }
}
