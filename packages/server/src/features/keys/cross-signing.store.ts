/** Queries of `cross_signing_keys` and `user_signatures`. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { CrossSigningKeysTable, Tables, UserSignaturesTable } from '#schema/tables.gen.ts'
import type { KeyUsage } from './cross-signing-key.ts'
import { RowsByUser } from './rows-by-user.ts'

type CrossSigningTables = Pick<Tables, 'cross_signing_keys' | 'user_signatures'>

/** A user's cross-signing key. */
export type CrossSigningRow = CrossSigningKeysTable
/** A signature of one user's user-signing key on another's master key. */
export type UserSignatureRow = UserSignaturesTable

export class CrossSigningStore {
  readonly #ofUsers: Prepared<{ userIds: readonly string[] }, CrossSigningRow>
  readonly #put: Prepared<{ userId: UserId; usage: string; publicKey: string; json: string }, unknown>
  readonly #delete: Prepared<{ userId: UserId; usages: readonly string[] }, unknown>
  readonly #allow: Prepared<{ userId: UserId; usage: string; untilTs: number }, { public_key: string }>
  readonly #signatures: Prepared<{ signers: readonly string[] }, UserSignatureRow>
  readonly #sign: Prepared<UserSignatureRow, unknown>
  readonly #deleteBySigner: Prepared<{ userId: UserId }, unknown>
  readonly #deleteByTarget: Prepared<{ userId: UserId }, { signer_user_id: string }>

  readonly #rows: RowsByUser<CrossSigningRow>
  readonly #signaturesBy: RowsByUser<UserSignatureRow>

  constructor(database: Database, caches: CacheBudget) {
    this.#rows = new RowsByUser(
      caches.cache('cross_signing_keys', (rows) => rows.reduce((sum, row) => sum + row.json.length + 300, 100)),
      (userIds) => this.#ofUsers.all(database, { userIds }),
      (row) => row.user_id,
    )
    this.#signaturesBy = new RowsByUser(
      caches.cache('user_signatures', (rows) => rows.reduce((sum, row) => sum + row.signature.length + 400, 100)),
      (signers) => this.#signatures.all(database, { signers }),
      (row) => row.signer_user_id,
    )
    const db = buildersFor<CrossSigningTables>(database.dialect)
    this.#ofUsers = prepare('crossSigning.ofUsers', ({ userIds }) =>
      db.selectFrom('cross_signing_keys').selectAll().where(anyOf(database.dialect, sql.ref('user_id'), userIds)))
    this.#put = prepare('crossSigning.put', ({ userId, usage, publicKey, json }) =>
      db.insertInto('cross_signing_keys').values({ user_id: userId, key_type: usage, public_key: publicKey, json })
        .onConflict((conflict) => conflict.columns(['user_id', 'key_type'])
          .doUpdateSet((eb) => ({ public_key: eb.ref('excluded.public_key'), json: eb.ref('excluded.json'), replaceable_until_ts: null }))))
    this.#delete = prepare('crossSigning.delete', ({ userId, usages }) =>
      db.deleteFrom('cross_signing_keys').where('user_id', '=', userId).where(anyOf(database.dialect, sql.ref('key_type'), usages)))
    this.#allow = prepare('crossSigning.allow', ({ userId, usage, untilTs }) =>
      db.updateTable('cross_signing_keys').set({ replaceable_until_ts: untilTs }).where('user_id', '=', userId).where('key_type', '=', usage)
        .returning('public_key'))
    this.#signatures = prepare('crossSigning.signatures', ({ signers }) =>
      db.selectFrom('user_signatures').selectAll().where(anyOf(database.dialect, sql.ref('signer_user_id'), signers)))
    this.#sign = prepare('crossSigning.sign', (row) =>
      db.insertInto('user_signatures').values({
        signer_user_id: row.signer_user_id, target_user_id: row.target_user_id, target_key: row.target_key,
        signing_key_id: row.signing_key_id, signature: row.signature,
      }).onConflict((conflict) => conflict.columns(['signer_user_id', 'target_user_id']).doUpdateSet((eb) => ({
        target_key: eb.ref('excluded.target_key'), signing_key_id: eb.ref('excluded.signing_key_id'), signature: eb.ref('excluded.signature'),
      }))))
    this.#deleteBySigner = prepare('crossSigning.deleteBySigner', ({ userId }) =>
      db.deleteFrom('user_signatures').where(sql.ref('signer_user_id'), '=', userId))
    this.#deleteByTarget = prepare('crossSigning.deleteByTarget', ({ userId }) =>
      db.deleteFrom('user_signatures').where(sql.ref('target_user_id'), '=', userId).returning('signer_user_id'))
  }

  /** Keys of some users, as committed. */
  ofUsers(userIds: readonly string[]): Promise<Map<string, readonly CrossSigningRow[]>> {
    return this.#rows.of(userIds)
  }

  async put(tx: Tx, userId: UserId, usage: KeyUsage, publicKey: string, json: string): Promise<void> {
    await this.#put.run(tx, { userId, usage, publicKey, json })
    this.#rows.changed(tx, userId)
  }

  async delete(tx: Tx, userId: UserId, usages: readonly KeyUsage[]): Promise<void> {
    await this.#delete.run(tx, { userId, usages })
    this.#rows.changed(tx, userId)
  }

  /** Whether there is a master key. */
  async allowReplacement(tx: Tx, userId: UserId, untilTs: number): Promise<boolean> {
    this.#rows.changed(tx, userId)
    return (await this.#allow.first(tx, { userId, usage: 'master', untilTs })) !== undefined
  }

  /** Signatures of a user on the master keys of others, as committed. */
  async signaturesBy(signer: UserId): Promise<readonly UserSignatureRow[]> {
    return (await this.#signaturesBy.of([signer])).get(signer) ?? []
  }

  async sign(tx: Tx, row: UserSignatureRow): Promise<void> {
    await this.#sign.run(tx, row)
    this.#signaturesBy.changed(tx, row.signer_user_id)
  }

  async deleteSignaturesBy(tx: Tx, userId: UserId): Promise<void> {
    await this.#deleteBySigner.run(tx, { userId })
    this.#signaturesBy.changed(tx, userId)
  }

  async deleteSignaturesOn(tx: Tx, userId: UserId): Promise<void> {
    for (const row of await this.#deleteByTarget.all(tx, { userId })) this.#signaturesBy.changed(tx, row.signer_user_id)
  }
}
