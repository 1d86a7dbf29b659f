/** Queries of `server_signature_keys` and `server_keys_json`. */
import type { Selectable } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { ServerKeysJsonTable, ServerSignatureKeysTable, Tables } from '#schema/tables.gen.ts'

type KeyTables = Pick<Tables, 'server_signature_keys' | 'server_keys_json'>

/** A row of `server_signature_keys`. */
export type ServerSignatureKeyRow = Selectable<ServerSignatureKeysTable>
/** A row of `server_keys_json`. */
export type ServerKeysJsonRow = Selectable<ServerKeysJsonTable>

export class ServerKeysStore {
  readonly #database: Database
  readonly #keys: Prepared<{ serverName: string }, ServerSignatureKeyRow>
  readonly #document: Prepared<{ serverName: string }, ServerKeysJsonRow>
  readonly #putKey: Prepared<ServerSignatureKeyRow, unknown>
  readonly #putDocument: Prepared<ServerKeysJsonRow, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<KeyTables>(database.dialect)
    this.#keys = prepare('serverKeys.keys', ({ serverName }) => db.selectFrom('server_signature_keys').selectAll().where('server_name', '=', serverName))
    this.#document = prepare('serverKeys.document', ({ serverName }) => db.selectFrom('server_keys_json').selectAll().where('server_name', '=', serverName))
    this.#putKey = prepare('serverKeys.putKey', (row) =>
      db.insertInto('server_signature_keys').values({
        server_name: row.server_name, key_id: row.key_id, verify_key: row.verify_key, ts_valid_until_ms: row.ts_valid_until_ms,
        ts_added_ms: row.ts_added_ms, from_server: row.from_server,
      }).onConflict((conflict) => conflict.columns(['server_name', 'key_id']).doUpdateSet((eb) => ({
        verify_key: eb.ref('excluded.verify_key'), ts_valid_until_ms: eb.ref('excluded.ts_valid_until_ms'), ts_added_ms: eb.ref('excluded.ts_added_ms'),
        from_server: eb.ref('excluded.from_server'),
      }))))
    this.#putDocument = prepare('serverKeys.putDocument', (row) =>
      db.insertInto('server_keys_json').values({
        server_name: row.server_name, from_server: row.from_server, ts_added_ms: row.ts_added_ms, ts_valid_until_ms: row.ts_valid_until_ms,
        key_json: row.key_json,
      }).onConflict((conflict) => conflict.column('server_name').doUpdateSet((eb) => ({
        from_server: eb.ref('excluded.from_server'), ts_added_ms: eb.ref('excluded.ts_added_ms'), ts_valid_until_ms: eb.ref('excluded.ts_valid_until_ms'),
        key_json: eb.ref('excluded.key_json'),
      }))))
  }

  keys(serverName: string): Promise<ServerSignatureKeyRow[]> {
    return this.#keys.all(this.#database, { serverName })
  }

  document(serverName: string): Promise<ServerKeysJsonRow | undefined> {
    return this.#document.first(this.#database, { serverName })
  }

  /** Stores a document with all its keys; keys that it no longer names stay. */
  async put(tx: Tx, document: ServerKeysJsonRow, keys: readonly ServerSignatureKeyRow[]): Promise<void> {
    await this.#putDocument.run(tx, document)
    for (const key of keys) await this.#putKey.run(tx, key)
  }
}
