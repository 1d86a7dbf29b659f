import { test } from 'node:test'
import { simulate } from './simulation.ts'

/** More of them by `npm run test:simulate`. */
const seeds = 20

for (let seed = 1; seed <= seeds; seed++) test(`seed ${seed}`, () => simulate(seed))
