/**
 * The filter that a request names or brings.
 *
 * Spec: client-server API, "Filtering".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { checkFilter } from '@myelin/protocol/filters/check-filter.ts'
import { noFilter, type SyncFilter } from '@myelin/protocol/filters/sync-filter.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { FilterSource } from './sources.ts'

export class SyncFilters {
  readonly #stored: FilterSource
  readonly #inline: Cache<string, SyncFilter>

  constructor(needs: { readonly caches: CacheBudget; readonly filters: FilterSource }) {
    this.#stored = needs.filters
    this.#inline = needs.caches.cache('inline_filters', (filter) => 2000 + 4 * JSON.stringify(filter.json).length)
  }

  /**
   * The compiled filter of a request.
   * @param text a filter's id, a JSON object, or nothing
   * @throws M_INVALID_PARAM for an id that does not exist, M_NOT_JSON, M_BAD_JSON
   */
  async of(userId: UserId, text: string | undefined): Promise<SyncFilter> {
    if (text === undefined || text === '') return noFilter
    if (!text.startsWith('{')) return this.#named(userId, text)
    const known = this.#inline.get(text)
    if (known) return known
    const filter = compile(text)
    this.#inline.set(text, filter)
    return filter
  }

  async #named(userId: UserId, filterId: string): Promise<SyncFilter> {
    try {
      return await this.#stored.compiled(userId, filterId)
    } catch (error) {
      if (error instanceof MatrixError && error.errcode === 'M_NOT_FOUND') {
        throw refuse('M_INVALID_PARAM', 'You have stored no filter with that id; store it again.')
      }
      throw error
    }
  }
}

function compile(text: string): SyncFilter {
  const json = parseJson(text)
  if ('reason' in json) throw refuse(json.errcode, `The parameter "filter" begins with a brace and is no filter: ${json.reason}.`)
  const parsing = checkFilter(json.value)
  if ('reason' in parsing) throw refuse('M_BAD_JSON', `The filter is not valid: ${parsing.reason}.`)
  return parsing.filter
}
