import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { GuardedClient, RemoteContent } from '#platform/fetch/guarded-client.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { ServerDiscovery } from './server-discovery.ts'

type WellKnown = { readonly status?: number; readonly body: string; readonly headers?: Record<string, string> } | undefined

/** Only the two that the network would have to answer are played: the document of a host, and records of its domain. */
function discovery({ wellKnown = () => undefined, records = {} }: {
  wellKnown?: (host: string) => WellKnown
  records?: Readonly<Record<string, readonly (readonly [name: string, port: number, priority: number, weight: number])[]>>
}) {
  const clock = new TestClock()
  const asked: string[] = []
  const client: Pick<GuardedClient, 'fetch'> = {
    fetch: async (url) => {
      asked.push(String(url))
      const answer = wellKnown(new URL(url).host)
      if (!answer) throw new RemoteError('connection', String(url), 'refused')
      const content: RemoteContent = { status: answer.status ?? 200, headers: answer.headers ?? {}, url: new URL(url), body: Buffer.from(answer.body) }
      return content
    },
  }
  const found = new ServerDiscovery({
    clock, resolveService: async (name) => (records[name] ?? []).map(([target, port, priority, weight]) => ({ name: target, port, priority, weight })),
  })
  return { clock, asked, find: (name: string) => found.addressesOf(name as ServerName, client), explain: async (name: string) => (await found.find(name as ServerName, client)).delegated }
}

function delegatingTo(server: string, headers: Record<string, string> = {}) {
  return () => ({ body: JSON.stringify({ 'm.server': server }), headers })
}

test('names with a port and addresses stand for themselves', async () => {
  const { find, asked } = discovery({})
  assert.deepEqual(await find('a.example:443'), [{ origin: 'https://a.example:443', host: 'a.example:443' }])
  assert.deepEqual(await find('1.2.3.4'), [{ origin: 'https://1.2.3.4:8448', host: '1.2.3.4' }])
  assert.deepEqual(await find('1.2.3.4:5'), [{ origin: 'https://1.2.3.4:5', host: '1.2.3.4:5' }])
  assert.deepEqual(await find('[::1]'), [{ origin: 'https://[::1]:8448', host: '[::1]' }])
  assert.deepEqual(await find('[::1]:5'), [{ origin: 'https://[::1]:5', host: '[::1]:5' }])
  assert.deepEqual(await find('a b'), [])
  assert.deepEqual(asked, [])
})

test('a host may delegate to a name, a port or an address', async () => {
  for (const [server, origin] of [['m.example:1', 'https://m.example:1'], ['1.2.3.4', 'https://1.2.3.4:8448'], ['[::1]:9', 'https://[::1]:9'], ['m.example', 'https://m.example:8448']] as const) {
    const { find, asked } = discovery({ wellKnown: delegatingTo(server) })
    assert.deepEqual(await find('a.example'), [{ origin, host: server }])
    assert.deepEqual(asked, ['https://a.example/.well-known/matrix/server'])
  }
})

test('records say where a name, or the one it delegates to, is served', async () => {
  const records = {
    '_matrix-fed._tcp.a.example': [['late.example', 3, 20, 0], ['light.example', 1, 10, 5], ['heavy.example', 2, 10, 50]],
    '_matrix._tcp.a.example': [['old.example', 4, 0, 0]],
    '_matrix._tcp.b.example': [['old.example', 4, 0, 0]],
    '_matrix-fed._tcp.c.example': [['.', 0, 0, 0]],
  } as const
  const origins = async (name: string, wellKnown?: (host: string) => WellKnown): Promise<[string[], string[]]> => {
    const found = await discovery({ records, ...(wellKnown ? { wellKnown } : {}) }).find(name)
    return [found.map(({ origin }) => origin), [...new Set(found.map(({ host }) => host))]]
  }
  assert.deepEqual(await origins('a.example'), [['https://heavy.example:2', 'https://light.example:1', 'https://late.example:3'], ['a.example']])
  assert.deepEqual(await origins('b.example'), [['https://old.example:4'], ['b.example']])
  assert.deepEqual(await origins('c.example'), [['https://c.example:8448'], ['c.example']])
  assert.deepEqual(await origins('x.example', delegatingTo('b.example')), [['https://old.example:4'], ['b.example']])
})

test('an answer that says nothing usable counts as none', async () => {
  const bad: WellKnown[] = [
    { body: 'x' }, { body: '[]' }, { body: '{}' }, { body: '{"m.server": 5}' }, { body: '{"m.server": "a b"}' }, { body: '{"m.server": "m.example:99999"}' },
    { body: '{"m.server": "m.example"}', status: 404 }, undefined,
  ]
  for (const answer of bad) assert.deepEqual(await discovery({ wellKnown: () => answer }).find('a.example'), [{ origin: 'https://a.example:8448', host: 'a.example' }])
})

test('answers are kept as long as they say, within bounds', async () => {
  const hour = 3_600_000
  const lives: [Record<string, string>, number][] = [
    [{}, 24 * hour], [{ 'cache-control': 'public, max-age=7200' }, 2 * hour], [{ 'cache-control': 'max-age=9999999' }, 48 * hour], [{ 'cache-control': 'no-store' }, hour / 12],
    [{ expires: new Date(new TestClock().now() + 3 * hour).toUTCString() }, 3 * hour], [{ expires: 'x', 'cache-control': 'max-age=1' }, hour / 12],
  ]
  for (const [headers, life] of lives) {
    const { find, asked, clock } = discovery({ wellKnown: delegatingTo('m.example:1', headers) })
    await Promise.all([find('a.example'), find('a.example')])
    await clock.advance(life - 1000)
    await find('a.example')
    assert.equal(asked.length, 1, JSON.stringify(headers))
    await clock.advance(2000)
    await find('a.example')
    assert.equal(asked.length, 2, JSON.stringify(headers))
  }
})

test('a host that does not answer is asked less and less often, up to once an hour', async () => {
  const { find, asked, clock } = discovery({})
  for (const [pause, expected] of [[0, 1], [59_000, 1], [2000, 2], [118_000, 2], [3000, 3]] as const) {
    await clock.advance(pause)
    await find('a.example')
    assert.equal(asked.length, expected)
  }
  for (let hour = 0; hour < 30; hour++) {
    await clock.advance(3_601_000)
    await find('a.example')
  }
  assert.equal(asked.length, 33)
})

test('why a host delegates to nobody is said in words', async () => {
  const cases: [WellKnown, string][] = [
    [undefined, 'refused'], [{ status: 404, body: '' }, 'It was answered with the status 404.'],
    [{ body: '{"m.server": 5}' }, 'It is no JSON object whose "m.server" is the name of a server.'],
  ]
  for (const [answer, reason] of cases) assert.deepEqual((await discovery({ wellKnown: () => answer }).explain('a.example'))?.reason, reason)
  assert.equal((await discovery({ wellKnown: delegatingTo('m.example:1') }).explain('a.example'))?.server, 'm.example:1')
  assert.equal(await discovery({}).explain('a.example:1'), undefined)
})
