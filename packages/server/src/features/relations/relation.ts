/**
 * What an event says of its relation to another one.
 *
 * Spec: client-server API, "Forming relationships between events", "Validity of replacement events".
 */
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'

/** A relation that can be stored: ids and types of legal length. */
export interface Relation {
  readonly type: string
  /** Id of the parent event. */
  readonly relatesTo: string
  /** The key of an annotation. */
  readonly key: string | undefined
}

const longestBytes = 255

function isStorable(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= longestBytes && Buffer.byteLength(value) <= longestBytes &&
    !value.includes('\0') && value.isWellFormed()
}

/** The relation type of an event's content, where it names one. */
export function relationTypeOf(content: JsonObject): string | undefined {
  const relates = own(content, 'm.relates_to')
  const type = isObject(relates) ? own(relates, 'rel_type') : undefined
  return typeof type === 'string' ? type : undefined
}

/** The relation of an event, or undefined where it has none or breaks the rules of its type. */
export function relationOf(event: { readonly type: string; readonly stateKey: string | undefined; readonly content: JsonObject }): Relation | undefined {
  const relates = own(event.content, 'm.relates_to')
  if (!isObject(relates)) return undefined
  const type = own(relates, 'rel_type')
  const relatesTo = own(relates, 'event_id')
  if (!isStorable(type) || !isStorable(relatesTo)) return undefined
  if (type === 'm.replace' && (event.stateKey !== undefined || !hasNewContent(event.type, event.content))) return undefined
  const key = own(relates, 'key')
  const isKey = typeof key === 'string' && !key.includes('\0') && key.isWellFormed()
  return { type, relatesTo, key: isKey ? key : undefined }
}

/** A replacement has its new content in the clear, or hidden in what is encrypted. */
function hasNewContent(type: string, content: JsonObject): boolean {
  return type === 'm.room.encrypted' || isObject(own(content, 'm.new_content'))
}
