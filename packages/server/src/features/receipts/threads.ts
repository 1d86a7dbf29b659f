/**
 * Which thread an event belongs to.
 *
 * Spec: client-server API, "Threaded read receipts".
 */
import { isEventId } from '@myelin/protocol/ids/event-id.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import type { Events } from '#engine/events.ts'
import type { StoredEvent } from '#engine/stored-event.ts'

/** Thread id of the timeline outside of all threads. */
export const mainThread = 'main'

/** Relations are followed this far. */
const maxHops = 3

export class Threads {
  readonly #events: Events
  readonly #known = new WeakMap<StoredEvent, string>()

  constructor(needs: { readonly events: Events }) {
    this.#events = needs.events
  }

  /** Event id of the thread's root, or `main`. */
  async of(event: StoredEvent): Promise<string> {
    const known = this.#known.get(event)
    if (known !== undefined) return known
    const thread = await this.#follow(event, maxHops)
    this.#known.set(event, thread)
    return thread
  }

  async #follow(event: StoredEvent, hops: number): Promise<string> {
    const relation = relationOf(event)
    if (!relation) return mainThread
    if (relation.relType === 'm.thread') return relation.eventId
    const parent = hops > 1 ? await this.#events.get(event.room, relation.eventId) : undefined
    return parent ? this.#follow(parent, hops - 1) : mainThread
  }
}

function relationOf(event: StoredEvent): { readonly relType: unknown; readonly eventId: string } | undefined {
  const relation = own(event.event.content, 'm.relates_to')
  if (!isObject(relation)) return undefined
  const eventId = own(relation, 'event_id')
  return isEventId(eventId) ? { relType: own(relation, 'rel_type'), eventId } : undefined
}
