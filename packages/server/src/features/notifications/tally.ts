/**
 * What is unread for one user in one room: counts up to a place of the stream, and after it every single unread notification, so that a receipt can
 * take back exactly what it marks as read.
 */
import { mainThread, type ReadPosition } from '#features/receipts/receipts.ts'

/** An unread event that notifies. */
export interface Unread {
  readonly position: number
  readonly thread: string
  readonly highlight: boolean
}

/** Numbers of a thread, or of the main timeline. */
export interface Counts {
  readonly notificationCount: number
  readonly highlightCount: number
}

/** Numbers up to a place of the stream, made when the thread was read up to `readUpTo`. */
export interface BaseCounts extends Counts {
  readonly readUpTo: number
}

/** What a scan of a room's events found; all are newer than what was counted before. */
export interface Scan {
  readonly unread: readonly Unread[]
  /** Place of the user's newest own event by thread: what is older is read. */
  readonly own: ReadonlyMap<string, number>
  /** Whether the user joined within the scanned range: what is older does not count. */
  readonly joined: boolean
  readonly scanned: number
}

const nothing: Counts = { notificationCount: 0, highlightCount: 0 }
/** More single notifications than this are folded into the base. */
const singlesLimit = 500
/** Unread threads beyond this many are forgotten, the oldest first: anybody can name any event a thread's root. */
const threadsLimit = 500

export class Tally {
  base: Map<string, BaseCounts>
  /** The base counts events up to here. */
  baseUpTo: number
  /** Everything up to here is counted. */
  upTo: number
  /** Events that were scanned since the last checkpoint. */
  scanned = 0
  #singles: Unread[] = []
  /** Numbers of the singles by thread, so that a look at them costs as much as there are threads, not messages. */
  #singleTotals = new Map<string, Counts>()
  /** Up to where each thread's singles were last known to be read. */
  readonly #readUpTo = new Map<string, number>()

  constructor(upTo: number, base: Map<string, BaseCounts> = new Map()) {
    this.base = base
    this.baseUpTo = upTo
    this.upTo = upTo
  }

  get weight(): number {
    return 200 + this.base.size * 120 + this.#singles.length * 60
  }

  /** Adds what a scan from `upTo` on found. */
  add(scan: Scan, upTo: number): void {
    if (scan.joined) this.base.clear()
    for (const thread of scan.own.keys()) this.base.delete(thread)
    if (scan.joined) this.#keep([])
    else if (scan.own.size > 0) this.#keep(this.#singles.filter((unread) => !scan.own.has(unread.thread)))
    for (const unread of scan.unread) this.#append(unread)
    this.upTo = upTo
    this.scanned += scan.scanned
  }

  /**
   * Takes back what is read.
   * @returns threads whose base a receipt has divided, so that it must be counted again
   */
  read(position: ReadPosition): string[] {
    const divided: string[] = []
    for (const [thread, { readUpTo }] of this.base) {
      const now = position.in(thread)
      if (now >= this.baseUpTo) this.base.delete(thread)
      else if (now > readUpTo) divided.push(thread)
    }
    let moved = false
    for (const thread of this.#singleTotals.keys()) {
      const now = position.in(thread)
      if (now <= (this.#readUpTo.get(thread) ?? -Infinity)) continue
      this.#readUpTo.set(thread, now)
      moved = true
    }
    if (moved) this.#keep(this.#singles.filter((unread) => unread.position > position.in(unread.thread)))
    return divided
  }

  /** Counts the base of a thread anew. */
  rebase(thread: string, unread: readonly Unread[], readUpTo: number): void {
    const counts = unread.reduce((sum, each) => plus(sum, each), nothing)
    if (counts.notificationCount === 0) this.base.delete(thread)
    else this.base.set(thread, { ...counts, readUpTo })
  }

  /** Moves the single notifications into the base when there are many. */
  fold(position: ReadPosition): void {
    if (this.#singles.length <= singlesLimit) return
    this.base = this.totals(position)
    this.baseUpTo = this.upTo
    this.#keep([])
  }

  /** Numbers by thread, the main timeline's under `main`; threads without unread notifications are left out. */
  totals(position: ReadPosition): Map<string, BaseCounts> {
    const totals = new Map<string, BaseCounts>()
    for (const [thread, counts] of this.base) totals.set(thread, { ...counts, readUpTo: position.in(thread) })
    for (const [thread, counts] of this.#singleTotals) {
      const base = totals.get(thread) ?? nothing
      totals.set(thread, {
        notificationCount: base.notificationCount + counts.notificationCount,
        highlightCount: base.highlightCount + counts.highlightCount,
        readUpTo: position.in(thread),
      })
    }
    for (const thread of totals.keys()) if (totals.size > threadsLimit && thread !== mainThread) totals.delete(thread)
    return totals
  }

  #keep(singles: Unread[]): void {
    this.#singles = []
    this.#singleTotals = new Map()
    for (const unread of singles) this.#append(unread)
  }

  #append(unread: Unread): void {
    this.#singles.push(unread)
    this.#singleTotals.set(unread.thread, plus(this.#singleTotals.get(unread.thread) ?? nothing, unread))
  }
}

/** Numbers of a room as `/sync` shows them. */
export interface UnreadCounts extends Counts {
  /** By event id of the thread's root. The room's own numbers do not contain them. */
  readonly threads: ReadonlyMap<string, Counts>
}

/** Splits totals into the main timeline and the threads. */
export function unreadCountsOf(totals: ReadonlyMap<string, Counts>): UnreadCounts {
  const threads = new Map<string, Counts>()
  for (const [thread, { notificationCount, highlightCount }] of totals) {
    if (thread !== mainThread) threads.set(thread, { notificationCount, highlightCount })
  }
  const { notificationCount, highlightCount } = totals.get(mainThread) ?? nothing
  return { notificationCount, highlightCount, threads }
}

/** The numbers of the main timeline and all threads together, for clients that do not know threads. */
export function withThreads(counts: UnreadCounts): Counts {
  let { notificationCount, highlightCount } = counts
  for (const thread of counts.threads.values()) {
    notificationCount += thread.notificationCount
    highlightCount += thread.highlightCount
  }
  return { notificationCount, highlightCount }
}

function plus(counts: Counts, unread: Unread): Counts {
  return { notificationCount: counts.notificationCount + 1, highlightCount: counts.highlightCount + (unread.highlight ? 1 : 0) }
}
