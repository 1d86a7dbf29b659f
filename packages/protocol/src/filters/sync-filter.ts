/**
 * The filter of a whole sync: one filter for each of its sections.
 *
 * Spec: client-server API, "Filtering" (Filter, RoomFilter).
 */
import type { JsonObject } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import { parsePropertyPath } from '../json/property-path.ts'
import { allEvents, EventFilter } from './event-filter.ts'

/** A compiled filter of `/sync`. Make it with `checkFilter`. */
export class SyncFilter {
  /** The filter as the client wrote it. */
  readonly json: JsonObject
  /** Paths of the fields of events that are wanted, or undefined for all. */
  readonly eventFields: readonly (readonly string[])[] | undefined
  readonly eventFormat: 'client' | 'federation'
  readonly presence: EventFilter
  readonly accountData: EventFilter
  /** Which rooms are wanted at all. */
  readonly rooms: EventFilter
  readonly includeLeave: boolean
  readonly state: EventFilter
  readonly timeline: EventFilter
  readonly ephemeral: EventFilter
  readonly roomAccountData: EventFilter

  /** @param json that `checkFilter` found well-formed */
  constructor(json: JsonObject) {
    this.json = json
    const fields = own(json, 'event_fields')
    this.eventFields = Array.isArray(fields)
      ? fields.filter((field): field is string => typeof field === 'string').map(parsePropertyPath)
      : undefined
    this.eventFormat = own(json, 'event_format') === 'federation' ? 'federation' : 'client'
    this.presence = section(json, 'presence')
    this.accountData = section(json, 'account_data')
    const room = own(json, 'room')
    const roomJson = isObject(room) ? room : {}
    this.rooms = isObject(room) ? new EventFilter({ rooms: own(room, 'rooms'), not_rooms: own(room, 'not_rooms') }) : allEvents
    this.includeLeave = own(roomJson, 'include_leave') === true
    this.state = section(roomJson, 'state')
    this.timeline = section(roomJson, 'timeline')
    this.ephemeral = section(roomJson, 'ephemeral')
    this.roomAccountData = section(roomJson, 'account_data')
  }

  /** Whether anything of a room is wanted. */
  includesRoom(roomId: string): boolean {
    return this.rooms.matchesRoom(roomId)
  }

  /** Whether members are sent only as they speak. */
  get lazyLoadMembers(): boolean {
    return this.state.lazyLoadMembers
  }
}

function section(json: JsonObject, key: string): EventFilter {
  const value = own(json, key)
  return isObject(value) && Object.keys(value).length > 0 ? new EventFilter(value) : allEvents
}

/** The filter of a sync without one. */
export const noFilter: SyncFilter = new SyncFilter({})
