/** Where lines go: console, files, files that rotate. */
import { existsSync, readdirSync, renameSync, statSync, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import pino from 'pino'
import { formatDate } from './format.ts'

/** Takes whole lines. */
export interface Sink {
  /** @param time of the newest line, ms since 1970 */
  write(lines: string, time: number): void
  close(): void
}

/** Standard output or standard error. */
export function consoleSink(stream: 'stdout' | 'stderr'): Sink {
  const out = pino.destination({ dest: stream === 'stdout' ? 1 : 2, sync: true })
  return { write: (lines) => void out.write(lines), close: () => out.flushSync() }
}

/** Nowhere. */
export const nullSink: Sink = { write: () => undefined, close: () => undefined }

/** How a file is replaced by a new one. */
export interface Rotation {
  /** Whether the file must be replaced before these lines are written. */
  isDue(file: string, bytes: number, time: number): boolean
  /** Moves the file out of the way. */
  rotate(file: string): void
}

/**
 * A file that lines are appended to.
 * @param watched open it anew where another program has moved it away
 * @throws an error of the operating system where it cannot be opened
 */
export function fileSink(file: string, rotation?: Rotation, watched = false): Sink {
  const open = (): ReturnType<typeof pino.destination> => pino.destination({ dest: file, sync: true, append: true })
  let out = open()
  let inode = statSync(file).ino
  const reopen = (): void => {
    out.end()
    out = open()
    inode = statSync(file).ino
  }
  return {
    write: (lines, time) => {
      if (rotation?.isDue(file, Buffer.byteLength(lines), time)) {
        out.flushSync()
        rotation.rotate(file)
        reopen()
      } else if (watched && statSync(file, { throwIfNoEntry: false })?.ino !== inode) {
        reopen()
      }
      out.write(lines)
    },
    close: () => out.end(),
  }
}

/** Python's `RotatingFileHandler`: `file.1` is the newest of the old ones. */
export function sizeRotation(maxBytes: number, backupCount: number): Rotation {
  return {
    isDue: (file, bytes) => maxBytes > 0 && backupCount > 0 && sizeOf(file) > 0 && sizeOf(file) + bytes > maxBytes,
    rotate: (file) => {
      for (let number = backupCount; number >= 1; number -= 1) {
        const from = number === 1 ? file : `${file}.${number - 1}`
        if (existsSync(from)) renameSync(from, `${file}.${number}`)
      }
    },
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

const units = new Map([
  ['S', { lengthMs: 1000, suffix: '%Y-%m-%d_%H-%M-%S' }],
  ['M', { lengthMs: 60_000, suffix: '%Y-%m-%d_%H-%M' }],
  ['H', { lengthMs: 3_600_000, suffix: '%Y-%m-%d_%H' }],
  ['D', { lengthMs: 86_400_000, suffix: '%Y-%m-%d' }],
  ['MIDNIGHT', { lengthMs: 86_400_000, suffix: '%Y-%m-%d' }],
])

/** Whether `when` is a period that `timeRotation` knows. */
export function isRotationPeriod(when: string): boolean {
  return units.has(when.toUpperCase()) || /^[Ww][0-6]$/.test(when)
}

/**
 * Python's `TimedRotatingFileHandler`: the old file gets the date at which its time began.
 * @param when S, M, H, D, midnight, or W0 (Monday) to W6
 */
export function timeRotation(when: string, interval: number, backupCount: number, utc: boolean, now: number, file: string): Rotation {
  const weekday = /^[Ww]([0-6])$/.exec(when)?.[1]
  const unit = units.get(weekday === undefined ? when.toUpperCase() : 'MIDNIGHT') ?? { lengthMs: 86_400_000, suffix: '%Y-%m-%d' }
  const daily = weekday !== undefined || when.toUpperCase() === 'MIDNIGHT'
  const next = (from: number): number => (daily ? nextMidnight(from, weekday === undefined ? undefined : Number(weekday), utc, interval) : from + unit.lengthMs * interval)
  const begun = statSync(file, { throwIfNoEntry: false })
  let start = begun && begun.size > 0 ? begun.mtimeMs : now
  let due = next(start)
  return {
    isDue: (_, __, time) => {
      if (time < due) return false
      const dateOf = daily ? due - 1 : due - unit.lengthMs * interval
      start = dateOf
      due = next(time)
      return true
    },
    rotate: (path) => {
      const target = `${path}.${formatDate(new Date(start), unit.suffix, utc)}`
      renameSync(path, target)
      if (backupCount > 0) removeOldest(path, backupCount)
    },
  }
}

/** The midnight after `from` that is `interval` days ahead, or the end of the given weekday (0 is Monday). */
function nextMidnight(from: number, weekday: number | undefined, utc: boolean, interval: number): number {
  const date = new Date(from)
  const dayOfWeek = ((utc ? date.getUTCDay() : date.getDay()) + 6) % 7
  const days = weekday === undefined ? interval : ((weekday - dayOfWeek + 7) % 7) + 1
  if (utc) return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + days)
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days).getTime()
}

function removeOldest(file: string, keep: number): void {
  const start = `${basename(file)}.`
  const dated = readdirSync(dirname(file)).filter((name) => name.startsWith(start) && /^\d{4}-\d{2}-\d{2}(_[\d-]+)?$/.test(name.slice(start.length)))
  for (const name of dated.sort().slice(0, Math.max(0, dated.length - keep))) unlinkSync(join(dirname(file), name))
}
