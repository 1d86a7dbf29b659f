/** Queries of `room_aliases` and `room_publications`. */
import type { RoomAlias } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared, type Runner } from '#platform/db/query.ts'
import type { RoomAliasesTable, RoomPublicationsTable, Tables } from '#schema/tables.gen.ts'

type OwnTables = Pick<Tables, 'room_aliases' | 'room_publications'>

export class DirectoryStore {
  readonly #database: Database
  readonly #alias: Prepared<{ alias: string }, RoomAliasesTable>
  readonly #aliasesOf: Prepared<{ roomNid: number }, { alias: string }>
  readonly #countOf: Prepared<{ creator: string }, { count: number }>
  readonly #insertAlias: Prepared<RoomAliasesTable, unknown>
  readonly #deleteAlias: Prepared<{ alias: string }, unknown>
  readonly #moveAliases: Prepared<{ from: number; to: number }, unknown>
  readonly #isPublished: Prepared<{ roomNid: number; networkId: string }, { room_nid: number }>
  readonly #published: Prepared<{ networkId: string }, { room_nid: number }>
  readonly #publishedAnywhere: Prepared<Record<string, never>, { room_nid: number }>
  readonly #publish: Prepared<RoomPublicationsTable, unknown>
  readonly #withdraw: Prepared<{ roomNid: number; networkId: string }, unknown>
  readonly #movePublications: Prepared<{ from: number; to: number }, unknown>
  readonly #withdrawAll: Prepared<{ roomNid: number }, unknown>
  readonly #deleteAliases = new PagedDelete('directory.deleteAliases', 'room_aliases', 'room_nid', ['alias'])
  readonly #deletePublications = new PagedDelete('directory.deletePublications', 'room_publications', 'room_nid', ['network_id'])

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<OwnTables>(database.dialect)
    const aliases = db.selectFrom('room_aliases')
    const publications = db.selectFrom('room_publications')
    this.#alias = prepare('directory.alias', ({ alias }) => aliases.selectAll().where('alias', '=', alias))
    this.#aliasesOf = prepare('directory.aliasesOf', ({ roomNid }) => aliases.select('alias').where('room_nid', '=', roomNid).orderBy('created_ts').orderBy('alias'))
    this.#countOf = prepare('directory.countOf', ({ creator }) => aliases.select((eb) => eb.fn.countAll<number>().as('count')).where('creator', '=', creator))
    this.#insertAlias = prepare('directory.insertAlias', ({ alias, room_nid, creator, created_ts }) =>
      db.insertInto('room_aliases').values({ alias, room_nid, creator, created_ts }))
    this.#deleteAlias = prepare('directory.deleteAlias', ({ alias }) => db.deleteFrom('room_aliases').where('alias', '=', alias))
    this.#moveAliases = prepare('directory.moveAliases', ({ from, to }) => db.updateTable('room_aliases').set({ room_nid: to }).where('room_nid', '=', from))
    this.#isPublished = prepare('directory.isPublished', ({ roomNid, networkId }) =>
      publications.select('room_nid').where('room_nid', '=', roomNid).where('network_id', '=', networkId))
    this.#published = prepare('directory.published', ({ networkId }) => publications.select('room_nid').where('network_id', '=', networkId))
    this.#publishedAnywhere = prepare('directory.publishedAnywhere', () => publications.select('room_nid').distinct())
    this.#publish = prepare('directory.publish', ({ room_nid, network_id, published_ts }) =>
      db.insertInto('room_publications').values({ room_nid, network_id, published_ts }).onConflict((conflict) => conflict.doNothing()))
    this.#withdraw = prepare('directory.withdraw', ({ roomNid, networkId }) =>
      db.deleteFrom('room_publications').where('room_nid', '=', roomNid).where('network_id', '=', networkId))
    this.#movePublications = prepare('directory.movePublications', ({ from, to }) =>
      db.updateTable('room_publications').set({ room_nid: to }).where('room_nid', '=', from).where('network_id', 'not in', publications.select('network_id').where('room_nid', '=', to)))
    this.#withdrawAll = prepare('directory.withdrawAll', ({ roomNid }) => db.deleteFrom('room_publications').where('room_nid', '=', roomNid))
  }

  async alias(alias: string): Promise<RoomAliasesTable | undefined> {
    return this.#alias.first(this.#database, { alias })
  }

  async aliasesOf(runner: Runner, roomNid: number): Promise<RoomAlias[]> {
    return (await this.#aliasesOf.all(runner, { roomNid })).map((row) => row.alias as RoomAlias)
  }

  /** How many aliases a user has made. */
  async countOf(creator: string): Promise<number> {
    return (await this.#countOf.first(this.#database, { creator }))?.count ?? 0
  }

  async insertAlias(tx: Tx, row: RoomAliasesTable): Promise<void> {
    await this.#insertAlias.run(tx, row)
  }

  async deleteAlias(tx: Tx, alias: string): Promise<void> {
    await this.#deleteAlias.run(tx, { alias })
  }

  async moveAliases(tx: Tx, from: number, to: number): Promise<void> {
    await this.#moveAliases.run(tx, { from, to })
  }

  async isPublished(roomNid: number, networkId: string): Promise<boolean> {
    return (await this.#isPublished.first(this.#database, { roomNid, networkId })) !== undefined
  }

  /** Numbers of published rooms: of one network, or of all where it is undefined. */
  async published(networkId: string | undefined): Promise<number[]> {
    const rows = networkId === undefined ? await this.#publishedAnywhere.all(this.#database, {}) : await this.#published.all(this.#database, { networkId })
    return rows.map((row) => row.room_nid)
  }

  async publish(tx: Tx, row: RoomPublicationsTable): Promise<void> {
    await this.#publish.run(tx, row)
  }

  async withdraw(tx: Tx, roomNid: number, networkId: string): Promise<void> {
    await this.#withdraw.run(tx, { roomNid, networkId })
  }

  /** Deletes at most `limit` aliases and publications each. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    const [publications, aliases] = [await this.#deletePublications.run(tx, roomNid, limit), await this.#deleteAliases.run(tx, roomNid, limit)]
    return publications.length === limit || aliases.length === limit
  }

  /** Afterwards the one room is published nowhere, and the other wherever one of them was. */
  async movePublications(tx: Tx, from: number, to: number): Promise<void> {
    await this.#movePublications.run(tx, { from, to })
    await this.#withdrawAll.run(tx, { roomNid: from })
  }
}
