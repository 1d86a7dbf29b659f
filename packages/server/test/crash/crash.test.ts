/** A few rounds of `npm run test:crash`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testEngine } from '../kit/homeserver-yaml.ts'
import { runRounds } from './rounds.ts'

test('what was acknowledged survives kill -9 under load', { timeout: 150_000 }, async (t) => {
  const outcome = await runRounds(testEngine, 3, { postgresEvery: 2, report: (line) => t.diagnostic(line) })
  assert.equal(outcome.doubled, 0)
  assert.ok(outcome.acknowledged > 0)
})
