/** Runs background updates one after the other: paced, resumable, in the order of their dependencies. */
import type { Clock } from '#platform/clock.ts'
import { buildIndex, lockAlone } from '#platform/db/dialect.ts'
import { StorageError, type Database, type Tx } from '#platform/db/database.ts'
import { Pace } from '#platform/jobs/pace.ts'
import type { Logger } from '#platform/log/logger.ts'
import { formatProgress, parseProgress, waitingUpdates, type Progress, type WaitingUpdate } from './background-progress.ts'
import type { BackgroundUpdate, BatchUpdate, IndexUpdate } from './background-update.ts'

/** The option `background_updates`. */
export interface BackgroundOptions {
  readonly background_update_duration_ms: number
  readonly sleep_enabled: boolean
  readonly sleep_duration_ms: number
  readonly min_batch_size: number
  readonly default_batch_size: number
}

/** The update that runs, as the admin API shows it. */
export interface CurrentUpdate {
  readonly name: string
  readonly totalItems: number
  readonly totalDurationMs: number
  readonly itemsPerMs: number
}

interface Needs {
  readonly database: Database
  readonly clock: Clock
  /** `synapse.storage.background_updates`. */
  readonly logger: Logger
  readonly updates: readonly BackgroundUpdate[]
  readonly options: BackgroundOptions
}

/** Only one process runs a batch at a time. */
const batchLock = 7_310_102

/** Pause after the storage failed. */
const failurePauseMs = 10_000

/** The runner of one process; only the main process starts it. */
export class BackgroundUpdates {
  readonly #needs: Needs
  readonly #known: ReadonlyMap<string, BackgroundUpdate>
  readonly #paces = new Map<string, Pace>()
  /** Updates that this process cannot run, each reported once. */
  readonly #given = new Set<string>()
  readonly #stop = new AbortController()
  #enabled = true
  #wanted = false
  #again = false
  #loop: Promise<void> | undefined
  #current: string | undefined

  constructor(needs: Needs) {
    this.#needs = needs
    this.#known = new Map(needs.updates.map((update) => [update.name, update]))
  }

  /** Whether batches run; a pause is forgotten at the next start. */
  get enabled(): boolean {
    return this.#enabled
  }

  set enabled(value: boolean) {
    this.#enabled = value
    if (value && this.#wanted) this.start()
  }

  /** Names that this program knows. */
  get names(): ReadonlySet<string> {
    return new Set(this.#known.keys())
  }

  /** The update that runs at the moment, with what this process has done of it. */
  get current(): CurrentUpdate | undefined {
    if (this.#current === undefined) return undefined
    const pace = this.#paceOf(this.#current)
    return { name: this.#current, totalItems: pace.items, totalDurationMs: pace.durationMs, itemsPerMs: pace.items === 0 ? 0 : pace.totalRate }
  }

  /** Begins to work off what waits; returns at once. */
  start(): void {
    this.#wanted = true
    this.#again = this.#loop !== undefined
    if (this.#loop || this.#stop.signal.aborted) return
    this.#loop = this.#run().then(() => {
      this.#loop = undefined
      // Something was queued while the last look found nothing.
      if (this.#again) this.start()
    })
  }

  /** Ends after the batch that runs; the rest goes on at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('The background updates are stopped.'))
    await this.#loop
  }

  /** Resolves when nothing is left that can run; for a command that waits for it. */
  async drain(): Promise<void> {
    while (await this.#step()) if (this.#stop.signal.aborted) return
  }

  /** Everything that waits. */
  waiting(): Promise<WaitingUpdate[]> {
    return waitingUpdates(this.#needs.database)
  }

  /** Queues updates, all or none, and starts. @returns false where one of them waits already */
  async queue(rows: readonly { readonly name: string; readonly dependsOn?: string }[]): Promise<boolean> {
    const queued = await this.#needs.database.transaction(async (tx) => {
      await lockAlone(tx, batchLock)
      const names = new Set((await waitingUpdates(tx)).map(({ name }) => name))
      if (rows.some(({ name }) => names.has(name))) return false
      for (const { name, dependsOn } of rows) {
        await tx.rows('INSERT INTO background_updates (update_name, progress_json, depends_on) VALUES ($1, $2, $3)', [name, '{}', dependsOn ?? null])
      }
      return true
    })
    for (const { name } of rows) this.#given.delete(name)
    if (this.#wanted) this.start()
    return queued
  }

  async #run(): Promise<void> {
    const { clock, options } = this.#needs
    const { signal } = this.#stop
    try {
      while (!signal.aborted && this.#enabled) {
        const failed = await this.#attempt()
        if (failed === 'finished') break
        const pauseMs = failed ? failurePauseMs : options.sleep_enabled ? options.sleep_duration_ms : 0
        await clock.sleep(pauseMs, signal)
      }
    } catch (error) {
      if (!signal.aborted) this.#needs.logger.error('The background updates stopped until the next start.', { error })
    } finally {
      this.#current = undefined
    }
  }

  /** One batch. @returns whether the storage failed, or that nothing is left to do */
  async #attempt(): Promise<boolean | 'finished'> {
    try {
      return (await this.#step()) ? false : 'finished'
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      this.#needs.logger.warn(`A background update waits for the database: ${error.message}`)
      return true
    }
  }

  /** Runs one batch of the first update that may run. @returns false when there is none */
  async #step(): Promise<boolean> {
    const update = await this.#next()
    this.#current = update?.name
    if (!update) return false
    const { logger } = this.#needs
    logger.info(`Starting update batch on background update '${update.name}'`)
    try {
      if (update.kind === 'index') await this.#build(update)
      else await this.#batch(update)
    } catch (error) {
      if (error instanceof StorageError) throw error
      this.#given.add(update.name)
      logger.error(`The background update '${update.name}' failed; it is tried again at the next start.`, { error })
    }
    return true
  }

  async #next(): Promise<BackgroundUpdate | undefined> {
    const waiting = await this.waiting()
    const names = new Set(waiting.map(({ name }) => name))
    for (const { name, dependsOn, progress } of waiting) {
      if (this.#given.has(name) || (dependsOn !== null && names.has(dependsOn))) continue
      const update = this.#known.get(name)
      if (update && progress) return update
      this.#given.add(name)
      this.#needs.logger.warn(
        update
          ? `The background update '${name}' has a progress_json that is not a JSON object; set it to {} to start from the beginning.`
          : `The background update '${name}' is unknown to this program and stays in the table background_updates; delete its row if it is a mistake.`,
      )
    }
    return undefined
  }

  async #build(update: IndexUpdate): Promise<void> {
    const { database } = this.#needs
    const began = performance.now()
    const total = await update.total(database)
    await buildIndex(database, update.index, update.on)
    await database.transaction((tx) => finish(tx, update.name))
    this.#report(update.name, total, performance.now() - began)
  }

  async #batch(update: BatchUpdate): Promise<void> {
    const { database } = this.#needs
    const size = this.#paceOf(update.name).next
    const began = performance.now()
    const items = await database.transaction(async (tx) => {
      await lockAlone(tx, batchLock)
      const [row] = await tx.rows<{ progress_json: string }>('SELECT progress_json FROM background_updates WHERE update_name = $1', [update.name])
      const progress = row && parseProgress(row.progress_json)
      // An operator deleted it, or another process was faster.
      if (!progress) return 0
      const total = progress.done === 0 && progress.total === 0 ? await update.total(tx) : progress.total
      const batch = await update.batch(tx, progress.cursor, size)
      const durationMs = progress.durationMs + performance.now() - began
      if (batch.cursor === undefined) await finish(tx, update.name)
      else await save(tx, update.name, { cursor: batch.cursor, done: progress.done + batch.items, total, durationMs })
      return batch.items
    })
    this.#report(update.name, items, performance.now() - began)
  }

  #report(name: string, items: number, durationMs: number): void {
    const pace = this.#paceOf(name)
    const batchSize = pace.next
    pace.ran(items, durationMs)
    this.#needs.logger.info(
      `Running background update '${name}'. Processed ${items} items in ${Math.round(durationMs)}ms. ` +
        `(total_rate=${rate(pace.totalRate)}/ms, current_rate=${rate(items / Math.max(durationMs, 0.001))}/ms, total_updated=${pace.items}, batch_size=${batchSize})`,
    )
  }

  #paceOf(name: string): Pace {
    const known = this.#paces.get(name)
    if (known) return known
    const { options } = this.#needs
    const made = new Pace({ targetMs: options.background_update_duration_ms, first: options.default_batch_size, least: options.min_batch_size })
    this.#paces.set(name, made)
    return made
  }
}

function rate(value: number): string {
  return String(Number(value.toFixed(3)))
}

async function save(tx: Tx, name: string, progress: Progress): Promise<void> {
  await tx.rows('UPDATE background_updates SET progress_json = $1 WHERE update_name = $2', [formatProgress(progress), name])
}

async function finish(tx: Tx, name: string): Promise<void> {
  await tx.rows('DELETE FROM background_updates WHERE update_name = $1', [name])
}
