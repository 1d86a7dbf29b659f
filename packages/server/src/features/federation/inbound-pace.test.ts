/** How requests of one server wait for each other, alone and at the door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeRemote } from '#test/kit/fake-remote.ts'
import { federatingServer } from '#test/kit/federating-server.ts'
import { Metrics } from '#platform/metrics/metrics.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { InboundPace, type PaceRules } from './inbound-pace.ts'

/** Requests that enter, by whether they were admitted. */
function paceOf(over: Partial<PaceRules> = {}) {
  const clock = new TestClock()
  const metrics = new Metrics('test')
  const pace = new InboundPace({ clock, metrics, rules: { windowMs: 1000, sleepLimit: 100, sleepDelayMs: 500, rejectLimit: 2, concurrent: 2, ...over } })
  const enter = (serverName = 'a.example', signal = new AbortController().signal) => {
    const state = { isIn: false, leave: (): void => undefined, failure: undefined as unknown }
    void pace.enter(serverName, signal).then((leave) => Object.assign(state, { isIn: true, leave }), (error: unknown) => { state.failure = error })
    return state
  }
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const exposes = async (name: string, value: number): Promise<void> => assert.match(await metrics.expose(), new RegExp(`^${name}\\{.*rate_limiter_name="rc_federation".*\\} ${value}$`, 'm'))
  return { clock, enter, settle, exposes }
}

test('a few are served at once, some wait in order, the rest is refused; other servers are not held up', async () => {
  const { enter, settle, exposes } = paceOf()
  const [first, second, third, fourth, fifth] = [enter(), enter(), enter(), enter(), enter()]
  await settle()
  assert.deepEqual([first.isIn, second.isIn, third.isIn, fourth.isIn], [true, true, false, false])
  assert.match(String(fifth.failure), /2 requests of a\.example wait already/)
  await exposes('synapse_rate_limit_reject_total', 1)
  await exposes('synapse_rate_limit_reject_affected_hosts', 1)
  assert.ok(enter('b.example'))
  second.leave()
  await settle()
  assert.deepEqual([third.isIn, fourth.isIn], [true, false])
  first.leave()
  third.leave()
  await settle()
  assert.ok(fourth.isIn)
  const sixth = enter()
  await settle()
  assert.ok(sixth.isIn)
})

test('many requests in a short time are delayed, each as long', async () => {
  const { clock, enter, settle, exposes } = paceOf({ sleepLimit: 2, concurrent: 10, rejectLimit: 10 })
  const [first, second, third] = [enter(), enter(), enter()]
  await settle()
  assert.deepEqual([first.isIn, second.isIn, third.isIn], [true, true, false])
  await exposes('synapse_rate_limit_sleep_total', 1)
  await exposes('synapse_rate_limit_sleep_affected_hosts', 1)
  clock.advance(500)
  await settle()
  assert.ok(third.isIn)
  await exposes('synapse_rate_limit_queue_wait_time_seconds_sum', 0.5)
  clock.advance(1001)
  const later = enter()
  await settle()
  assert.ok(later.isIn)
})

test('a request that gives up takes no place', async () => {
  const { clock, enter, settle } = paceOf({ concurrent: 1, sleepLimit: 2 })
  const stop = new AbortController()
  const first = enter()
  await settle()
  const [waiting, sleeping] = [enter('a.example', stop.signal), enter('a.example', stop.signal)]
  await settle()
  stop.abort(new Error('gone'))
  await settle()
  assert.deepEqual([String(waiting.failure), String(sleeping.failure)], ['Error: gone', 'Error: gone'])
  const late = enter('a.example', stop.signal)
  clock.advance(500)
  await settle()
  assert.equal(String(late.failure), 'Error: gone')
  first.leave()
  clock.advance(2000)
  const next = enter()
  await settle()
  assert.ok(next.isIn)
})

test('at the door, a place is free when its request has been answered', async (t) => {
  const config = 'rc_federation: {concurrent: 1, reject_limit: 1, sleep_limit: 1000}\n'
  const [server, remote, other] = [await federatingServer(t, { config }), await FakeRemote.start(t), await FakeRemote.start(t)]
  const alice = await server.register('alice')
  const uri = String((await alice.post('/_matrix/media/v1/create', {}).ok())['content_uri'])
  const path = `/_matrix/federation/v1/media/download/${uri.split('/').at(-1)}?timeout_ms=60000`
  const profile = `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`
  assert.equal((await remote.send(server, 'GET', profile)).status, 200)
  const slow = remote.send(server, 'GET', path)
  const statuses: number[] = []
  const asked: Promise<unknown>[] = []
  // One waits behind the slow request, the next ones are refused.
  while (!statuses.includes(429)) {
    asked.push(Promise.resolve(remote.send(server, 'GET', profile)).then(({ status }) => statuses.push(status)))
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal((await other.send(server, 'GET', profile)).status, 200)
  await alice.put(`/_matrix/media/v3/upload/${uri.slice(6)}`, 'late').ok()
  assert.match((await slow).text, /late/)
  await Promise.all(asked)
  assert.ok(statuses.includes(200))
  assert.equal((await remote.send(server, 'GET', profile)).status, 200)
})
