/** What runs in the browser of browser.test.ts: a client with cryptography and IndexedDB, reachable as `globalThis.page`. */
import { ClientEvent, createClient, MatrixEventEvent, RoomEvent, SyncState } from 'matrix-js-sdk'
import type { MatrixClient } from 'matrix-js-sdk'

let client: MatrixClient | undefined

function running(): MatrixClient {
  if (!client) throw new Error('Nobody is logged in')
  return client
}

/** Resolves as soon as the client shows something. */
function shown<T>(look: () => T | undefined): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>()
  const check = (): void => {
    const found = look()
    if (found !== undefined) resolve(found)
  }
  for (const event of [ClientEvent.Sync, ClientEvent.Event, RoomEvent.Timeline, MatrixEventEvent.Decrypted] as const) running().on(event, check)
  check()
  return promise
}

/** Logs in and syncs. @returns the id of the user */
async function logIn(baseUrl: string, user: string, password: string): Promise<string> {
  const anonymous = createClient({ baseUrl })
  const session = await anonymous.loginRequest({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password })
  client = createClient({ baseUrl, userId: session.user_id, deviceId: session.device_id, accessToken: session.access_token })
  await client.initRustCrypto()
  await client.startClient()
  await shown(() => client?.getSyncState() === SyncState.Syncing || undefined)
  return session.user_id
}

async function join(roomId: string): Promise<void> {
  await running().joinRoom(roomId)
  await shown(() => running().getRoom(roomId)?.getMyMembership() === 'join' || undefined)
}

/** The text of an event, once it is there and decrypted. */
function read(roomId: string, eventId: string): Promise<string> {
  return shown(() => {
    const event = running().getRoom(roomId)?.findEventById(eventId)
    const body: unknown = event?.getType() === 'm.room.message' && !event.isDecryptionFailure() ? event.getContent()['body'] : undefined
    return typeof body === 'string' ? body : undefined
  })
}

/** Sends a text. @returns the id of the event */
async function say(roomId: string, body: string): Promise<string> {
  return (await running().sendTextMessage(roomId, body)).event_id
}

/** The status and errcode of a request that the server refuses; a browser hides both where CORS headers are missing. */
async function refused(url: string): Promise<string> {
  const reply = await fetch(url, { method: 'PUT', headers: { 'content-type': 'application/json', 'authorization': 'Bearer nobody' }, body: '{}' })
  const body = await reply.json()
  return `${reply.status} ${typeof body === 'object' && body !== null && 'errcode' in body ? String(body.errcode) : ''}`
}

/** Functions that the test calls. */
export const page = { logIn, join, read, say, refused }

/** Functions that the test calls. */
export type Page = typeof page

Object.assign(globalThis, { page })
