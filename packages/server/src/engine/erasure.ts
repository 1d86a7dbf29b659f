/**
 * What is left to see of users who had their account erased: who was in the room when they wrote keeps what they have; to everybody else their events
 * look redacted.
 *
 * Spec: client-server API, `POST /account/deactivate` (`erase`).
 */
import type { MembershipState } from './memberships.ts'
import { redactedEvent } from './redacted-event.ts'
import type { StoredEvent } from './stored-event.ts'

/** Users whose accounts were erased. */
export interface ErasedSenders {
  has(userId: string): boolean
}

export class Erasure {
  #senders: ErasedSenders = new Set<string>()
  readonly #copies = new WeakMap<StoredEvent, StoredEvent>()

  /** Names the users; called once when the server is built. */
  use(senders: ErasedSenders): void {
    this.#senders = senders
  }

  /** The event as somebody sees it who had this membership when it was sent. */
  shown(event: StoredEvent, membership: MembershipState | undefined): StoredEvent {
    if (membership === 'join' || event.redactedBecause || !this.#senders.has(event.event.sender)) return event
    const known = this.#copies.get(event)
    if (known) return known
    const copy = redactedEvent(event)
    this.#copies.set(event, copy)
    return copy
  }
}
