/** Queries of `ui_auth_sessions` and `ui_auth_sessions_credentials`. */
import { sql, type Selectable } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables, UiAuthSessionsTable } from '#schema/tables.gen.ts'

type UiaTables = Pick<Tables, 'ui_auth_sessions' | 'ui_auth_sessions_credentials'>

/** A row of `ui_auth_sessions`. */
export type UiaSessionRow = Selectable<UiAuthSessionsTable>
/** A completed stage. */
export interface CredentialRow {
  readonly session_id: string
  readonly stage_type: string
  readonly result: string
}

export class UiaStore {
  readonly #database: Database
  readonly #byId: Prepared<{ sessionId: string }, UiaSessionRow>
  readonly #credentials: Prepared<{ sessionIds: readonly string[] }, CredentialRow>
  readonly #insert: Prepared<UiaSessionRow, unknown>
  readonly #setBody: Prepared<{ sessionId: string; body: string }, unknown>
  readonly #finish: Prepared<{ sessionId: string; operation: string; body: string }, { session_id: string }>
  readonly #addCredential: Prepared<{ sessionId: string; stage: string; result: string }, { stage_type: string }>
  readonly #delete: Prepared<{ sessionIds: readonly string[] }, { session_id: string }>
  readonly #deleteCredentials: Prepared<{ sessionIds: readonly string[] }, unknown>
  readonly #ofOwner: Prepared<{ owner: string }, { session_id: string; device_id: string | null }>
  readonly #before: Prepared<{ ts: number; limit: number }, { session_id: string }>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<UiaTables>(database.dialect)
    const anySession = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('session_id'), ids)
    this.#byId = prepare('uia.byId', ({ sessionId }) => db.selectFrom('ui_auth_sessions').selectAll().where('session_id', '=', sessionId))
    this.#credentials = prepare('uia.credentials', ({ sessionIds }) =>
      db.selectFrom('ui_auth_sessions_credentials').selectAll().where(anySession(sessionIds)))
    this.#insert = prepare('uia.insert', (row) =>
      db.insertInto('ui_auth_sessions').values({
        session_id: row.session_id, owner: row.owner, device_id: row.device_id, operation: row.operation, description: row.description,
        method: row.method, path: row.path, sealed_body: row.sealed_body, stages: row.stages, created_ts: row.created_ts,
      }))
    this.#setBody = prepare('uia.setBody', ({ sessionId, body }) => db.updateTable('ui_auth_sessions').set({ sealed_body: body }).where('session_id', '=', sessionId))
    this.#finish = prepare('uia.finish', ({ sessionId, operation, body }) =>
      db.updateTable('ui_auth_sessions').set({ operation, stages: '[]', sealed_body: body })
        .where('session_id', '=', sessionId).where('operation', '!=', operation).returning('session_id'))
    this.#addCredential = prepare('uia.addCredential', ({ sessionId, stage, result }) =>
      db.insertInto('ui_auth_sessions_credentials').values({ session_id: sessionId, stage_type: stage, result })
        .onConflict((conflict) => conflict.columns(['session_id', 'stage_type']).doNothing()).returning('stage_type'))
    this.#delete = prepare('uia.delete', ({ sessionIds }) => db.deleteFrom('ui_auth_sessions').where(anySession(sessionIds)).returning('session_id'))
    this.#deleteCredentials = prepare('uia.deleteCredentials', ({ sessionIds }) => db.deleteFrom('ui_auth_sessions_credentials').where(anySession(sessionIds)))
    this.#ofOwner = prepare('uia.ofOwner', ({ owner }) =>
      db.selectFrom('ui_auth_sessions').select(['session_id', 'device_id']).where('owner', '=', owner).orderBy('created_ts', 'desc').orderBy('session_id'))
    this.#before = prepare('uia.before', ({ ts, limit }) =>
      db.selectFrom('ui_auth_sessions').select('session_id').where('created_ts', '<', ts).orderBy('created_ts').limit(limit))
  }

  byId(sessionId: string): Promise<UiaSessionRow | undefined> {
    return this.#byId.first(this.#database, { sessionId })
  }

  credentials(runner: Database | Tx, sessionIds: readonly string[]): Promise<CredentialRow[]> {
    return this.#credentials.all(runner, { sessionIds })
  }

  credentialsOf(sessionId: string): Promise<CredentialRow[]> {
    return this.credentials(this.#database, [sessionId])
  }

  async insert(tx: Tx, row: UiaSessionRow): Promise<void> {
    await this.#insert.run(tx, row)
  }

  async setBody(tx: Tx, sessionId: string, body: string): Promise<void> {
    await this.#setBody.run(tx, { sessionId, body })
  }

  /** Keeps a session with another operation and body and without stages. @returns number of sessions that did not have that operation before */
  async finish(tx: Tx, end: { readonly sessionId: string; readonly operation: string; readonly body: string }): Promise<number> {
    const ended = await this.#finish.all(tx, end)
    await this.#deleteCredentials.run(tx, { sessionIds: [end.sessionId] })
    return ended.length
  }

  /** Whether the stage was not completed before. */
  async addCredential(tx: Tx, sessionId: string, stage: string, result: string): Promise<boolean> {
    return (await this.#addCredential.first(tx, { sessionId, stage, result })) !== undefined
  }

  /** Number of sessions that were still there. */
  async delete(tx: Tx, sessionIds: readonly string[]): Promise<number> {
    if (sessionIds.length === 0) return 0
    const deleted = await this.#delete.all(tx, { sessionIds })
    await this.#deleteCredentials.run(tx, { sessionIds })
    return deleted.length
  }

  /** Sessions of a user or address, newest first. */
  ofOwner(tx: Tx, owner: string): Promise<{ session_id: string; device_id: string | null }[]> {
    return this.#ofOwner.all(tx, { owner })
  }

  async before(ts: number, limit: number): Promise<string[]> {
    return (await this.#before.all(this.#database, { ts, limit })).map((row) => row.session_id)
  }
}
