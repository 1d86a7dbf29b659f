/** `myelin db status | upgrade | rollback`: shows and changes the schema of the database that a configuration names. */
import { parseArgs } from 'node:util'
import { loadConfig } from '#app/config.ts'
import { openDatabase } from '#app/open-database.ts'
import type { Database } from '#platform/db/database.ts'
import { migrations } from '#schema/migrations.ts'
import { estimatePending, rollbackSchema, schemaStatus, upgradeSchema } from '#schema/upgrade.ts'

const usage = `Usage: myelin db <command> -c homeserver.yaml

  status                       schema version, pending steps, background updates
  upgrade [--check|--dry-run]  apply pending steps, or only print them with their cost
  rollback --to N [--dry-run]  undo the steps above version N
`

type Print = (line: string) => void

/**
 * Runs a `db` command.
 * @param args the words after `db`
 * @returns exit status
 */
export async function dbCommand(args: readonly string[], print: Print): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      'config-path': { type: 'string', short: 'c', multiple: true, default: ['homeserver.yaml'] },
      check: { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      to: { type: 'string' },
    },
  })
  const [command] = positionals
  if (command !== 'status' && command !== 'upgrade' && command !== 'rollback') {
    print(usage)
    return 2
  }
  const database = openDatabase(loadConfig(values['config-path'], { generateMissing: false }).config)
  try {
    if (command === 'status') return await status(database, print)
    const dry = values.check === true || values['dry-run'] === true
    if (command === 'upgrade') return await upgrade(database, dry, print)
    return await rollback(database, values.to, dry, print)
  } finally {
    await database.close()
  }
}

async function status(database: Database, print: Print): Promise<number> {
  const found = await schemaStatus(database, migrations)
  print(`Schema version ${found.version}; programs that know version ${found.compatVersion} can run on it. This program knows ${migrations.at(-1)?.version ?? 0}.`)
  for (const step of found.pending) print(`pending: ${step.name}`)
  const updates = await database.rows<{ update_name: string; progress_json: string; depends_on: string | null }>(
    'SELECT update_name, progress_json, depends_on FROM background_updates ORDER BY ordering, update_name', [])
  for (const update of updates) print(`background update: ${update.update_name} ${update.progress_json}${update.depends_on === null ? '' : ` after ${update.depends_on}`}`)
  if (found.pending.length === 0 && updates.length === 0) print('Nothing is pending.')
  return 0
}

async function upgrade(database: Database, dry: boolean, print: Print): Promise<number> {
  for (const { step, estimate } of await estimatePending(database, migrations)) {
    print(`${step.name}: ${estimate.rows} rows, ${estimate.diskBytes} bytes of disk, ${estimate.duration}`)
  }
  if (!dry) await upgradeSchema(database, migrations, (step) => print(`applying ${step.name}`))
  print(dry ? 'Nothing was changed.' : `The schema is at version ${migrations.at(-1)?.version ?? 0}.`)
  return 0
}

async function rollback(database: Database, to: string | undefined, dry: boolean, print: Print): Promise<number> {
  if (to === undefined || !/^\d+$/.test(to)) {
    print('Say to which version: myelin db rollback --to N')
    return 2
  }
  const target = Number(to)
  if (dry) {
    const { applied } = await schemaStatus(database, migrations)
    for (const step of [...migrations].reverse()) if (step.version > target && applied.has(step.name)) print(`would undo ${step.name}`)
    print('Nothing was changed.')
    return 0
  }
  await rollbackSchema(database, migrations, target, (step) => print(`undoing ${step.name}`))
  print(`The schema is at version ${target}.`)
  return 0
}
