/** `myelin db status | upgrade | rollback`: shows and changes the schema of the database that a configuration names. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig, type Config } from '#app/config.ts'
import { openDatabase } from '#app/open-database.ts'
import { SystemClock } from '#platform/clock.ts'
import { assertSuitable } from '#platform/db/requirements.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { secondsLeft, waitingUpdates, type WaitingUpdate } from '#schema/background-progress.ts'
import { BackgroundUpdates } from '#schema/background-updates.ts'
import type { Estimate } from '#schema/migration.ts'
import { backgroundUpdates, migrations } from '#schema/migrations.ts'
import { estimatePending, rollbackSchema, schemaStatus, stepsAbove, upgradeSchema } from '#schema/upgrade.ts'
import { CommandError } from './output.ts'

const usage = `Usage: myelin db <command> -c homeserver.yaml

  status                       schema version, pending steps, background updates with progress and time left
  upgrade [--check|--dry-run]  apply pending steps, or only print them with their cost
          [--run-background-updates]  and wait until the background updates are finished
  rollback --to N [--dry-run]  undo the steps above version N; stop the server before
`

type Print = (line: string) => void

/**
 * Runs a `db` command.
 * @param args the words after `db`
 * @returns exit status
 * @throws CommandError, SchemaError, UnsuitableDatabaseError, StorageError, to be shown without a stack
 */
export async function dbCommand(args: readonly string[], print: Print): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      'config-path': { type: 'string', short: 'c', multiple: true, default: ['homeserver.yaml'] },
      check: { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      'run-background-updates': { type: 'boolean' },
      to: { type: 'string' },
    },
  })
  const [command] = positionals
  if (command !== 'status' && command !== 'upgrade' && command !== 'rollback') {
    print(usage)
    return 2
  }
  const { config } = loadConfig(values['config-path'], { generateMissing: false })
  const dry = values.check === true || values['dry-run'] === true
  if (command !== 'upgrade' || dry) assertThere(config)
  const database = openDatabase(config)
  try {
    await assertSuitable(database, { allowUnsafeLocale: config.database.allow_unsafe_locale })
    if (command === 'status') await status(database, config, print)
    else if (command === 'rollback') await rollback(database, values.to, dry, print)
    else await upgrade(database, dry, print)
    if (command === 'upgrade' && !dry && values['run-background-updates']) await runBackgroundUpdates(database, config, print)
    return 0
  } finally {
    await database.close()
  }
}

/** A command that only looks must not leave a new, empty file behind. */
function assertThere({ database }: Config): void {
  if (database.name !== 'sqlite3') return
  const given: unknown = Object.hasOwn(database.args, 'database') ? database.args['database'] : undefined
  const path = resolve(typeof given === 'string' ? given : 'homeserver.db')
  if (!existsSync(path)) throw new CommandError(`There is no database at ${path} yet; the server makes it at its first start.`)
}

async function status(database: Database, config: Config, print: Print): Promise<void> {
  const found = await schemaStatus(database, migrations)
  const newest = migrations.at(-1)?.version ?? 0
  print(`Schema version ${found.version}; programs that know version ${found.compatVersion} can run on it. This program knows ${newest}.`)
  for (const step of found.pending) print(`pending: ${step.name}`)
  const updates = await waitingUpdates(database)
  for (const update of updates) print(`background update: ${progressText(update, config)}`)
  if (found.pending.length === 0 && updates.length === 0) print('Nothing is pending.')
}

function progressText({ name, dependsOn, progress }: WaitingUpdate, { background_updates: options }: Config): string {
  const after = dependsOn === null ? '' : ` (after ${dependsOn})`
  if (!progress) return `${name}${after}: progress_json is not a JSON object; set it to {} to start from the beginning`
  if (progress.done === 0) return `${name}${after}: not started`
  const { background_update_duration_ms: batchMs, sleep_duration_ms: sleepMs, sleep_enabled: sleeps } = options
  const left = secondsLeft(progress, sleeps ? (batchMs + sleepMs) / Math.max(1, batchMs) : 1)
  const share = progress.total === 0 ? `${progress.done} items` : `${progress.done} of ${progress.total} items, ${percent(progress.done, progress.total)}`
  return `${name}${after}: ${share}${left === undefined ? '' : `, ${durationText(left)} left`}`
}

function percent(part: number, whole: number): string {
  return `${Math.min(100, Math.floor((part / whole) * 100))} %`
}

async function upgrade(database: Database, dry: boolean, print: Print): Promise<void> {
  const pending = await estimatePending(database, migrations)
  for (const { step, estimate } of pending) {
    print(`${step.name}: ${costText(estimate)}`)
    for (const update of step.background ?? []) print(`  then in the background: ${update.name}, ${await update.total(database)} rows`)
  }
  if (pending.length === 0) print('Nothing is pending.')
  if (!dry) await upgradeSchema(database, migrations, (step) => print(`applying ${step.name}`))
  print(dry ? 'Nothing was changed.' : `The schema is at version ${(await schemaStatus(database, migrations)).version}.`)
}

function costText({ rows, diskBytes, seconds }: Estimate): string {
  return `${rows} rows, ${bytesText(diskBytes)} of disk, ${durationText(seconds)}`
}

function bytesText(bytes: number): string {
  if (bytes < 1_000_000) return `${Math.ceil(bytes / 1000)} kB`
  return bytes < 1_000_000_000 ? `${Math.ceil(bytes / 1_000_000)} MB` : `${(bytes / 1_000_000_000).toFixed(1)} GB`
}

/** A duration for people. */
function durationText(seconds: number): string {
  if (seconds < 1) return 'less than a second'
  if (seconds < 120) return `about ${Math.ceil(seconds)} seconds`
  return seconds < 7200 ? `about ${Math.ceil(seconds / 60)} minutes` : `about ${Math.ceil(seconds / 3600)} hours`
}

async function runBackgroundUpdates(database: Database, config: Config, print: Print): Promise<void> {
  const logger: Logger = { debug: () => undefined, info: print, warn: print, error: (message, fields) => print(`${message} ${String(fields?.['error'] ?? '')}`) }
  await new BackgroundUpdates({ database, clock: new SystemClock(), logger, updates: backgroundUpdates, options: config.background_updates }).drain()
  const left = await waitingUpdates(database)
  if (left.length > 0) throw new CommandError(`Background updates are left that this program cannot finish: ${left.map(({ name }) => name).join(', ')}.`)
  print('The background updates are finished.')
}

async function rollback(database: Database, to: string | undefined, dry: boolean, print: Print): Promise<void> {
  if (to === undefined || !/^\d{1,9}$/.test(to)) throw new CommandError('Say to which version: myelin db rollback --to N')
  const target = Number(to)
  const steps = await stepsAbove(database, migrations, target)
  if (dry) for (const step of steps) print(`would undo ${step.name}`)
  else await rollbackSchema(database, migrations, target, (step) => print(`undoing ${step.name}`))
  if (steps.length === 0) print(`There is nothing to undo above version ${target}.`)
  print(dry ? 'Nothing was changed.' : `The schema is at version ${(await schemaStatus(database, migrations)).version}.`)
}
