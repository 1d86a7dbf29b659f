/** What tests do in a room that two servers share, and what they wait for there. */
import { membersOf, stateOf, textsOf } from '../kit/room-views.ts'
import type { TestClient } from '../kit/test-client.ts'
import { seen } from './neighbours.ts'

/** Makes a room, public unless it is said otherwise. @returns its id */
export async function create(host: TestClient, body: object): Promise<string> {
  return String((await host.post('/createRoom', { preset: 'public_chat', ...body }).ok())['room_id'])
}

/** Joins a room by a server that is in it. */
export async function join(client: TestClient, id: string, via: string): Promise<void> {
  await client.post(`/join/${encodeURIComponent(id)}?via=${via}`, {}).ok()
}

/** Waits until clients of both servers see the same state, event for event. */
export function same(one: TestClient, other: TestClient, id: string): Promise<true> {
  return seen([one, other], 'the same state on both servers', async () => JSON.stringify(await stateOf(one, id)) === JSON.stringify(await stateOf(other, id)))
}

/** Waits until a client sees a message. */
export function said(client: TestClient, id: string, text: string): Promise<true> {
  return seen([client], `the message '${text}'`, async () => (await textsOf(client, id)).includes(text))
}

/** Waits until a client sees a membership of somebody. */
export function member(client: TestClient, id: string, user: TestClient, membership: string): Promise<true> {
  return seen([client], `the membership '${membership}' of ${user.userId}`, async () => (await membersOf(client, id))[user.userId] === membership)
}
