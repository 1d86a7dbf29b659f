/** Queries that are written with Kysely once, compiled once, and run many times with other values. */
import {
  DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler,
  type Compilable, type CompiledQuery,
} from 'kysely'

/** The engine behind a connection. */
export type Dialect = 'sqlite' | 'postgres'

/** Stands for a value that is known only when a prepared query runs. */
export class Placeholder {
  readonly key: string
  constructor(key: string) {
    this.key = key
  }
}

/** What runs queries: the database itself (reads), or a transaction. */
export interface Runner {
  readonly dialect: Dialect
  /** Runs a statement and gives its rows. `name` marks a statement that recurs and shall be kept prepared. */
  rows<Row>(text: string, values: readonly unknown[], name?: string): Promise<Row[]>
}

/** Query builders for one engine; they only build and never run. */
export function buildersFor<Tables>(dialect: Dialect): Kysely<Tables> {
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => (dialect === 'postgres' ? new PostgresAdapter() : new SqliteAdapter()),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => (dialect === 'postgres' ? new PostgresIntrospector(db) : new SqliteIntrospector(db)),
      createQueryCompiler: () => (dialect === 'postgres' ? new PostgresQueryCompiler() : new SqliteQueryCompiler()),
    },
  })
}

/** Runs a query that is built for this one call. */
export function run<Row>(runner: Runner, query: Compilable<Row>): Promise<Row[]> {
  const compiled = query.compile()
  return runner.rows<Row>(compiled.sql, compiled.parameters)
}

/** As `run`, for a query of which only the first row matters. */
export async function runFirst<Row>(runner: Runner, query: Compilable<Row>): Promise<Row | undefined> {
  return (await run(runner, query))[0]
}

/** A compiled query: `Params` goes in, `Row`s come out. */
export class Prepared<Params, Row> {
  readonly name: string
  readonly text: string
  readonly #values: readonly unknown[]

  constructor(name: string, compiled: CompiledQuery<Row>) {
    this.name = name
    this.text = compiled.sql
    this.#values = compiled.parameters
  }

  /** All rows. */
  all(runner: Runner, params: Params): Promise<Row[]> {
    return runner.rows<Row>(this.text, this.#bind(params), this.name)
  }

  /** The first row, or undefined. */
  async first(runner: Runner, params: Params): Promise<Row | undefined> {
    return (await runner.rows<Row>(this.text, this.#bind(params), this.name))[0]
  }

  /** Runs a statement for its effect. */
  async run(runner: Runner, params: Params): Promise<void> {
    await runner.rows<Row>(this.text, this.#bind(params), this.name)
  }

  #bind(params: Params): unknown[] {
    const given = new Map<string, unknown>(Object.entries(params ?? {}))
    return this.#values.map((value) => (value instanceof Placeholder ? given.get(value.key) : value))
  }
}

const texts = new Map<string, string>()

/**
 * Compiles a query once.
 * @param name unique name, `store.query`, under which the query is listed in `schema/queries.gen`
 * @param build writes the query; `params.x` stands for the value `x` that each run brings
 */
export function prepare<Params, Row>(name: string, build: (params: Params) => Compilable<Row>): Prepared<Params, Row> {
  const compiled = build(placeholders<Params>()).compile()
  texts.set(name, compiled.sql)
  return new Prepared<Params, Row>(name, compiled)
}

/** A record whose every property is a placeholder: to the query builder a placeholder is a value like any other. */
function placeholders<Params>(): Params {
  return new Proxy(Object.create(null), { get: (_, key) => new Placeholder(String(key)) })
}

/** Texts of the queries that were prepared last, by name, for the generated listing. */
export function preparedTexts(): ReadonlyMap<string, string> {
  return new Map([...texts].sort(([a], [b]) => (a < b ? -1 : 1)))
}
