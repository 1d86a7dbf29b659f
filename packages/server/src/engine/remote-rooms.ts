/** What the engine asks of other servers to understand an event: declared here, done by a feature. */
import type { EventId, ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import type { Room } from './room.ts'

/** A state by the ids of its events. */
export interface RemoteStateIds {
  readonly state: readonly EventId[]
  readonly auth: readonly EventId[]
}

/** Events of other servers are given as they came; all methods throw where there is no usable answer. */
export interface RemoteRooms {
  /** Events between those that this server has and some that it was told of. */
  missingEvents(server: ServerName, room: Room, range: { readonly earliest: readonly EventId[]; readonly latest: readonly EventId[]; readonly limit: number }): Promise<readonly JsonValue[]>
  /** The state before an event. */
  stateIds(server: ServerName, room: Room, eventId: EventId): Promise<RemoteStateIds>
  /** As `stateIds`, with the events themselves. */
  state(server: ServerName, room: Room, eventId: EventId): Promise<{ readonly state: readonly JsonValue[]; readonly auth: readonly JsonValue[] }>
  event(server: ServerName, eventId: EventId): Promise<JsonValue>
  /** The auth chain of an event. */
  authChain(server: ServerName, room: Room, eventId: EventId): Promise<readonly JsonValue[]>
  /** Events before some events, those included. */
  backfill(server: ServerName, room: Room, from: readonly EventId[], limit: number): Promise<readonly JsonValue[]>
}
