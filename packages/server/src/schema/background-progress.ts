/** The rows of `background_updates`: what waits, how far it is, how long it will take. */
import { tableExists } from '#platform/db/dialect.ts'
import type { Runner } from '#platform/db/query.ts'
import type { Cursor } from './background-update.ts'

/** What `progress_json` holds beside an operator's `{}`. */
export interface Progress {
  readonly cursor: Cursor
  /** Items that were processed. */
  readonly done: number
  /** Items altogether when the update began; 0 where unknown. */
  readonly total: number
  /** Time that was spent, in ms, without the pauses. */
  readonly durationMs: number
}

/** One waiting update. */
export interface WaitingUpdate {
  readonly name: string
  readonly dependsOn: string | null
  /** Undefined where `progress_json` is not a JSON object. */
  readonly progress: Progress | undefined
}

interface Row {
  readonly update_name: string
  readonly progress_json: string
  readonly depends_on: string | null
}

/** Everything that waits, in the order in which it will run. */
export async function waitingUpdates(runner: Runner): Promise<WaitingUpdate[]> {
  if (!(await tableExists(runner, 'background_updates'))) return []
  const rows = await runner.rows<Row>('SELECT update_name, progress_json, depends_on FROM background_updates ORDER BY ordering, update_name', [])
  return rows.map((row) => ({ name: row.update_name, dependsOn: row.depends_on, progress: parseProgress(row.progress_json) }))
}

/** @returns undefined for what is not a JSON object */
export function parseProgress(json: string): Progress | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    return undefined
  }
  if (!isRecord(parsed)) return undefined
  const { cursor, done, total, duration_ms: durationMs } = parsed
  return {
    cursor: isRecord(cursor) ? cursor : {},
    done: typeof done === 'number' ? done : 0,
    total: typeof total === 'number' ? total : 0,
    durationMs: typeof durationMs === 'number' ? durationMs : 0,
  }
}

/** The text for `progress_json`. */
export function formatProgress({ cursor, done, total, durationMs }: Progress): string {
  return JSON.stringify({ cursor, done, total, duration_ms: Math.round(durationMs) })
}

/**
 * Seconds that an update still needs, with its pauses; undefined before the first batch.
 * @param pauseShare time of a batch with its pause, divided by that of the batch alone
 */
export function secondsLeft({ done, total, durationMs }: Progress, pauseShare: number): number | undefined {
  if (done === 0 || total === 0) return undefined
  return (Math.max(0, total - done) * (durationMs / done) * pauseShare) / 1000
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
