/** JSON that tries to break the server: nesting, NUL, numbers, names of the prototype, sizes counted in bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import { endpoints } from '#app/routes.ts'
import { pathsOf } from '#platform/http/endpoint.ts'
import { at, besieged, roomOf } from '../kit/security.ts'
import { named, setState, syncOk } from '../kit/syncing.ts'

const room12 = { room_version: '12' }

/** User names do not begin with an underscore and are in lower case. */
function userNameOf(name: string): string {
  return name.startsWith('_') ? `a${name}` : name.toLowerCase()
}

test('case 20: a body of 100,000 levels is refused at once by every endpoint that reads bodies', async (t) => {
  const { server, unharmed } = await besieged(t)
  const admin = await server.admin()
  const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  const readers = endpoints.filter((endpoint) => endpoint.method !== 'GET' && endpoint.bodyKind !== 'raw' && (endpoint.body !== undefined || endpoint.bodyKind !== undefined))
  assert.ok(readers.length > 40, `${readers.length} endpoints read bodies`)
  const took: number[] = []
  for (const endpoint of readers) {
    const [path = ''] = pathsOf(endpoint)
    const filled = path.replace(/:roomId\b/, '!a:test.example').replace(/:userId\b/, encodeURIComponent(admin.userId)).replace(/:\w+\?/g, 'x').replace(/:\w+/g, 'x')
    const began = performance.now()
    const reply = await admin.send(endpoint.method, filled, deep)
    took.push(performance.now() - began)
    const refusal = `${reply.status} ${String(reply.body['errcode'])}`
    assert.match(refusal, /^(400 M_(NOT_JSON|BAD_JSON|INVALID_PARAM)|40[34] M_\w+)$/, `${endpoint.id} answered ${refusal}`)
  }
  const middle = took.sort((a, b) => a - b)[Math.floor(took.length / 2)] ?? 0
  assert.ok(middle < 50, `half of the refusals took longer than ${middle} ms`)
  await unharmed()
})

test('case 20: deep content within the size of an event is refused or kept, and read again', async (t) => {
  const { server, unharmed } = await besieged(t)
  const alice = await server.register('alice')
  const room = await roomOf(alice)
  for (const depth of [50, 200, 1_000, 20_000]) {
    const body = `{"msgtype":"m.text","body":"x","a":${'['.repeat(depth)}${']'.repeat(depth)}}`
    const reply = await alice.put(`${at(room)}/send/m.room.message/deep${depth}`, body)
    assert.ok(reply.status === 200 || reply.status === 400, `${depth}: ${reply.status}`)
    const data = await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/deep.${depth}`, body)
    assert.ok(data.status === 200 || data.status === 400)
  }
  await syncOk(alice)
  await alice.get(`${at(room)}/messages?dir=b&limit=50`).ok()
  await unharmed()
})

test('case 22: NUL is stored or refused, wherever it stands', async (t) => {
  const { server, unharmed } = await besieged(t)
  const alice = await server.register('alice')
  const room = await roomOf(alice)
  const me = encodeURIComponent(alice.userId)
  const nul = 'a\0b'
  const attempts = [
    alice.put(`/profile/${me}/displayname`, { displayname: nul }),
    alice.put(`/profile/${me}/avatar_url`, { avatar_url: `mxc://a/${nul}` }),
    alice.put(`${at(room)}/send/m.room.message/a%00b`, { msgtype: 'm.text', body: nul }),
    alice.put(`${at(room)}/send/m.room.message/body`, { msgtype: nul, body: nul, [nul]: nul }),
    alice.put(`${at(room)}/send/a%00b/type`, { body: 'x' }),
    alice.put(`${at(room)}/state/m.room.name/`, { name: nul }),
    alice.put(`${at(room)}/state/org.example/a%00b`, { a: nul }),
    alice.get(`${at(room)}/state/org.example/a%00b`),
    alice.post('/createRoom', { name: nul, topic: nul, room_alias_name: nul }),
    alice.post('/createRoom', { name: nul, topic: nul, initial_state: [{ type: nul, state_key: nul, content: {} }] }),
    alice.post(`/user/${me}/filter`, { room: { timeline: { types: [nul], senders: [nul] } } }),
    alice.get(`/sync?filter=${encodeURIComponent(JSON.stringify({ room: { timeline: { types: [nul] } } }))}`),
    alice.post('/user_directory/search', { search_term: nul }),
    alice.post('/publicRooms', { filter: { generic_search_term: nul } }),
    alice.put(`/user/${me}/account_data/a%00b`, { a: nul }),
    alice.put(`/user/${me}/account_data/org.nul`, { a: nul, [nul]: nul }),
    alice.put(`/user/${me}/rooms/${encodeURIComponent(room)}/tags/a%00b`, {}),
    alice.put(`/directory/room/${encodeURIComponent('#a\0b:test.example')}`, { room_id: room }),
    alice.get(`/directory/room/${encodeURIComponent('#a\0b:test.example')}`),
    alice.put(`/devices/${alice.deviceId}`, { display_name: nul }),
    alice.get('/devices/a%00b'),
    alice.post('/keys/query', { device_keys: { [nul]: [nul] } }),
    alice.post('/keys/claim', { one_time_keys: { [alice.userId]: { [nul]: nul } } }),
    alice.post('/keys/upload', { one_time_keys: { [`curve25519:${nul}`]: nul } }),
    alice.put('/sendToDevice/a%00b/txn', { messages: { [alice.userId]: { '*': { a: nul } } } }),
    alice.put('/sendToDevice/x/a%00b', { messages: { [alice.userId]: { [nul]: { a: nul } } } }),
    alice.put(`/presence/${me}/status`, { presence: 'online', status_msg: nul }),
    alice.put(`/pushrules/global/content/a%00b`, { pattern: nul, actions: [] }),
    alice.put('/pushrules/global/override/nul', { conditions: [{ kind: 'event_match', key: nul, pattern: nul }], actions: [] }),
    alice.post('/pushers/set', { kind: 'http', app_id: nul, pushkey: nul, app_display_name: nul, device_display_name: nul, lang: nul, data: { url: `https://a/_matrix/push/v1/notify` } }),
    alice.post(`${at(room)}/receipt/m.read/${encodeURIComponent('$a\0b')}`, {}),
    alice.post(`${at(room)}/read_markers`, { 'm.fully_read': '$a\0b' }),
    alice.post(`${at(room)}/report/${encodeURIComponent('$a\0b')}`, { reason: nul }),
    alice.get(`${at(room)}/messages?dir=b&from=a%00b`),
    alice.get('/sync?since=a%00b'),
    alice.post(`${at(room)}/invite`, { user_id: '@a\0b:test.example', reason: nul }),
    alice.post(`${at(room)}/leave`, { reason: nul }),
    alice.post('/room_keys/version', { algorithm: nul, auth_data: { a: nul } }),
    server.anonymous().post('/register', { username: nul, password: 'x', auth: { type: 'm.login.dummy' } }),
    server.anonymous().post('/register', { username: 'nul', password: nul, device_id: nul, initial_device_display_name: nul, auth: { type: 'm.login.dummy' } }),
    server.anonymous().post('/login', { type: 'm.login.password', identifier: { type: 'm.id.user', user: nul }, password: nul }),
    server.anonymous().post('/login', { type: 'm.login.token', token: nul }),
    server.anonymous().post('/refresh', { refresh_token: nul }),
  ]
  for (const attempt of attempts) {
    const reply = await attempt
    assert.ok(reply.status < 500, `${reply.status}: ${reply.text}`)
  }
  await syncOk(alice)
  await unharmed()
})

test('case 22: texts with NUL, lone surrogates and characters outside of the basic plane are read as they were sent, or refused', async (t) => {
  const { server, unharmed } = await besieged(t)
  const alice = await server.register('alice')
  const room = await roomOf(alice)
  for (const [index, text] of ['"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u2028"', '"\\ufffe"'].entries()) {
    const reply = await alice.put(`${at(room)}/send/m.room.message/text${index}`, `{"msgtype":"m.text","body":${text}}`)
    assert.ok(reply.status === 200 || reply.status === 400, text)
    if (reply.status !== 200) continue
    const event = await alice.get(`${at(room)}/event/${encodeURIComponent(String(reply.body['event_id']))}`).ok()
    assert.equal((event['content'] as { body: string }).body, JSON.parse(text), text)
  }
  await unharmed()
})

test('case 19: numbers that are no canonical JSON are refused in rooms of version 6 and later', async (t) => {
  const { server, unharmed } = await besieged(t)
  const alice = await server.register('alice')
  for (const version of ['1', '6', '12']) {
    const room = await roomOf(alice, { room_version: version })
    for (const number of ['1.5', '9007199254740992', '-9007199254740992', '1e400', '0.1']) {
      const sent = alice.put(`${at(room)}/send/org.example/${version}-${number}`, `{"a":{"b":[${number}]}}`)
      if (version !== '1') await sent.fails(400, 'M_BAD_JSON')
      else assert.ok([200, 400].includes((await sent).status), number)
    }
    for (const text of ['NaN', 'Infinity', '01', '+1', '.5']) await alice.put(`${at(room)}/send/org.example/${version}-${text}`, `{"a":${text}}`).fails(400, 'M_NOT_JSON')
    for (const number of ['9007199254740991', '-9007199254740991', '0']) await alice.put(`${at(room)}/send/org.example/ok${number}`, `{"a":${number}}`).ok()
    await alice.get(`${at(room)}/messages?dir=b`).ok()
  }
  await syncOk(alice)
  await unharmed()
})

test('case 23: power levels as text are what the room version says', async (t) => {
  const { server, unharmed } = await besieged(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  for (const version of ['1', '6', '9', '10', '11', '12']) {
    const room = await roomOf(alice, { room_version: version, preset: 'public_chat' })
    await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
    const isStrict = Number(version) >= 10
    const creator = version === '12' ? {} : { [alice.userId]: 100 }
    const levels = (level: unknown) => alice.put(`${at(room)}/state/m.room.power_levels/`, { users: { ...creator, [bob.userId]: level }, events: { 'm.room.topic': level } })
    for (const level of ['50', ' 50 ', '+50']) {
      if (isStrict) {
        assert.ok([400, 403].includes((await levels(level)).status), `version ${version} takes no text`)
        continue
      }
      await levels(level).ok()
      await bob.put(`${at(room)}/state/m.room.topic/`, { topic: level }).ok()
    }
    for (const level of [null, [], {}, true]) assert.ok([400, 403].includes((await levels(level)).status), `version ${version}: ${JSON.stringify(level)}`)
    await levels(50).ok()
    await bob.put(`${at(room)}/state/m.room.topic/`, { topic: 'number' }).ok()
    const whole = await alice.put(`${at(room)}/state/m.room.power_levels/`, `{"users":{${version === '12' ? '' : `"${alice.userId}":100.0`}},"ban":50.0}`)
    assert.ok([200, 400, 403].includes(whole.status))
  }
  await unharmed()
})

test('case 28: names of the prototype are plain data in users, rooms, aliases, types and keys', async (t) => {
  const { server, unharmed } = await besieged(t)
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']
  const literal = `{${names.map((name) => `"${name}":{"polluted":true}`).join(',')}}`
  for (const name of names) {
    const user = await server.register(userNameOf(name), { device_id: name })
    const me = encodeURIComponent(user.userId)
    const room = await roomOf(user, { ...room12, room_alias_name: name, name })
    assert.equal((await user.get(`/directory/room/${encodeURIComponent(`#${name}:test.example`)}`).ok())['room_id'], room)
    await setState(user, room, name, { [name]: name }, name)
    const sent = await user.put(`${at(room)}/send/${name}/${name}`, literal).ok()
    const event = JSON.parse((await user.get(`${at(room)}/event/${encodeURIComponent(String(sent['event_id']))}`)).text) as { content: unknown }
    assert.equal(canonicalJson(event.content as never), canonicalJson(JSON.parse(literal)))
    await user.put(`/user/${me}/account_data/${name}`, literal).ok()
    assert.equal((await user.get(`/user/${me}/account_data/${name}`)).text.includes('polluted'), true)
    await user.get(`/user/${me}/account_data/other.${name}`).fails(404, 'M_NOT_FOUND')
    await user.put(`/user/${me}/rooms/${encodeURIComponent(room)}/account_data/${name}`, literal).ok()
    await user.put(`/user/${me}/rooms/${encodeURIComponent(room)}/tags/${name}`, {}).ok()
    await user.put(`/pushrules/global/override/${name}`, { actions: [], conditions: [{ kind: 'event_match', key: `content.${name}`, pattern: name }] }).ok()
    await user.get(`/profile/${me}/${name}`)
    await user.put(`/sendToDevice/${name}/${name}`, { messages: JSON.parse(`{"${user.userId}":{"${name}":${literal}}}`) }).ok()
    await user.post('/keys/query', { device_keys: JSON.parse(`{"${user.userId}":[],"@${userNameOf(name)}:test.example":["${name}"]}`) }).ok()
    await user.post('/keys/claim', JSON.parse(`{"one_time_keys":{"${user.userId}":{"${name}":"${name}"}}}`)).ok()
    const synced = await syncOk(user, { filter: { room: { state: { types: [name] } } } })
    const shown = synced.rooms?.join?.[room]
    assert.ok(named(shown?.timeline.events).includes(name))
    assert.ok(synced.account_data?.events.some((event) => event.type === name))
  }
  const reader = await server.register('reader')
  for (const path of ['/__proto__', '/rooms/__proto__/state', '/user/constructor/filter/toString', '/pushrules/__proto__/x', '/pushrules/global/constructor/x']) {
    const reply = await reader.get(path)
    assert.ok(reply.status >= 400 && reply.status < 500, path)
  }
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
  await unharmed()
})

test('case 29: sizes of events, types and state keys are counted in bytes', async (t) => {
  const { server, unharmed } = await besieged(t)
  const alice = await server.register('alice')
  for (const version of ['9', '11', '12']) {
    const room = await roomOf(alice, { room_version: version })
    let transaction = 0
    const send = (type: string, body: string) => alice.put(`${at(room)}/send/${encodeURIComponent(type)}/${(transaction += 1)}`, { body })
    const state = (type: string, key: string) => alice.put(`${at(room)}/state/${encodeURIComponent(type)}/${encodeURIComponent(key)}`, {})
    await send('x', 'a'.repeat(60_000)).ok()
    await send('x', 'a'.repeat(65_536)).fails(413, 'M_TOO_LARGE')
    await send('x', '🦀'.repeat(16_000)).ok()
    await send('x', '🦀'.repeat(16_384)).fails(413, 'M_TOO_LARGE')
    for (const [fits, tooLong] of [['a'.repeat(255), 'a'.repeat(256)], ['é'.repeat(127), 'é'.repeat(128)], ['🦀'.repeat(63), '🦀'.repeat(64)]] as const) {
      await send(fits, 'x').ok()
      await state(fits, '').ok()
      await state('org.example', fits).ok()
      for (const refused of [send(tooLong, 'x'), state(tooLong, ''), state('org.example', tooLong)]) {
        const reply = await refused
        assert.match(`${reply.status} ${String(reply.body['errcode'])}`, /^(413 M_TOO_LARGE|400 M_INVALID_PARAM|400 M_BAD_JSON)$/)
      }
    }
  }
  await syncOk(alice)
  await unharmed()
})
