/**
 * Which declared errors no test has shown: `node tools/shown-errors.ts <folder>`, where tests ran with `MYELIN_TEST_OBSERVED=<folder>`. Every endpoint may
 * answer what the layers above it do (tokens, bodies, limits); these are shown once for all endpoints elsewhere and need not be declared.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { endpoints } from '../packages/server/src/app/routes.ts'

const [folder = '.'] = process.argv.slice(2)
const observed = new Set(readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n')))
/** As `id errcode`. */
const missing = endpoints.flatMap(({ id, errors }) => errors.map((errcode) => `${id} ${errcode}`)).filter((line) => !observed.has(line)).sort()
for (const line of missing) console.log(line)
console.log(`${missing.length} declared errors were not shown`)
if (missing.length > 0) process.exitCode = 1
