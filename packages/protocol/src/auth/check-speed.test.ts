import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkAuth } from './check.ts'
import { alice, bob, FixtureRoom } from './fixture-room.ts'

for (const versionId of ['1', '10', '12']) {
  test(`v${versionId}: checking a message in a room with many power levels takes less than 30 µs`, (t) => {
    const room = new FixtureRoom(versionId)
    const { main } = room
    main.joinRule('public')
    main.member(bob, 'join')
    const users = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`@user${n}:h.example`, 50]))
    main.powerLevels({ users: versionId === '12' ? users : { ...users, [alice]: 100 } })
    const event = main.draft({ type: 'm.room.message', sender: bob, content: { body: 'x' } })
    const rounds = 20_000
    const measure = (): number => {
      const start = performance.now()
      for (let n = 0; n < rounds; n += 1) assert.ok(checkAuth(room.version, event, main.authState).allowed)
      return ((performance.now() - start) * 1000) / rounds
    }
    const best = Math.min(measure(), measure(), measure())
    t.diagnostic(`${best.toFixed(2)} µs a check`)
    assert.ok(best < 30, `${best} µs`)
  })
}
