/** Runs many seeds of the simulation: `npm run test:simulate -- --seeds 500 --first 1`. The last line is `N passed, N failed`. */
import { parseArgs } from 'node:util'
import { simulate } from './simulation.ts'

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '100' }, first: { type: 'string', default: '1' } } })
const [first, count] = [Number(values.first), Number(values.seeds)]
let failed = 0
for (let seed = first; seed < first + count; seed++) {
  try {
    await simulate(seed)
  } catch (error) {
    failed += 1
    console.log(`✖ seed ${seed}: ${error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error)}`)
  }
}
console.log(`${count - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
