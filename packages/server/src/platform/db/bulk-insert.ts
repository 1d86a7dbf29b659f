/** Inserts of many rows with one statement text: prepared single rows on SQLite, one array parameter per column on PostgreSQL. */
import type { Runner } from './query.ts'

/** Type of a column in the words of `ddl`. */
export type ColumnType = 'BIGINT' | 'SMALLINT' | 'TEXT' | 'BLOB'

const arrayTypes: Readonly<Record<ColumnType, string>> = { BIGINT: 'bigint[]', SMALLINT: 'smallint[]', TEXT: 'text[]', BLOB: 'bytea[]' }

/** An insert into fixed columns of one table. */
export class BulkInsert<Row extends object> {
  readonly name: string
  readonly #columns: readonly (keyof Row & string)[]
  readonly #sqlite: string
  readonly #postgres: string

  /**
   * @param name unique name, `store.query`
   * @param table the table
   * @param columns its columns with their types, in order
   * @param conflict what follows `ON CONFLICT`, for instance `(user_id) DO UPDATE SET x = excluded.x`
   */
  constructor(name: string, table: string, columns: readonly (readonly [keyof Row & string, ColumnType])[], conflict?: string) {
    this.name = name
    this.#columns = columns.map(([column]) => column)
    const into = `INSERT INTO ${table} (${this.#columns.join(', ')})`
    const tail = conflict === undefined ? '' : ` ON CONFLICT ${conflict}`
    this.#sqlite = `${into} VALUES (${this.#columns.map(() => '?').join(', ')})${tail}`
    const arrays = columns.map(([, type], index) => `$${index + 1}::${arrayTypes[type]}`)
    this.#postgres = `${into} SELECT * FROM unnest(${arrays.join(', ')})${tail}`
  }

  /** Inserts the rows, in order. On PostgreSQL no two rows may meet in the conflict target. */
  async run(runner: Runner, rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return
    if (runner.dialect === 'postgres') {
      await runner.rows(this.#postgres, this.#columns.map((column) => rows.map((row) => row[column])), this.name)
      return
    }
    for (const row of rows) await runner.rows(this.#sqlite, this.#columns.map((column) => row[column]), this.name)
  }
}
