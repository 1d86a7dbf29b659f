/**
 * A full-text index of words that the caller has found in texts: FTS5 on SQLite, a `tsvector` with GIN on PostgreSQL. Neither engine cuts or
 * reads any text itself, so both find the same in every language, and no input is taken for query syntax.
 */
import type { Database, Tx } from './database.ts'
import type { Runner } from './query.ts'

/** What is known of one text. */
export interface TextDocument {
  readonly id: number
  /** What the text belongs to: every query names the scopes in which it looks. */
  readonly scope: number
  /** Short names (`[a-z0-9]+`) by which queries can narrow what they find. */
  readonly facets: readonly string[]
  /** Words in order: letters, marks, digits, symbols beyond ASCII; no white space. */
  readonly words: readonly string[]
}

/** Words that stand one behind the other; of the last one a beginning is enough, where `isPrefix`. */
export interface TextPhrase {
  readonly words: readonly string[]
  readonly isPrefix: boolean
}

/** Phrases that must all be there, and some that must not. */
export interface TextAlternative {
  readonly all: readonly TextPhrase[]
  readonly none: readonly TextPhrase[]
}

/** What is looked for. */
export interface TextQuery {
  readonly scopes: readonly number[]
  /** Of each list the document must have one. */
  readonly facets: readonly (readonly string[])[]
  /** None of these may the document have. */
  readonly notFacets: readonly string[]
  /** One of these is enough. */
  readonly alternatives: readonly TextAlternative[]
}

/** A document that was found. */
export interface TextHit {
  readonly id: number
  /** Number of its words. */
  readonly length: number
}

/** `newest`: highest ids first. `shortest`: those first of which the words that are looked for make up most, of equal ones the newest. */
export type TextOrder = 'newest' | 'shortest'

/** The first documents that are found. */
export interface TextPage {
  readonly hits: readonly TextHit[]
  /** About how many documents there are: exact where they are few. */
  readonly count: number
  /** The highest id among them; undefined where there is none. */
  readonly newest: number | undefined
}

/** So many newest documents are counted. */
const countReach = 1_000
/** Among so many newest documents the shortest are looked for; they are counted as well. */
const shortestReach = 2_000

/**
 * One index. Its table has the columns `id`, `scope`, `length`, `document` on PostgreSQL, and is an FTS5 table with `facets`, `words`, `length` on
 * SQLite, with the tokenizer `ascii`.
 */
export class TextIndex {
  readonly #database: Pick<Database, 'dialect' | 'scans'>
  readonly #table: string

  /** @param table its name */
  constructor(database: Pick<Database, 'dialect' | 'scans'>, table: string) {
    this.#database = database
    this.#table = table
  }

  /** Writes documents in place of those with their ids. */
  async put(tx: Tx, documents: readonly TextDocument[]): Promise<void> {
    if (documents.length === 0) return
    await this.delete(tx, documents.map(({ id }) => id))
    const table = this.#table
    if (tx.dialect === 'postgres') {
      await tx.rows(
        `INSERT INTO ${table} (id, scope, length, document) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::text[]::tsvector[])`,
        [documents.map(({ id }) => id), documents.map(({ scope }) => scope), documents.map(({ words }) => words.length), documents.map(vectorOf)],
        `${table}.put`,
      )
      return
    }
    for (const { id, scope, facets, words } of documents) {
      const values = [id, [scopeFacet(scope), ...facets].join(' '), words.join(' '), words.length]
      await tx.rows(`INSERT INTO ${table} (rowid, facets, words, length) VALUES ($1, $2, $3, $4)`, values, `${table}.put`)
    }
  }

  /** Takes documents out. */
  async delete(tx: Tx, ids: readonly number[]): Promise<void> {
    const table = this.#table
    if (tx.dialect === 'postgres') {
      if (ids.length > 0) await tx.rows(`DELETE FROM ${table} WHERE id = ANY($1)`, [ids], `${table}.delete`)
      return
    }
    for (const id of ids) await tx.rows(`DELETE FROM ${table} WHERE rowid = $1`, [id], `${table}.delete`)
  }

  /** The first documents. */
  async first(query: TextQuery, order: TextOrder, limit: number): Promise<TextPage> {
    const { text, values } = this.#matching(query, Number.MAX_SAFE_INTEGER)
    const reach = order === 'newest' ? countReach : shortestReach
    // Only the documents of the page are looked up where the order does not depend on them.
    const found = order === 'newest' ? `SELECT id FROM (${text}) AS matching` : text
    const length = order === 'newest' ? this.#lengthOf('found.id') : 'length'
    const rows = await this.#rows<TextHit & { matches: number; lowest: number; highest: number }>(
      `WITH found AS MATERIALIZED (${found} ORDER BY id DESC LIMIT ${reach})
      SELECT id, ${length} AS length, (SELECT count(*) FROM found) AS matches, (SELECT min(id) FROM found) AS lowest, (SELECT max(id) FROM found) AS highest
      FROM found ORDER BY ${orders[order]} LIMIT ${limit}`, values)
    const [row] = rows
    return { hits: rows.map((each) => ({ id: each.id, length: each.length })), count: row ? estimate(row, reach) : 0, newest: row?.highest }
  }

  /**
   * Documents that follow.
   * @param newest id of the newest document when the first were looked for
   * @param after the last one of the page before
   */
  next(query: TextQuery, order: TextOrder, newest: number, after: TextHit, limit: number): Promise<TextHit[]> {
    const { text, values } = this.#matching(query, order === 'newest' ? Math.min(newest, after.id - 1) : newest)
    if (order === 'newest') return this.#rows(`${text} ORDER BY id DESC LIMIT ${limit}`, values)
    return this.#rows(
      `SELECT id, length FROM (${text} ORDER BY id DESC LIMIT ${shortestReach}) AS found
      WHERE length > ${after.length} OR (length = ${after.length} AND id < ${after.id}) ORDER BY ${orders.shortest} LIMIT ${limit}`, values)
  }

  #lengthOf(id: string): string {
    return `(SELECT length FROM ${this.#table} WHERE ${this.#database.dialect === 'postgres' ? 'id' : 'rowid'} = ${id})`
  }

  #rows<Row = TextHit>(text: string, values: readonly unknown[]): Promise<Row[]> {
    const runner: Runner = this.#database.scans
    return runner.rows<Row>(text, values)
  }

  #matching(query: TextQuery, upTo: number): { text: string; values: readonly unknown[] } {
    const table = this.#table
    if (this.#database.dialect === 'postgres') {
      return { text: `SELECT id, length FROM ${table} WHERE scope = ANY($1) AND id <= $2 AND document @@ $3::tsquery`, values: [query.scopes, upTo, tsqueryOf(query)] }
    }
    return { text: `SELECT rowid AS id, length FROM ${table} WHERE ${table} MATCH $1 AND rowid <= $2`, values: [matchOf(query), upTo] }
  }
}

const orders: Readonly<Record<TextOrder, string>> = { newest: 'id DESC', shortest: 'length, id DESC' }

/** Where more match than were counted: as many as there would be if all ids had as many as the newest. */
function estimate({ matches, lowest, highest }: { readonly matches: number; readonly lowest: number; readonly highest: number }, reach: number): number {
  if (matches < reach) return matches
  return Math.round(matches * Math.max(1, highest / Math.max(1, highest - lowest + 1)))
}

function scopeFacet(scope: number): string {
  return `in${scope}`
}

/** Words that no text can have stand for facets. */
function facetLexeme(facet: string): string {
  return `#${facet}`
}

/** A text in the words of `tsvector`; later positions than PostgreSQL knows are put to the last one. */
function vectorOf({ facets, words }: TextDocument): string {
  const places = new Map<string, number[]>()
  for (const [index, word] of words.entries()) {
    const known = places.get(word)
    if (known) known.push(Math.min(index + 1, 16_383))
    else places.set(word, [Math.min(index + 1, 16_383)])
  }
  const parts = facets.map((facet) => lexeme(facetLexeme(facet)))
  for (const [word, positions] of places) parts.push(`${lexeme(word)}:${positions.slice(0, 255).join(',')}`)
  return parts.join(' ')
}

/** A lexeme of `tsvector` and `tsquery`, quoted. */
function lexeme(word: string): string {
  return `'${word.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** A query in the words of `tsquery`; the scopes are a column of their own. */
function tsqueryOf(query: TextQuery): string {
  const phrase = ({ words, isPrefix }: TextPhrase): string => `(${words.map((word, index) => lexeme(word) + (isPrefix && index === words.length - 1 ? ':*' : '')).join(' <-> ')})`
  const facet = (name: string): string => lexeme(facetLexeme(name))
  const alternatives = query.alternatives.map(({ all, none }) => `(${[...all.map(phrase), ...none.map((each) => `!${phrase(each)}`)].join(' & ')})`)
  const parts = [
    `(${alternatives.join(' | ')})`,
    ...query.facets.map((list) => `(${list.map(facet).join(' | ')})`),
    ...query.notFacets.map((name) => `!${facet(name)}`),
  ]
  return parts.join(' & ')
}

/** A query in the words of FTS5. */
function matchOf(query: TextQuery): string {
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
  const phrase = ({ words, isPrefix }: TextPhrase): string => quoted(words.join(' ')) + (isPrefix ? ' *' : '')
  const any = (column: string, terms: readonly string[]): string => `${column} : (${terms.join(' OR ')})`
  const alternatives = query.alternatives.map(({ all, none }) => {
    const wanted = all.map(phrase).join(' AND ')
    return none.length === 0 ? `(${wanted})` : `((${wanted}) NOT (${none.map(phrase).join(' OR ')}))`
  })
  const parts = [
    any('words', alternatives),
    any('facets', query.scopes.map((scope) => quoted(scopeFacet(scope)))),
    ...query.facets.map((list) => any('facets', list.map(quoted))),
  ]
  const all = parts.map((part) => `(${part})`).join(' AND ')
  return query.notFacets.length === 0 ? all : `(${all}) NOT (${any('facets', query.notFacets.map(quoted))})`
}
