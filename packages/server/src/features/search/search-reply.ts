/**
 * Writes a page of results as clients get it: with the surroundings of each result, profiles, the state of rooms, words to highlight.
 *
 * Spec: client-server API, `POST /search`.
 */
import { MatrixError } from '@myelin/protocol/errors.ts'
import type { EventFilter } from '@myelin/protocol/filters/event-filter.ts'
import { contentString, type ClientEvents, type Reader } from '#engine/client-events.ts'
import type { RoomAccess } from '#engine/room-access.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { VisibleEvent } from '#engine/visibility.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { SearchPage, SearchResult } from './search.ts'
import type { SearchTerm } from './search-term.ts'
import { searchableTexts, type Edits } from './searchable-texts.ts'
import { wordsOf } from './words.ts'

/** What surrounds an event. */
export interface Surroundings {
  readonly before: readonly VisibleEvent[]
  readonly after: readonly VisibleEvent[]
  readonly start: string
  readonly end: string
}

interface Needs {
  readonly states: RoomStates
  readonly access: RoomAccess
  readonly clientEvents: ClientEvents
  readonly edits: Edits
  readonly history: { around(requester: Requester, event: StoredEvent, reach: { readonly before: number; readonly after: number }): Promise<Surroundings> }
}

/** What a client wants to have with the results. */
export interface ReplyOptions {
  /** Numbers of events before and after each result; undefined for no context at all. */
  readonly context: { readonly before: number; readonly after: number; readonly profiles: boolean } | undefined
  readonly state: boolean
  readonly filter: EventFilter
}

/** Events of context on each side. */
const mostContext = 20
const mostHighlights = 100
/** Words of a result in which those to highlight are looked for. */
const highlightReach = 2000

export class SearchReply {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The reply, JSON text. */
  async write(requester: Requester, page: SearchPage, options: ReplyOptions): Promise<string> {
    const results: string[] = []
    for (const result of page.results) {
      results.push(await this.#result(requester, result, options))
      // Contexts are many reads; requests of others come between them.
      if (options.context) await turn()
    }
    const members = [
      `"count":${page.count}`,
      `"highlights":${JSON.stringify(await this.#highlights(page.term, page.results))}`,
      `"results":[${results.join(',')}]`,
      ...(page.groups.size > 0 ? [`"groups":${groupsText(page)}`] : []),
      ...(options.state ? [`"state":${await this.#state(requester, page, options.filter)}`] : []),
      ...(page.nextBatch === undefined ? [] : [`"next_batch":${JSON.stringify(page.nextBatch)}`]),
    ]
    return `{"search_categories":{"room_events":{${members.join(',')}}}}`
  }

  async #result(requester: Requester, result: SearchResult, { context }: ReplyOptions): Promise<string> {
    const reader = readerOf(requester)
    const event = await this.#needs.clientEvents.formatOne(reader, result)
    const around = context ? `,"context":${await this.#context(requester, reader, result, context)}` : ''
    return `{"rank":${result.rank},"result":${event}${around}}`
  }

  async #context(requester: Requester, reader: Reader, result: SearchResult, wanted: NonNullable<ReplyOptions['context']>): Promise<string> {
    const reach = { before: Math.min(wanted.before, mostContext), after: Math.min(wanted.after, mostContext) }
    const { before, after, start, end } = await this.#needs.history.around(requester, result.event, reach)
    const members = [
      `"events_before":[${(await this.#needs.clientEvents.format(reader, before)).join(',')}]`,
      `"events_after":[${(await this.#needs.clientEvents.format(reader, after)).join(',')}]`,
      `"start":${JSON.stringify(start)}`,
      `"end":${JSON.stringify(end)}`,
      ...(wanted.profiles ? [`"profile_info":${await this.#profiles([...before, result, ...after])}`] : []),
    ]
    return `{${members.join(',')}}`
  }

  /** Names and avatars of the senders as they were when the events were sent; of several events of a sender, at the last. */
  async #profiles(shown: readonly VisibleEvent[]): Promise<string> {
    const profiles = new Map<string, object>()
    for (const { event } of shown) {
      const { sender } = event.event
      const member = event.stateRoot === undefined ? undefined : await this.#needs.states.get(event.room, event.stateRoot, 'm.room.member', sender)
      const [name, avatar] = [contentString(member, 'displayname'), contentString(member, 'avatar_url')]
      if (member) profiles.set(sender, { ...(name === undefined ? {} : { displayname: name }), ...(avatar === undefined ? {} : { avatar_url: avatar }) })
    }
    return JSON.stringify(Object.fromEntries(profiles))
  }

  /** The state of the rooms as the reader may see it; with lazy loading, of members only those who sent something that is shown. */
  async #state(requester: Requester, { results }: SearchPage, filter: EventFilter): Promise<string> {
    const reader = readerOf(requester)
    const texts: string[] = []
    for (const [room, shown] of Map.groupBy(results, ({ event }) => event.room)) {
      const senders = new Set<string>(shown.map(({ event }) => event.event.sender))
      const state = (await this.#stateOf(requester, room, shown)).filter(({ event }) =>
        !filter.lazyLoadMembers || event.type !== 'm.room.member' || senders.has(event.stateKey ?? ''))
      const events = await this.#needs.clientEvents.format(reader, state.map((event) => ({ event })))
      texts.push(`${JSON.stringify(room.id)}:[${events.join(',')}]`)
      await turn()
    }
    return `{${texts.join(',')}}`
  }

  /** The current state; where that is closed to the reader, the state at the newest of the results. */
  async #stateOf(requester: Requester, room: Room, shown: readonly SearchResult[]): Promise<StoredEvent[]> {
    const { access, states } = this.#needs
    try {
      return await states.all(room, (await access.assertReadable(room, requester.userId)).root)
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
    }
    const [newest] = shown.map(({ event }) => event).sort((a, b) => (b.streamOrdering ?? 0) - (a.streamOrdering ?? 0))
    const root = newest && (await states.rootAfter(newest))
    return root === undefined ? [] : states.all(room, root)
  }

  /** The words that were looked for, in the forms in which the results have them. */
  async #highlights(term: SearchTerm, results: readonly SearchResult[]): Promise<string[]> {
    const highlights = new Set(term.written)
    const texts = await searchableTexts(this.#needs.edits, results.map(({ event }) => event))
    for (const { text } of texts.values()) {
      for (const word of wordsOf(text, highlightReach)) if (word.kind === 'word' && term.words.has(word.text)) highlights.add(word.source)
    }
    return [...highlights].slice(0, mostHighlights)
  }
}

function groupsText({ groups }: SearchPage): string {
  const texts = [...groups].map(([key, own]) => {
    const members = [...own].map(([value, { order, eventIds, nextBatch }]) =>
      `${JSON.stringify(value)}:${JSON.stringify({ order, results: eventIds, ...(nextBatch === undefined ? {} : { next_batch: nextBatch }) })}`)
    return `"${key}":{${members.join(',')}}`
  })
  return `{${texts.join(',')}}`
}

function readerOf(requester: Requester): Reader {
  return { userId: requester.userId, deviceId: requester.deviceId }
}

/** Lets other work of the event loop come first. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
