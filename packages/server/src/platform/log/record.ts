/** One line of the log before it is written, and the levels under Python's names, as log configurations write them. */
import type { LogFields } from './logger.ts'

export const levels = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 } as const

export type LevelName = keyof typeof levels

/** What is to be logged; secrets are already redacted from `message`. */
export interface LogRecord {
  /** Milliseconds since 1970. */
  readonly time: number
  /** Name of the logger. */
  readonly name: string
  readonly level: LevelName
  readonly message: string
  /** Request id, '' outside of requests. */
  readonly request: string
  readonly requester: string | undefined
  readonly fields: LogFields | undefined
}

const levelNames = new Map<string, number>([...Object.entries(levels), ['NOTSET', 0], ['WARN', 30], ['FATAL', 50]])

/** The number of a level given by name or number; undefined where it is neither. */
export function levelNumber(level: string): number | undefined {
  const known = levelNames.get(level.toUpperCase())
  if (known !== undefined) return known
  return /^\d{1,3}$/.test(level) ? Number(level) : undefined
}
