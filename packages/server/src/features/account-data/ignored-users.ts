/**
 * Reads the list of users whom a user ignores.
 *
 * Spec: client-server API, "Ignoring Users", `m.ignored_user_list`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { parseUserId } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'

export const ignoredUserListType = 'm.ignored_user_list'

/** More ignored users than this are refused. */
const ignoredUsersLimit = 10_000

/** The users that a list names: user ids only, and never the list's owner. @throws M_TOO_LARGE */
export function ignoredUsersOf(owner: UserId, content: JsonObject): ReadonlySet<string> {
  const list = own(content, 'ignored_users')
  const ignored = new Set<string>()
  if (!isObject(list)) return ignored
  for (const userId of Object.keys(list)) if (userId !== owner && !userId.includes('\0') && parseUserId(userId)) ignored.add(userId)
  if (ignored.size > ignoredUsersLimit) throw refuse('M_TOO_LARGE', `No more than ${ignoredUsersLimit} users can be ignored; take some from the list.`)
  return ignored
}
