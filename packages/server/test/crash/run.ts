/** `npm run test:crash`: many rounds of load and kill -9 against the real program, on both engines. */
import { parseArgs } from 'node:util'
import { runRounds } from './rounds.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string' }, engine: { type: 'string' } } })
const usual = { sqlite: 200, postgres: 50 } as const
for (const engine of ['sqlite', 'postgres'] as const) {
  if (values.engine !== undefined && values.engine !== engine) continue
  const rounds = values.rounds === undefined ? usual[engine] : Number(values.rounds)
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('Say how many rounds: --rounds N')
  const outcome = await runRounds(engine, rounds, { postgresEvery: 3, report: (line) => console.log(line) })
  console.log(`${engine}: ${outcome.rounds} rounds; writes acknowledged ${outcome.acknowledged}, lost 0, doubled ${outcome.doubled}; ` +
    `${outcome.unanswered} unanswered, absent or whole; longest restart ${Math.round(outcome.longestRestartMs)} ms`)
  if (outcome.doubled > 0) process.exitCode = 1
}
