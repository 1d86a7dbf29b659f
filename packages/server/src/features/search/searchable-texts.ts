/**
 * What of an event can be searched: of a message its body, of an edited one the body of its newest edit; names and topics of rooms.
 *
 * Spec: client-server API, "Server Side Search", `room_events`; "Event replacements".
 */
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'

/** The keys of the specification, and the letters that stand for them in the index. */
export const searchKeys = { 'content.body': 'b', 'content.name': 'n', 'content.topic': 't' } as const
export type SearchKey = keyof typeof searchKeys

/** The key that is searched in events of a type. */
export const keysByType: ReadonlyMap<string, SearchKey> = new Map([['m.room.message', 'content.body'], ['m.room.name', 'content.name'], ['m.room.topic', 'content.topic']])

/** A text that can be found. */
export interface SearchableText {
  readonly key: SearchKey
  readonly text: string
}

/** What relations tell of edits. */
export interface Edits {
  /** The most recent valid replacement of each of the events, by event id. */
  replacements(room: Room, events: readonly StoredEvent[]): Promise<ReadonlyMap<string, StoredEvent>>
  /** The events to which some events relate, also where a redaction has taken that from their content. */
  parentsOf(room: Room, events: readonly StoredEvent[]): Promise<readonly StoredEvent[]>
}

/** The texts of events by number; events in which nothing can be searched are left out: redacted ones, edits, other types. */
export async function searchableTexts(edits: Edits, events: readonly StoredEvent[]): Promise<ReadonlyMap<number, SearchableText>> {
  const found = new Map<number, SearchableText>()
  for (const [room, own] of Map.groupBy(events, (event) => event.room)) {
    const messages = own.filter((event) => event.event.type === 'm.room.message' && isFindable(event))
    const replacements = await edits.replacements(room, messages)
    for (const event of own) {
      const key = keysByType.get(event.event.type)
      const text = key && isFindable(event) ? textOf(key, contentOf(event, replacements.get(event.event.eventId))) : undefined
      if (key && text !== undefined) found.set(event.nid, { key, text })
    }
  }
  return found
}

/** Whether an event replaces the text of another one, by what it says itself. */
export function isEdit(event: StoredEvent): boolean {
  const relates = own(event.event.content, 'm.relates_to')
  return isObject(relates) && own(relates, 'rel_type') === 'm.replace'
}

function isFindable(event: StoredEvent): boolean {
  return !event.rejected && !event.softFailed && !event.redactedBecause && !isEdit(event)
}

function contentOf(event: StoredEvent, replacement: StoredEvent | undefined): JsonObject {
  const newContent = replacement && own(replacement.event.content, 'm.new_content')
  return isObject(newContent) ? newContent : event.event.content
}

function textOf(key: SearchKey, content: JsonObject): string | undefined {
  const value = own(content, key.slice('content.'.length))
  const text = typeof value === 'string' ? value : ''
  const all = key === 'content.topic' ? [text, ...plainTopics(content)].join('\n') : text
  return all.trim() === '' ? undefined : all
}

/** The `text/plain` representations of a topic, where they say something else than `topic`. */
function plainTopics(content: JsonObject): string[] {
  const block = own(content, 'm.topic')
  const texts = isObject(block) ? own(block, 'm.text') : undefined
  if (!Array.isArray(texts)) return []
  return texts.filter(isObject).flatMap((each) => {
    const [type, body] = [own(each, 'mimetype'), own(each, 'body')]
    return (type === undefined || type === 'text/plain') && typeof body === 'string' && body !== own(content, 'topic') ? [body] : []
  })
}
