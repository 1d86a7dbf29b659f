/** Keeps the full-text index at the state of the events: new texts come in, edits replace, redactions take out. */
import type { Events } from '#engine/events.ts'
import type { EventsWork } from '#engine/events-consumer.ts'
import type { PurgedEvent, PurgeParticipant } from '#engine/history-purging.ts'
import type { Names } from '#engine/names.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Tx } from '#platform/db/database.ts'
import type { TextDocument, TextIndex } from '#platform/db/text-index.ts'
import { isEdit, keysByType, searchableTexts, searchKeys, type Edits } from './searchable-texts.ts'
import { wordsOf } from './words.ts'

/** Words of one text that are indexed. */
const mostWords = 8000

interface Needs {
  readonly events: Events
  readonly names: Names
  readonly edits: Edits
  readonly index: TextIndex
}

/** Name in the index of a sender. */
export function senderFacet(senderNid: number): string {
  return `by${senderNid}`
}

/** Name in the index of a key. */
export function keyFacet(key: keyof typeof searchKeys): string {
  return `key${searchKeys[key]}`
}

export class SearchIndexing implements EventsWork, PurgeParticipant {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async process(events: readonly StoredEvent[]): Promise<((tx: Tx) => Promise<void>) | undefined> {
    const changed = new Map<number, StoredEvent>()
    for (const [room, own] of Map.groupBy(events, (event) => event.room)) {
      for (const event of await this.#changed(room, own)) if (event.streamOrdering !== undefined) changed.set(event.streamOrdering, event)
    }
    if (changed.size === 0) return undefined
    const documents = await this.#documents([...changed.values()])
    const gone = [...changed.keys()].filter((id) => !documents.some((document) => document.id === id))
    return async (tx) => {
      await this.#needs.index.delete(tx, gone)
      await this.#needs.index.put(tx, documents)
    }
  }

  async purged(tx: Tx, _room: Room, events: readonly PurgedEvent[]): Promise<void> {
    await this.#needs.index.delete(tx, events.map((event) => event.streamOrdering).filter((place) => place !== undefined))
  }

  /** The events of a room whose text is another one since these events. */
  async #changed(room: Room, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    const effective = events.filter((event) => !event.rejected && !event.softFailed)
    const texts = effective.filter((event) => keysByType.has(event.event.type) && !event.redactedBecause)
    const redactions = effective.flatMap(({ event }) => (event.type === 'm.room.redaction' && event.redacts !== undefined ? [event.redacts] : []))
    const redacted = (await this.#needs.events.byIds(room, redactions)).filter((event) => keysByType.has(event.event.type))
    const edited = await this.#needs.edits.parentsOf(room, [...texts.filter(isEdit), ...redacted])
    return [...texts.filter((event) => !isEdit(event)), ...redacted, ...edited.filter((event) => keysByType.has(event.event.type))]
  }

  async #documents(events: readonly StoredEvent[]): Promise<TextDocument[]> {
    const texts = await searchableTexts(this.#needs.edits, events)
    const documents: TextDocument[] = []
    for (const event of events) {
      const found = texts.get(event.nid)
      const senderNid = found && (await this.#needs.names.find(event.event.sender))
      const words = found ? wordsOf(found.text, mostWords).map(({ text }) => text) : []
      if (!found || senderNid === undefined || words.length === 0 || event.streamOrdering === undefined) continue
      documents.push({ id: event.streamOrdering, scope: event.room.nid, facets: [senderFacet(senderNid), keyFacet(found.key)], words })
    }
    return documents
  }
}
