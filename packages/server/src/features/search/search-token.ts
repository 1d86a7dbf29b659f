/** Tokens from which a search goes on: where the page before ended, and in which group. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { TextHit } from '#platform/db/text-index.ts'

export type SearchOrder = 'recent' | 'rank'
export type GroupKey = 'room_id' | 'sender'

/** A group of results. */
export interface Group {
  readonly key: GroupKey
  /** Room id or user id. */
  readonly value: string
}

/** Where a search goes on. */
export interface SearchPlace {
  readonly order: SearchOrder
  /** Later events do not exist for the search, so that its pages fit together. */
  readonly upTo: number
  /** Approximate number of results of the first page. */
  readonly count: number
  /** The last hit that was looked at. */
  readonly after: TextHit
  /** Only results that are in each of these groups. */
  readonly groups: readonly Group[]
}

const longestToken = 2000

/** The token of a place. */
export function formatSearchToken({ order, upTo, count, after, groups }: SearchPlace): string {
  const parts = [order, upTo, count, after.id, after.length, ...groups.flatMap(({ key, value }) => [key, value])]
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/** The place of a token. @throws M_INVALID_PARAM */
export function parseSearchToken(token: string): SearchPlace {
  const json = token.length <= longestToken && /^[\w-]+$/.test(token) ? jsonOf(Buffer.from(token, 'base64url').toString()) : undefined
  const [order, upTo, count, id, length, ...rest]: readonly unknown[] = Array.isArray(json) ? json : []
  const groups = groupsFrom(rest)
  if ((order !== 'recent' && order !== 'rank') || !isInteger(upTo) || !isInteger(count) || !isInteger(id) || !isInteger(length) || !groups) {
    throw refuse('M_INVALID_PARAM', 'The parameter next_batch is not one that this server gave out; begin without it.')
  }
  return { order, upTo, count, after: { id, length }, groups }
}

/** Pairs of key and value, each key once; undefined where they are something else. */
function groupsFrom(parts: readonly unknown[]): Group[] | undefined {
  const groups: Group[] = []
  for (let index = 0; index < parts.length; index += 2) {
    const [key, value] = [parts[index], parts[index + 1]]
    if (!isGroupKey(key) || typeof value !== 'string' || groups.some((group) => group.key === key)) return undefined
    groups.push({ key, value })
  }
  return groups
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

function isGroupKey(key: unknown): key is GroupKey {
  return key === 'room_id' || key === 'sender'
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
