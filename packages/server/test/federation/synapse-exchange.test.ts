/** What a real Synapse and one of ours ask and tell each other beside the events of rooms, each of the other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { CrossSigningKeys, deviceKeys, newKey, oneTimeKeys } from '#features/keys/fixture-keys.ts'
import { within } from '../kit/deadline.ts'
import { roomPath as room } from '../kit/room-views.ts'
import { send, setState, syncOk, type Synced, type SyncedEvent } from '../kit/syncing.ts'
import type { TestClient } from '../kit/test-client.ts'
import { neighbours, seen, usersOf, type Pair } from './neighbours.ts'
import { create, join, member, said } from './shared-room.ts'

async function profiles(pair: Pair): Promise<void> {
  const { host, guest } = await usersOf(pair)
  await host.put(`/profile/${host.userId}/displayname`, { displayname: 'The host' }).ok()
  await host.put(`/profile/${host.userId}/avatar_url`, { avatar_url: `mxc://${pair.home.serverName}/face` }).ok()
  await host.put(`/profile/${host.userId}/m.tz`, { 'm.tz': 'Europe/Berlin' }).ok()
  assert.deepEqual(await guest.get(`/profile/${host.userId}`).ok(), { displayname: 'The host', avatar_url: `mxc://${pair.home.serverName}/face`, 'm.tz': 'Europe/Berlin' })
  assert.deepEqual(await guest.get(`/profile/${host.userId}/displayname`).ok(), { displayname: 'The host' })
  await guest.get(`/profile/@nobody:${pair.home.serverName}`).fails(404, 'M_NOT_FOUND')
}

async function directories(pair: Pair): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const name = `listed-${pair.home.name.toLowerCase()}`
  const ids = new Map<string, string>()
  for (const each of ['one', 'two', 'three']) ids.set(each, await create(host, { name: `${each} of ${name}`, room_alias_name: `${name}-${each}`, visibility: 'public', topic: 'found' }))
  const alias = `#${name}-one:${pair.home.serverName}`
  assert.deepEqual(await guest.get(`/directory/room/${encodeURIComponent(alias)}`).ok(), { room_id: ids.get('one'), servers: [pair.home.serverName] })
  await guest.get(`/directory/room/${encodeURIComponent(`#none:${pair.home.serverName}`)}`).fails(404, 'M_NOT_FOUND')
  const page = async (body: object) => (await guest.post(`/publicRooms?server=${pair.home.serverName}`, body).ok())
  const idsIn = ({ chunk }: Readonly<Record<string, unknown>>): unknown[] => (Array.isArray(chunk) ? chunk.map((entry) => entry.room_id) : [])
  const first = await page({ limit: 2 })
  assert.equal(idsIn(first).length, 2)
  assert.deepEqual([...idsIn(first), ...idsIn(await page({ limit: 2, since: first['next_batch'] }))].sort(), [...ids.values()].sort())
  assert.deepEqual(idsIn(await page({ filter: { generic_search_term: 'two of' } })), [ids.get('two')])
  assert.equal(idsIn(await guest.get(`/publicRooms?server=${pair.home.serverName}`).ok()).length, 3)
}

async function spaces(pair: Pair): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const space = (name: string, more: object = {}) => create(host, { name, creation_content: { type: 'm.space' }, room_version: '11', ...more })
  const [root, inner, leaf, hidden] = [await space('root'), await space('inner'), await create(host, { name: 'leaf' }), await create(host, { name: 'hidden', preset: 'private_chat' })]
  const child = (parent: string, id: string, order: string) => setState(host, parent, 'm.space.child', { via: [pair.home.serverName], order }, id)
  await child(root, inner, 'a')
  await child(root, hidden, 'b')
  await child(inner, leaf, 'a')
  const names = async (): Promise<unknown[]> => {
    const { rooms } = await guest.get(`/_matrix/client/v1${room(root)}/hierarchy`).ok()
    return Array.isArray(rooms) ? rooms.map((entry) => entry.name) : []
  }
  // Synapse shows the rooms below a space only to who is in the space.
  if (pair.away.name === 'Myelin') assert.deepEqual(await names(), ['root', 'inner', 'leaf'])
  await join(guest, root, pair.home.serverName)
  assert.deepEqual(await names(), ['root', 'inner', 'leaf'])
}

async function devices(pair: Pair): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const key = newKey()
  const [keys, single, crossSigning] = [deviceKeys(host.userId, host.deviceId, key), oneTimeKeys(host.userId, host.deviceId, key, 1), new CrossSigningKeys(host.userId)]
  await host.post('/keys/upload', { device_keys: keys, one_time_keys: single }).ok()
  const upload = await host.post('/keys/device_signing/upload', crossSigning.upload)
  if (upload.status === 401) {
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: host.userId }, password: `password-of-${host.userId.slice(1, host.userId.indexOf(':'))}`, session: upload.body['session'] }
    await host.post('/keys/device_signing/upload', { ...crossSigning.upload, auth }).ok()
  }
  const query = await guest.post('/keys/query', { device_keys: { [host.userId]: [] } }).ok()
  const found: { readonly device_keys: Record<string, Record<string, JsonObject>>; readonly master_keys: JsonObject; readonly self_signing_keys: JsonObject } = JSON.parse(JSON.stringify(query))
  const { unsigned: _, ...shown } = found.device_keys[host.userId]?.[host.deviceId] ?? {}
  assert.deepEqual(shown, keys)
  assert.deepEqual(Object.keys(found.master_keys), [host.userId])
  assert.deepEqual(Object.keys(found.self_signing_keys), [host.userId])
  assert.deepEqual(query['user_signing_keys'] ?? {}, {})
  const claimed = await guest.post('/keys/claim', { one_time_keys: { [host.userId]: { [host.deviceId]: 'signed_curve25519' } } }).ok()
  assert.deepEqual(claimed['one_time_keys'], { [host.userId]: { [host.deviceId]: single } })
}

/** Both in one room. */
async function together(pair: Pair): Promise<{ readonly host: TestClient; readonly guest: TestClient; readonly id: string }> {
  const { host, guest } = await usersOf(pair)
  const id = await create(host, {})
  await join(guest, id, pair.home.serverName)
  await member(host, id, guest, 'join')
  return { host, guest, id }
}

async function ephemeral(client: TestClient, id: string, type: string): Promise<string> {
  const events = (await syncOk(client)).rooms?.join?.[id]?.ephemeral.events ?? []
  return JSON.stringify(events.filter((event) => event.type === type))
}

async function readingAndTyping(pair: Pair): Promise<void> {
  const { host, guest, id } = await together(pair)
  for (const [one, other] of [[host, guest], [guest, host]] as const) {
    await one.put(`${room(id)}/typing/${one.userId}`, { typing: true, timeout: 30_000 }).ok()
    await seen([other], 'who types', async () => (await ephemeral(other, id, 'm.typing')).includes(one.userId))
    const eventId = await send(other, id, `read by ${one.userId}`)
    await said(one, id, `read by ${one.userId}`)
    await one.post(`${room(id)}/receipt/m.read/${encodeURIComponent(eventId)}`, { thread_id: 'main' }).ok()
    await seen([other], 'the receipt', async () => new RegExp(`${eventId.replaceAll('$', '\\$')}.*${one.userId}`).test(await ephemeral(other, id, 'm.receipt')))
    await one.put(`${room(id)}/typing/${one.userId}`, { typing: false }).ok()
    await seen([other], 'that nobody types', async () => !(await ephemeral(other, id, 'm.typing')).includes(one.userId))
  }
}

async function presence(pair: Pair): Promise<void> {
  const { host, guest } = await together(pair)
  // Synapse passes over what comes while it still takes its user into the room: it is told again.
  let cups = 0
  await seen([guest], 'the presence', async () => {
    await host.put(`/presence/${host.userId}/status`, { presence: 'unavailable', status_msg: `Tea ${++cups}` }).ok()
    return String((await guest.get(`/presence/${host.userId}/status`)).body['status_msg']).startsWith('Tea')
  })
}

/** Follows what a client is told from a token on, until something is there. */
async function told(client: TestClient, since: string, what: string, isThere: (synced: Synced) => boolean): Promise<void> {
  const follow = async (): Promise<void> => {
    let token = since
    for (;;) {
      const synced = await syncOk(client, { since: token, timeout: 10_000 })
      if (isThere(synced)) return
      token = synced.next_batch
    }
  }
  await within(what, follow())
}

async function messagesToDevices(pair: Pair): Promise<void> {
  const { host, guest } = await together(pair)
  const since = (await syncOk(guest)).next_batch
  const put = (txn: string, n: number) => host.put(`/sendToDevice/m.test/${txn}`, { messages: { [guest.userId]: { [guest.deviceId]: { n } } } }).ok()
  await put('a', 1)
  await put('a', 1)
  await put('b', 2)
  const got: SyncedEvent[] = []
  await told(guest, since, 'the messages', ({ to_device: toDevice }) => got.push(...(toDevice?.events ?? [])) === 2)
  assert.deepEqual(got, [1, 2].map((n) => ({ type: 'm.test', sender: host.userId, content: { n } })))
}

async function deviceLists(pair: Pair): Promise<void> {
  const { host, guest } = await together(pair)
  const since = (await syncOk(guest)).next_batch
  const keys = deviceKeys(host.userId, host.deviceId, newKey())
  await host.post('/keys/upload', { device_keys: keys }).ok()
  await told(guest, since, 'the change of devices', ({ device_lists: lists }) => lists?.changed.includes(host.userId) === true)
  await seen([guest], 'the new keys', async () => JSON.stringify((await guest.post('/keys/query', { device_keys: { [host.userId]: [] } }).ok())['device_keys']).includes('curve25519'))
}

async function media(pair: Pair): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const { content_uri: uri } = await host.post('/_matrix/media/v3/upload?filename=note.txt', 'kept', { headers: { 'content-type': 'text/plain' } }).ok()
  const reply = await guest.get(`/_matrix/client/v1/media/download/${String(uri).slice('mxc://'.length)}`)
  assert.deepEqual([reply.status, reply.text, reply.headers.get('content-type')?.split(';')[0]], [200, 'kept', 'text/plain'])
}

const exchanges: readonly (readonly [string, (pair: Pair) => Promise<void>])[] = [
  ['profiles', profiles], ['aliases and published rooms', directories], ['spaces', spaces], ['keys of devices, one-time keys and cross-signing', devices], ['typing and receipts', readingAndTyping],
  ['presence', presence], ['messages to devices', messagesToDevices], ['changes of devices', deviceLists], ['media', media],
]

test('what a Synapse and we ask and tell each other', async (t) => {
  const { pairs } = await neighbours(t)
  for (const pair of pairs) for (const [title, exchange] of exchanges) await t.test(`${title} of ${pair.home.name}`, () => exchange(pair))
})
