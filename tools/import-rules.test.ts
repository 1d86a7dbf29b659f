/** The import rules can fail: each forbidden import of a small wrong house is reported under the rule that it breaks. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { forbiddenImports } from './import-rules.ts'

const house: Readonly<Record<string, string>> = {
  'packages/protocol/src/errors.ts': 'export const refuse = 1',
  'packages/protocol/src/reads-clock.ts': "import { platform } from '../../server/src/platform/clock.ts'\nexport const use = platform",
  'packages/server/src/platform/clock.ts': "import { refuse } from '../../../protocol/src/errors.ts'\nexport const platform = refuse",
  'packages/server/src/platform/looks-up.ts': "import type { A } from '../features/a/a.ts'\nexport type Up = A",
  'packages/server/src/engine/rooms.store.ts': 'export const roomsStore = 1',
  'packages/server/src/engine/opens-files.ts': "import { readFileSync } from 'node:fs'\nexport const read = readFileSync",
  'packages/server/src/features/a/a.ts': "import { bRoutes } from '../b/b.routes.ts'\nimport { roomsStore } from '../../engine/rooms.store.ts'\nexport type A = typeof bRoutes | typeof roomsStore",
  'packages/server/src/features/b/b.routes.ts': 'export const bRoutes = 1',
  'packages/server/src/features/b/b.ts': "import type { C } from '../c/c.ts'\nexport type B = C",
  'packages/server/src/features/b/b.store.ts': 'export const bStore = 1',
  'packages/server/src/features/c/c.ts': "import type { B } from '../b/b.ts'\nexport type C = B | 1",
  'packages/server/src/features/c/queries.ts': "import { Kysely } from 'kysely'\nexport const db = Kysely",
  'packages/server/src/app/start.ts': "import { bStore } from '../features/b/b.store.ts'\nexport const started = bStore",
  'packages/server/src/app/compose.ts': "import { bStore } from '../features/b/b.store.ts'\nexport function compose() { using disposable = bStore\n return disposable }",
}

test('forbidden imports are reported', async (t) => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'myelin-house-')))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(house)) {
    mkdirSync(join(folder, dirname(name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const { violations } = await forbiddenImports(folder)
  const found = new Set(violations.map(({ rule, from }) => `${rule} ${from.split('/').at(-1) ?? ''}`))
  for (const expected of [
    'protocol-stands-alone reads-clock.ts',
    'storey-platform looks-up.ts',
    'files-and-sockets opens-files.ts',
    'front-door a.ts',
    'store-of-the-engine a.ts',
    'slices-without-cycles b.ts',
    'home-of-kysely queries.ts',
    'store-of-its-slice start.ts',
  ]) assert.ok(found.has(expected), `${expected} in ${[...found].join(', ')}`)
  assert.deepEqual([...found].filter((each) => / (errors|clock|compose)\.ts$/.test(each)), [])
})
