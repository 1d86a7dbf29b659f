/** A few rounds of `npm run test:crash`. */
import { test } from 'node:test'
import { testEngine } from '../kit/homeserver-yaml.ts'
import { runRounds } from './rounds.ts'

test('what was acknowledged survives kill -9 under load', { timeout: 150_000 }, async (t) => {
  await runRounds(testEngine, 3, { postgresEvery: 2, report: (line) => t.diagnostic(line) })
})
