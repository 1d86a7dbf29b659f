/**
 * Which declared errors no test has shown: `node tools/shown-errors.ts <folder>`, where tests ran with `MYELIN_TEST_OBSERVED=<folder>`. Every endpoint may
 * answer what the layers above it do (tokens, bodies, limits); these are shown once for all endpoints elsewhere and need not be declared.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { endpoints } from '../packages/server/src/app/routes.ts'

/** What no request can show, as `id errcode`, and why. */
const unshowable: ReadonlyMap<string, string> = new Map([
  ...['sendDelayedEvent', 'updateDelayedEvent'].map((id) => [`${id} M_USER_DEACTIVATED`, 'deactivation cancels what is scheduled; only what is just being sent is refused'] as const),
  ...['M_BAD_JSON', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_NOT_FOUND']
    .map((errcode) => [`updateAppserviceRoomDirectoryVisibility ${errcode}`, 'the tokens of application services are not taken yet'] as const),
])

const [folder = '.'] = process.argv.slice(2)
const observed = new Set(readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n')))
const declared = endpoints.flatMap(({ id, errors }) => errors.map((errcode) => `${id} ${errcode}`)).sort()
const missing = declared.filter((line) => !observed.has(line) && !unshowable.has(line))
const outdated = [...unshowable.keys()].filter((line) => observed.has(line) || !declared.includes(line))
for (const line of missing) console.log(line)
for (const line of outdated) console.log(`${line} is listed as unshowable, but it was shown or is not declared`)
console.log(`${missing.length} declared errors were not shown; ${unshowable.size} cannot be:`)
for (const [line, reason] of unshowable) console.log(`  ${line}: ${reason}`)
if (missing.length + outdated.length > 0) process.exitCode = 1
