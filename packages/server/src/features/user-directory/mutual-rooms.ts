/**
 * Rooms that two users have both joined.
 *
 * Spec: client-server API, "Mutual Rooms".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import type { Memberships } from '#engine/memberships.ts'

/** A page of mutual rooms. */
export interface MutualRoomsPage {
  readonly joined: RoomId[]
  readonly count: number
  readonly next_batch?: string
}

const pageSize = 100

/**
 * The rooms that both have joined, by id.
 * @param from the token of the previous page
 * @throws M_INVALID_PARAM
 */
export async function mutualRooms(memberships: Memberships, userId: UserId, other: string, from: string | undefined): Promise<MutualRoomsPage> {
  if (other === userId) throw refuse('M_INVALID_PARAM', 'Ask for the rooms that you share with somebody else.')
  if (!isUserId(other)) throw refuse('M_INVALID_PARAM', `"${other}" is not a user id; it has the form @name:server.`)
  const after = from === undefined ? '' : Buffer.from(from, 'base64url').toString()
  if (from !== undefined && !after.startsWith('!')) throw refuse('M_INVALID_PARAM', 'The token in "from" is not one that this server gave out.')
  const theirs = await memberships.ofUser(other)
  const shared = (await memberships.joinedRooms(userId)).filter((room) => theirs.get(room.nid)?.membership === 'join').map((room) => room.id).sort()
  const rest = shared.filter((roomId) => roomId > after)
  const joined = rest.slice(0, pageSize)
  const last = joined.at(-1)
  return { joined, count: shared.length, ...(last !== undefined && rest.length > pageSize ? { next_batch: Buffer.from(last).toString('base64url') } : {}) }
}
