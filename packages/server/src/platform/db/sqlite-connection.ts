/** One connection to an SQLite file, with its cache of prepared statements. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { refuse } from '@myelin/protocol/errors.ts'
import { sqliteFailure } from './storage-failure.ts'

const statementLimit = 500

/** How long opening waits for another program's lock, and reading for the recovery that another program runs. */
const openTimeoutMs = 5000
const readTimeoutMs = 1000

/** Numbered parameters as both engines can have them are written `$1`. */
const numbered = /\$(\d+)/g

/** A connection with its cache of prepared statements by text. */
export class SqliteConnection {
  readonly database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  /** @throws StorageError where the file cannot be opened */
  constructor(path: string, options: { readonly synchronous: 'FULL' | 'OFF'; readonly readOnly: boolean }) {
    try {
      this.database = new DatabaseSync(path, { readOnly: options.readOnly, enableForeignKeyConstraints: true, timeout: openTimeoutMs })
      this.#prepare(options)
    } catch (error) {
      throw sqliteFailure(error) ?? error
    }
  }

  #prepare(options: { readonly synchronous: 'FULL' | 'OFF'; readonly readOnly: boolean }): void {
    if (!options.readOnly) {
      this.database.exec(`PRAGMA journal_mode = WAL`)
      this.database.exec(`PRAGMA synchronous = ${options.synchronous}`)
      this.database.exec('PRAGMA journal_size_limit = 67108864')
      // A page that is written again before it is copied into the file is copied once: rooms in use share few pages.
      this.database.exec('PRAGMA wal_autocheckpoint = 4000')
    }
    this.database.exec('PRAGMA cache_size = -16384')
    this.database.exec('PRAGMA temp_store = MEMORY')
    // The driver waits on the event loop's thread: the writer is asked again instead (see SqliteDatabase).
    this.database.exec(`PRAGMA busy_timeout = ${options.readOnly ? readTimeoutMs : 0}`)
  }

  /** @throws StorageError where the disk fails; errors of the driver where the statement is wrong */
  rows(text: string, values: readonly unknown[]): unknown[] {
    const bound = values.map(bindable)
    try {
      return this.#statement(text).all(...bound)
    } catch (error) {
      throw sqliteFailure(error) ?? error
    }
  }

  /** Runs a statement without values and without rows, such as `COMMIT`; errors are the driver's own. */
  run(text: string): void {
    // The driver's `run` would also read the last row id, which the full-text index may set beyond what a number holds.
    this.#statement(text).all()
  }

  close(): void {
    this.#statements.clear()
    this.database.close()
  }

  #statement(text: string): StatementSync {
    const known = this.#statements.get(text)
    if (known) return known
    if (this.#statements.size >= statementLimit) this.#statements.clear()
    const statement = this.database.prepare(text.replace(numbered, '?$1'))
    this.#statements.set(text, statement)
    return statement
  }
}

/** A value as the driver takes it: lists travel as JSON (see `anyOf`), flags as 0 and 1. @throws M_INVALID_PARAM for text with NUL */
export function bindable(value: unknown): SQLInputValue {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw refuse('M_INVALID_PARAM', 'Text must not contain the NUL character; remove it and try again.')
    return value
  }
  if (typeof value === 'number' || typeof value === 'bigint') return value
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Uint8Array) return value
  return JSON.stringify(value)
}
