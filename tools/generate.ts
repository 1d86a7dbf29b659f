/** Writes every generated file: \`npm run generate\`; with \`--check\` it only says which are out of date. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { renderErrcodes, renderEndpoints } from './endpoints-reference.ts'
import { renderQueries } from './generate-queries.ts'
import { renderTables } from './generate-tables.ts'
import { renderOptions } from './options-reference.ts'

const root = join(import.meta.dirname, '..')

const outputs: readonly { readonly path: string; readonly render: () => string | Promise<string> }[] = [
  { path: 'packages/server/src/schema/tables.gen.ts', render: renderTables },
  { path: 'packages/server/src/schema/queries.gen/sqlite.sql', render: () => renderQueries('sqlite') },
  { path: 'packages/server/src/schema/queries.gen/postgres.sql', render: () => renderQueries('postgres') },
  { path: 'docs/reference.gen/endpoints.md', render: renderEndpoints },
  { path: 'docs/reference.gen/errcodes.md', render: renderErrcodes },
  { path: 'docs/reference.gen/options.md', render: renderOptions },
]

let stale = 0
for (const { path, render } of outputs) {
  const file = join(root, path)
  const text = await render()
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  stale += 1
  if (process.argv.includes('--check')) {
    console.error(`${path} is out of date; run: npm run generate`)
    continue
  }
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  console.log(`wrote ${path}`)
}
if (process.argv.includes('--check') && stale > 0) process.exitCode = 1
