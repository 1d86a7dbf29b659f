/** Strings that recur in rows (event types, state keys, user ids) and the integers that stand for them in the database. */
import { refuse } from '@myelin/protocol/errors.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { CacheBudget, Cache } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import { sql } from 'kysely'
import type { Tables } from '#schema/tables.gen.ts'

type InternedTables = Pick<Tables, 'interned_strings'>

/** Queries of `interned_strings`. */
class NamesQueries {
  readonly byString: Prepared<{ strings: readonly string[] }, { string_nid: number; string: string }>
  readonly byNid: Prepared<{ nids: readonly number[] }, { string_nid: number; string: string }>
  readonly insert = new BulkInsert<InternedTables['interned_strings']>(
    'names.insert',
    'interned_strings',
    [['string_nid', 'BIGINT'], ['string', 'TEXT']],
    '(string) DO NOTHING',
  )

  constructor(database: Database) {
    const db = buildersFor<InternedTables>(database.dialect)
    const select = db.selectFrom('interned_strings').select(['string_nid', 'string'])
    this.byString = prepare('names.byString', ({ strings }) => select.where(anyOf(database.dialect, sql.ref('string'), strings)))
    this.byNid = prepare('names.byNid', ({ nids }) => select.where(anyOf(database.dialect, sql.ref('string_nid'), nids)))
  }
}

/** So many strings, of at most this length, are known to have no number. */
const absentLimit = 10_000
const absentLength = 255

/** Interns strings. A new number exists in memory at once and is written by the next transaction that saves. */
export class Names {
  readonly #database: Database
  readonly #queries: NamesQueries
  readonly #nids: Cache<string, number>
  readonly #strings: Cache<number, string>
  readonly #unsaved = new Map<string, number>()
  /** Strings that have no number: types and keys that are asked for in every room and are nowhere. */
  readonly #absent = new Set<string>()
  #last: number

  constructor(needs: { readonly database: Database; readonly caches: CacheBudget; readonly lastNid: number }) {
    this.#database = needs.database
    this.#queries = new NamesQueries(needs.database)
    this.#nids = needs.caches.cache('interned_string_nids', () => 64)
    this.#strings = needs.caches.cache('interned_strings', (string) => string.length + 16)
    this.#last = needs.lastNid
  }

  /** Opens the names of a database. */
  static async open(needs: { readonly database: Database; readonly caches: CacheBudget }): Promise<Names> {
    const [row] = await needs.database.rows<{ last: number | null }>('SELECT max(string_nid) AS last FROM interned_strings', [])
    return new Names({ ...needs, lastNid: row?.last ?? 0 })
  }

  /** The number of a string, made where it has none yet; the caller's transaction must `save`. */
  async intern(string: string): Promise<number> {
    const known = this.#unsaved.get(string) ?? (await this.find(string)) ?? this.#unsaved.get(string)
    if (known !== undefined) return known
    if (string.includes('\0')) {
      throw refuse('M_INVALID_PARAM', 'Identifiers must not contain the NUL character.')
    }
    const nid = ++this.#last
    this.#absent.delete(string)
    this.#unsaved.set(string, nid)
    this.#strings.set(nid, string)
    return nid
  }

  /** The number of a string, or undefined where nothing was ever stored under it. */
  async find(string: string): Promise<number | undefined> {
    const cached = this.#nids.get(string) ?? this.#unsaved.get(string)
    if (cached !== undefined || string.includes('\0') || this.#absent.has(string)) return cached
    const last = this.#last
    const rows = await this.#queries.byString.all(this.#database, { strings: [string] })
    this.#remember(rows)
    // A string that was interned while the table was read has a number, wherever the read stood.
    if (rows.length === 0 && last === this.#last && string.length <= absentLength) {
      if (this.#absent.size >= absentLimit) this.#absent.clear()
      this.#absent.add(string)
    }
    return rows[0]?.string_nid ?? this.#nids.get(string)
  }

  /** The string behind a number that came out of the database. */
  async string(nid: number): Promise<string> {
    const strings = await this.strings([nid])
    return strings.get(nid) ?? ''
  }

  /** Strings behind many numbers. */
  async strings(nids: Iterable<number>): Promise<Map<number, string>> {
    const found = new Map<number, string>()
    const missing: number[] = []
    for (const nid of nids) {
      const cached = this.#strings.get(nid)
      if (cached === undefined) missing.push(nid)
      else found.set(nid, cached)
    }
    if (missing.length > 0) {
      const rows = await this.#queries.byNid.all(this.#database, { nids: missing })
      this.#remember(rows)
      for (const row of rows) found.set(row.string_nid, row.string)
    }
    return found
  }

  /** Writes what was interned and not yet written. */
  async save(tx: Tx): Promise<void> {
    if (this.#unsaved.size === 0) return
    const entries = [...this.#unsaved]
    await this.#queries.insert.run(tx, entries.map(([string, string_nid]) => ({ string_nid, string })))
    tx.afterCommit(() => {
      for (const [string, nid] of entries) {
        this.#nids.set(string, nid)
        if (this.#unsaved.get(string) === nid) this.#unsaved.delete(string)
      }
    })
  }

  #remember(rows: readonly { string_nid: number; string: string }[]): void {
    for (const row of rows) {
      this.#nids.set(row.string, row.string_nid)
      this.#strings.set(row.string_nid, row.string)
    }
  }
}
