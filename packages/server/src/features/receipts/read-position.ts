/** Up to where a user has read a room, by thread. */
import { unthreaded, type StoredReceipt } from './receipts.store.ts'

/** Places in the events stream; everything up to and including them is read. */
export class ReadPosition {
  readonly #byThread = new Map<string, number>()

  /** The position that a user's receipts in one room make; public and private ones count alike. */
  constructor(receipts: readonly Pick<StoredReceipt, 'thread_id' | 'event_stream'>[]) {
    for (const { thread_id: thread, event_stream: position } of receipts) {
      this.#byThread.set(thread, Math.max(position, this.#byThread.get(thread) ?? -Infinity))
    }
  }

  /** What an unthreaded receipt marks as read, in every thread; -Infinity where there is none. */
  get everywhere(): number {
    return this.#byThread.get(unthreaded) ?? -Infinity
  }

  /** Up to where a thread is read, -Infinity where nothing is. */
  in(thread: string): number {
    return Math.max(this.everywhere, this.#byThread.get(thread) ?? -Infinity)
  }

  get size(): number {
    return this.#byThread.size
  }
}
