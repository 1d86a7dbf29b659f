/**
 * Filters that clients keep on the server to name them in requests.
 *
 * Spec: client-server API, "Filtering".
 */
import { createHash } from 'node:crypto'
import { refuse } from '@myelin/protocol/errors.ts'
import { checkFilter } from '@myelin/protocol/filters/check-filter.ts'
import type { SyncFilter } from '@myelin/protocol/filters/sync-filter.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database } from '#platform/db/database.ts'
import { isUniqueViolation } from '#platform/db/dialect.ts'
import { FiltersStore } from './filters.store.ts'

/** Of a user's filters the newest so many are kept. */
const filtersLimit = 1_000
const filterLimitBytes = 65_536
const filterId = /^\d{1,15}$/

export class Filters {
  readonly #database: Database
  readonly #store: FiltersStore
  readonly #compiled: Cache<string, SyncFilter>

  constructor(needs: { readonly database: Database; readonly caches: CacheBudget }) {
    this.#database = needs.database
    this.#store = new FiltersStore(needs.database)
    this.#compiled = needs.caches.cache('filters', () => 2_000)
  }

  /**
   * Stores a filter; the same one again gets the same id.
   * @returns the filter's id, which never begins with a brace
   * @throws M_BAD_JSON, M_TOO_LARGE
   */
  async create(userId: UserId, filter: JsonObject): Promise<string> {
    compile(filter)
    const json = JSON.stringify(filter)
    if (Buffer.byteLength(json) > filterLimitBytes) throw refuse('M_TOO_LARGE', `A filter has at most ${filterLimitBytes} bytes.`)
    const hash = createHash('sha256').update(json).digest('base64url')
    const known = await this.#store.byHash(userId, hash)
    if (known !== undefined) return String(known)
    try {
      return String(await this.#database.transaction((tx) => this.#store.insert(tx, userId, hash, json, filtersLimit)))
    } catch (error) {
      // Another request stored a filter of the same user at the same time.
      if (isUniqueViolation(error)) return this.create(userId, filter)
      throw error
    }
  }

  /** A stored filter, JSON text. @throws M_NOT_FOUND */
  async require(userId: UserId, id: string): Promise<string> {
    const json = filterId.test(id) ? await this.#store.json(userId, Number(id)) : undefined
    if (json === undefined) throw refuse('M_NOT_FOUND', 'You have no filter of that id; create it again.')
    return json
  }

  /** A stored filter, compiled. @throws M_NOT_FOUND */
  async compiled(userId: UserId, id: string): Promise<SyncFilter> {
    const key = `${id} ${userId}`
    const cached = this.#compiled.get(key)
    if (cached) return cached
    const json: unknown = JSON.parse(await this.require(userId, id))
    const filter = compile(isObject(json) ? json : {})
    this.#compiled.set(key, filter)
    return filter
  }
}

/** @throws M_BAD_JSON */
function compile(json: JsonObject): SyncFilter {
  const parsing = checkFilter(json)
  if ('reason' in parsing) throw refuse('M_BAD_JSON', `The filter is not valid: ${parsing.reason}.`)
  return parsing.filter
}
