/** What tests of sync share: requests, and a view of their answers. */
import type { TestServer } from './test-server.ts'
import type { TestClient } from './test-client.ts'

/** An event in an answer. */
export interface SyncedEvent {
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
  readonly event_id?: string
  readonly sender?: string
  readonly state_key?: string
  readonly unsigned?: Readonly<Record<string, unknown>>
}

interface Events {
  readonly events: readonly SyncedEvent[]
}

/** A joined or left room in an answer. */
export interface SyncedRoom {
  readonly timeline: Events & { readonly limited: boolean; readonly prev_batch?: string }
  readonly state?: Events
  readonly state_after?: Events
  readonly 'org.matrix.msc4222.state_after'?: Events
  readonly account_data: Events
  readonly ephemeral: Events
  readonly summary?: Readonly<Record<string, unknown>>
  readonly unread_notifications: Readonly<Record<string, number>>
  readonly unread_thread_notifications?: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** An answer of `/sync`. */
export interface Synced {
  readonly next_batch: string
  readonly account_data?: Events
  readonly presence?: Events
  readonly to_device?: Events
  readonly device_lists?: { readonly changed: readonly string[]; readonly left: readonly string[] }
  readonly device_one_time_keys_count?: Readonly<Record<string, number>>
  readonly device_unused_fallback_key_types?: readonly string[]
  readonly rooms?: {
    readonly join?: Readonly<Record<string, SyncedRoom>>
    readonly invite?: Readonly<Record<string, { readonly invite_state: Events }>>
    readonly knock?: Readonly<Record<string, { readonly knock_state: Events }>>
    readonly leave?: Readonly<Record<string, SyncedRoom>>
  }
}

/** Query parameters of `/sync`; a filter may be an object. */
export type SyncQuery = Readonly<Record<string, string | number | boolean | object | undefined>>

function pathOf(query: SyncQuery): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value))
  }
  return `/sync?${parameters}`
}

/** Sends a sync; nothing is expected yet. */
export function sync(client: TestClient, query: SyncQuery = {}) {
  return client.get(pathOf(query))
}

/** A sync that must succeed. */
export async function syncOk(client: TestClient, query: SyncQuery = {}): Promise<Synced> {
  const reply = await sync(client, query)
  const parsed: Synced = JSON.parse(reply.text)
  if (reply.status !== 200) throw new Error(`/sync answered ${reply.status}: ${reply.text}`)
  return parsed
}

let transactions = 0

/** Sends a message and gives its event id. */
export async function send(client: TestClient, room: string, body: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/sync-test-${++transactions}`
  return String((await client.put(path, { msgtype: 'm.text', body, ...more }).ok())['event_id'])
}

/** Sets state and gives the event's id. */
export async function setState(client: TestClient, room: string, type: string, content: object, stateKey = ''): Promise<string> {
  return String((await client.put(`/rooms/${encodeURIComponent(room)}/state/${type}/${encodeURIComponent(stateKey)}`, content).ok())['event_id'])
}

/** The bodies of the messages in a timeline. */
export function bodies(room: SyncedRoom | undefined): unknown[] {
  return (room?.timeline.events ?? []).filter((event) => event.type === 'm.room.message').map((event) => event.content['body'])
}

/** Types and state keys of events. */
export function named(events: readonly SyncedEvent[] | undefined): string[] {
  return (events ?? []).map((event) => (event.state_key === undefined ? event.type : `${event.type} ${event.state_key}`))
}

/** A filter under which nobody's presence is told. */
export const withoutPresence = { presence: { types: [] } }

/** Resolves when so many requests of a user wait for news. */
export async function untilWaiting(server: TestServer, userId: string, count = 1): Promise<void> {
  while (server.services.sync.waitingOf(userId) < count) await new Promise((resolve) => setImmediate(resolve))
}
