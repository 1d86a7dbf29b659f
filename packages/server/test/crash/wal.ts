/**
 * What a power failure leaves of an SQLite database: everything up to the last synced commit, and nothing that the operating system had only
 * promised to write. See https://sqlite.org/fileformat2.html#the_write_ahead_log.
 */
import { copyFileSync, existsSync, readFileSync, truncateSync } from 'node:fs'

const headerBytes = 32
const frameHeaderBytes = 24

/** A place in the write-ahead log: which generation of it, and how many bytes. */
export interface LogPosition {
  readonly salts: string
  readonly bytes: number
}

/** End of the last committed transaction in the log. */
export function committedEnd(databasePath: string): LogPosition {
  const path = `${databasePath}-wal`
  const log = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
  if (log.length < headerBytes) return { salts: '', bytes: 0 }
  const salts = log.toString('hex', 16, 24)
  const step = frameHeaderBytes + log.readUInt32BE(8)
  let bytes = 0
  for (let at = headerBytes; at + step <= log.length; at += step) {
    if (log.toString('hex', at + 8, at + 16) !== salts) break
    if (log.readUInt32BE(at + 4) !== 0) bytes = at + step
  }
  return { salts, bytes }
}

/** Copies the files as they are at this moment: what kill -9 leaves. */
export function copyDatabase(from: string, to: string): void {
  copyFileSync(from, to)
  if (existsSync(`${from}-wal`)) copyFileSync(`${from}-wal`, `${to}-wal`)
}

/** Takes from a copy what was not synced. A log of a newer generation than the synced one begins after a synced checkpoint. */
export function dropUnsynced(copy: string, synced: LogPosition): void {
  const path = `${copy}-wal`
  if (!existsSync(path)) return
  truncateSync(path, committedEnd(copy).salts === synced.salts ? synced.bytes : 0)
}
