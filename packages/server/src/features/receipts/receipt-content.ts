/**
 * The `m.receipt` event of a room.
 *
 * Spec: client-server API, `m.receipt`.
 */
import type { Receipt } from './receipt.ts'

type Users = Map<string, { readonly ts: number; readonly thread_id?: string }>

/**
 * Content of an `m.receipt` event, JSON text. A user can have only one entry for an event and type; of several threads' receipts on one event the
 * unthreaded one is shown, since it says the most.
 */
export function receiptContent(receipts: readonly Receipt[]): string {
  const events = new Map<string, Map<string, Users>>()
  for (const { eventId, type, userId, ts, threadId } of receipts) {
    let types = events.get(eventId)
    if (!types) events.set(eventId, (types = new Map<string, Users>()))
    let users = types.get(type)
    if (!users) types.set(type, (users = new Map()))
    const shown = users.get(userId)
    if (threadId === undefined) users.set(userId, { ts })
    else if (!shown || shown.thread_id !== undefined) users.set(userId, { ts, thread_id: threadId })
  }
  return JSON.stringify(objectOf(events, (types) => objectOf(types, (users) => objectOf(users, (entry) => entry))))
}

function objectOf<Value, Result>(map: ReadonlyMap<string, Value>, convert: (value: Value) => Result): Record<string, Result> {
  return Object.fromEntries([...map].map(([key, value]) => [key, convert(value)]))
}
