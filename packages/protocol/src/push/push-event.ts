/**
 * An event that push rules of many users are evaluated for: what was once looked up stays known.
 *
 * Spec: client-server API, "Push rules".
 */
import type { RoomEvent } from '../events/event.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import { valueAt } from '../json/property-path.ts'

/** What push rules ask of the room, at the event. */
export interface PushRoom {
  /** Joined members. */
  readonly memberCount: number
  readonly senderPowerLevel: number
  /** The power level that triggering a notification of this key needs: 50 where the room does not say. */
  notificationLevel(key: string): number
}

export class PushEvent {
  readonly sender: string
  readonly roomId: string
  readonly room: PushRoom
  /** Whether the event says whom it mentions. */
  readonly hasMentions: boolean
  /** Root of the thread that the event is part of. */
  readonly thread: string | undefined
  readonly #event: JsonObject
  readonly #values = new Map<string, JsonValue | undefined>()
  readonly #lowerCase = new Map<string, string | undefined>()
  readonly #lists = new Map<string, ReadonlySet<JsonValue>>()

  constructor(event: RoomEvent, room: PushRoom) {
    this.sender = event.sender
    this.roomId = event.roomId
    this.room = room
    this.hasMentions = isObject(own(event.content, 'm.mentions'))
    this.thread = threadOf(event.content)
    this.#event = {
      content: event.content,
      event_id: event.eventId,
      origin_server_ts: event.originServerTs,
      redacts: event.redacts,
      room_id: event.roomId,
      sender: event.sender,
      state_key: event.stateKey,
      type: event.type,
    }
  }

  /**
   * The value of a property, or undefined where it is absent.
   *
   * @param path the one spelling of `names`, by `formatPropertyPath`
   */
  value(path: string, names: readonly string[]): JsonValue | undefined {
    const known = this.#values.get(path)
    if (known !== undefined || this.#values.has(path)) return known
    const value = valueAt(this.#event, names)
    this.#values.set(path, value)
    return value
  }

  /** A string property in lower case, or undefined where it is absent or no string. */
  lowerCase(path: string, names: readonly string[]): string | undefined {
    const known = this.#lowerCase.get(path)
    if (known !== undefined || this.#lowerCase.has(path)) return known
    const value = this.value(path, names)
    const text = typeof value === 'string' ? value.toLowerCase() : undefined
    this.#lowerCase.set(path, text)
    return text
  }

  /** Whether a property is a list that holds a value. */
  listHolds(path: string, names: readonly string[], value: string | number | boolean | null): boolean {
    let list = this.#lists.get(path)
    if (list === undefined) {
      const found = this.value(path, names)
      list = new Set(Array.isArray(found) ? found : [])
      this.#lists.set(path, list)
    }
    return list.has(value)
  }
}

function threadOf(content: JsonObject): string | undefined {
  const relation = own(content, 'm.relates_to')
  if (!isObject(relation) || own(relation, 'rel_type') !== 'm.thread') return undefined
  const root = own(relation, 'event_id')
  return typeof root === 'string' ? root : undefined
}
