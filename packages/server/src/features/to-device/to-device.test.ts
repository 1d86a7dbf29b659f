import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { ToDevice, type DeviceMessages } from './to-device.ts'

/** What waits for a device. */
async function waiting({ services }: TestServer, { userId, deviceId }: TestClient, after = 0, limit?: number): Promise<{ events: unknown[]; last: number }> {
  const { messages, last } = await services.toDevice.list(userId as UserId, deviceId, after, services.toDevice.stream.position, limit)
  return { events: messages.map((text): unknown => JSON.parse(text)), last }
}

test('messages reach their devices once, in order, until they are acknowledged', async (t) => {
  const server = await testServer(t)
  const { toDevice } = server.services
  const [alice, phone, tablet] = [await server.register('alice'), await server.register('bob'), await server.login('bob')]
  const to = (content: object, ...devices: string[]) => ({ messages: { [phone.userId]: Object.fromEntries(devices.map((device) => [device, content])) } })
  const event = (n: number) => ({ content: { n }, sender: alice.userId, type: 'm.test' })
  const rows: unknown[] = []
  toDevice.stream.onAdvance((entries) => rows.push(...entries.map((entry) => entry.row)))
  await alice.put('/sendToDevice/m.test/1', to({ n: 1 }, phone.deviceId)).ok()
  await alice.put('/sendToDevice/m.test/1', to({ n: 99 }, phone.deviceId)).ok()
  await alice.put('/sendToDevice/m.test/2', to({ n: 2 }, '*')).ok()
  await alice.put('/sendToDevice/m.test/3', { messages: { [phone.userId]: { '*': { n: 3 }, [tablet.deviceId]: { n: 33 }, UNKNOWN: {}, ['__proto__']: {} } } }).ok()
  await alice.put('/sendToDevice/m.other/1', to({}, phone.deviceId)).ok()
  const first = await waiting(server, phone)
  assert.deepEqual(first.events, [event(1), event(2), event(3), { content: {}, sender: alice.userId, type: 'm.other' }])
  assert.deepEqual((await waiting(server, tablet)).events, [event(2), event(33)])
  const both = [phone, tablet].map(({ userId, deviceId }) => ({ userId, deviceId })).sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1))
  assert.deepEqual(rows.slice(0, 3), [{ userId: phone.userId, deviceId: phone.deviceId }, ...both])
  const page = await waiting(server, phone, 0, 2)
  assert.deepEqual(page.events, [event(1), event(2)])
  assert.deepEqual((await waiting(server, phone, page.last)).events.length, 2)
  await toDevice.acknowledge(phone.userId as UserId, phone.deviceId, page.last)
  assert.deepEqual((await waiting(server, phone)).events.length, 2)
  await toDevice.acknowledge(phone.userId as UserId, phone.deviceId, first.last)
  assert.deepEqual(await waiting(server, phone), { events: [], last: toDevice.stream.position })
  assert.equal((await waiting(server, tablet)).events.length, 2)
})

test('a transaction id counts for one device and one type', async (t) => {
  const server = await testServer(t)
  const [alice, other] = [await server.register('alice'), await server.login('alice')]
  const body = { messages: { [alice.userId]: { [alice.deviceId]: {} } } }
  await Promise.all(Array.from({ length: 10 }, () => alice.put('/sendToDevice/m.a/%2F%C3%A4', body).ok()))
  assert.equal((await waiting(server, alice)).events.length, 1)
  await other.put('/sendToDevice/m.a/%2F%C3%A4', body).ok()
  await alice.put('/sendToDevice/m.b/%2F%C3%A4', body).ok()
  assert.equal((await waiting(server, alice)).events.length, 3)
  await alice.put(`/sendToDevice/${'m'.repeat(256)}/1`, body).fails(400, 'M_INVALID_PARAM')
})

test('positions go on after a restart, though all messages were delivered and deleted', async (t) => {
  const server = await testServer(t)
  const { services } = server
  const alice = await server.register('alice')
  const send = (txn: number) => alice.put(`/sendToDevice/m.a/${txn}`, { messages: { [alice.userId]: { '*': { txn } } } }).ok()
  await send(1)
  const { last } = await waiting(server, alice)
  await services.toDevice.acknowledge(alice.userId as UserId, alice.deviceId, last)
  const again = await ToDevice.open({ database: services.database, caches: services.caches, clock: services.clock, devices: services.knownDevices, isLocal: () => true, outbound: { send: async () => undefined } })
  assert.ok(again.stream.position >= last)
  const messages: DeviceMessages = new Map([[alice.userId as UserId, new Map([[alice.deviceId, { after: true }]])]])
  await again.send({ userId: alice.userId as UserId, deviceId: alice.deviceId }, 'm.a', '1', messages)
  await again.send({ userId: alice.userId as UserId, deviceId: alice.deviceId }, 'm.a', '2', messages)
  const page = await again.list(alice.userId as UserId, alice.deviceId, last, again.stream.position)
  assert.deepEqual(page.messages.map((text): unknown => JSON.parse(text)), [{ content: { after: true }, sender: alice.userId, type: 'm.a' }])
})

test('messages end with their device, and old transaction ids are forgotten', async (t) => {
  const server = await testServer(t)
  const { services } = server
  const alice = await server.register('alice')
  const tablet = await server.login('alice')
  const send = (txn: number) => alice.put(`/sendToDevice/m.a/${txn}`, { messages: { [alice.userId]: { '*': {} } } }).ok()
  await send(1)
  await tablet.post('/logout', {}).ok()
  await services.toDevice.expire()
  await send(1)
  assert.equal((await waiting(server, tablet)).events.length, 0)
  assert.equal((await waiting(server, alice)).events.length, 1)
})

test('messages to other servers go out with the request, those to nobody go nowhere', async (t) => {
  const server = await testServer(t)
  const { database, caches, clock, knownDevices, memberships } = server.services
  const alice = await server.register('alice')
  const sent: unknown[] = []
  const toDevice = await ToDevice.open({
    database, caches, clock, devices: knownDevices, isLocal: (userId) => memberships.isLocal(userId),
    outbound: { send: async (_tx, sender, type, messages) => void sent.push([sender, type, [...messages.keys()]]) },
  })
  const sender = { userId: alice.userId as UserId, deviceId: undefined }
  const messages: DeviceMessages = new Map([['@x:elsewhere.example' as UserId, new Map([['*', {}]])], ['@nobody:test.example' as UserId, new Map([['*', {}]])]])
  await toDevice.send(sender, 'm.a', '1', messages)
  await toDevice.send(sender, 'm.a', '1', messages)
  assert.deepEqual(sent, [[alice.userId, 'm.a', ['@x:elsewhere.example']]])
  await toDevice.deliver('@x:elsewhere.example' as UserId, 'm.b', new Map([[alice.userId as UserId, new Map([[alice.deviceId, { a: 1 }]])]]))
  const page = await toDevice.list(alice.userId as UserId, alice.deviceId, 0, toDevice.stream.position)
  assert.deepEqual(page.messages, ['{"content":{"a":1},"sender":"@x:elsewhere.example","type":"m.b"}'])
})

test('malformed messages are refused; guests may send', async (t) => {
  const server = await testServer(t)
  const [alice, guest] = [await server.register('alice'), await server.guest()]
  await alice.put('/sendToDevice/m.a/1', {}).fails(400, 'M_MISSING_PARAM')
  for (const messages of [null, [], { [alice.userId]: null }, { [alice.userId]: { X: null } }, { [alice.userId]: { X: 'text' } }]) {
    await alice.put('/sendToDevice/m.a/1', { messages }).fails(400, 'M_BAD_JSON')
  }
  await guest.put('/sendToDevice/m.a/1', { messages: { [alice.userId]: { '*': {} }, 'no user': {} } }).ok()
  assert.equal((await waiting(server, alice)).events.length, 1)
  await server.anonymous().put('/sendToDevice/m.a/1', { messages: {} }).fails(401, 'M_MISSING_TOKEN')
})
