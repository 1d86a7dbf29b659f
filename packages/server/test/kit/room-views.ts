/** What a client sees of a room, as tests compare it. */
import assert from 'node:assert/strict'
import type { SyncedEvent } from './syncing.ts'
import type { TestClient } from './test-client.ts'

/** Path of a room. */
export const roomPath = (id: string): string => `/rooms/${encodeURIComponent(id)}`

/** A message or state as an endpoint gives it. */
type SeenEvent = SyncedEvent & { readonly event_id: string }

/** The newest events of a room, the newest first. */
async function newest(client: TestClient, id: string): Promise<readonly SeenEvent[]> {
  const { chunk } = await client.get(`${roomPath(id)}/messages?dir=b&limit=100`).ok()
  assert.ok(Array.isArray(chunk))
  return chunk
}

/** Texts of the room's newest messages, the newest first. */
export async function textsOf(client: TestClient, id: string): Promise<unknown[]> {
  return (await newest(client, id)).filter((event) => event.type === 'm.room.message').map((event) => event.content['body'])
}

/** Memberships by user. */
export async function membersOf(client: TestClient, id: string): Promise<Readonly<Record<string, unknown>>> {
  const { chunk } = await client.get(`${roomPath(id)}/members`).ok()
  assert.ok(Array.isArray(chunk))
  return Object.fromEntries(chunk.map((event) => [event.state_key, event.content.membership]).sort())
}

/** The current state: ids of events by type and state key. */
export async function stateOf(client: TestClient, id: string): Promise<Readonly<Record<string, string>>> {
  const reply = await client.get(`${roomPath(id)}/state`)
  assert.equal(reply.status, 200, reply.text)
  const events: readonly SeenEvent[] = JSON.parse(reply.text)
  return Object.fromEntries(events.map((event) => [`${event.type} ${event.state_key}`, event.event_id] as const).sort())
}

/** A section of the rooms in an initial sync. */
export async function syncedRooms(client: TestClient, section: string): Promise<Record<string, Record<string, unknown>>> {
  const { rooms } = await client.get('/sync').ok()
  const found: unknown = typeof rooms === 'object' && rooms !== null ? Reflect.get(rooms, section) : undefined
  return typeof found === 'object' && found !== null ? Object.fromEntries(Object.entries(found)) : {}
}
