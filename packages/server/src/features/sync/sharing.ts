/**
 * Who began or ceased to share a room with a user between two moments: of them a client must learn presence and device lists.
 *
 * Spec: client-server API, "Extensions to /sync" of end-to-end encryption.
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { membershipOf, type Membership } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { pastMembership } from './past-memberships.ts'
import type { SyncSources } from './sources.ts'

/** Who began or ceased to share a room with the user since the token. */
export interface SharingChanges {
  /** False where memory does not reach back far enough to tell. */
  readonly isKnown: boolean
  readonly joinedRooms: readonly Room[]
  readonly leftRooms: readonly Room[]
  readonly joined: ReadonlySet<UserId>
  readonly departed: ReadonlySet<UserId>
}

/** Nobody moved. */
export const noSharingChanges: SharingChanges = { isKnown: true, joinedRooms: [], leftRooms: [], joined: new Set(), departed: new Set() }

type Sources = Pick<SyncSources, 'events' | 'states' | 'visibility'>

/** Other users who came to or went from the user's rooms, by the events since a moment. */
export async function othersWhoMoved(
  sources: Pick<SyncSources, 'visibility'>, userId: string, events: ReadonlyMap<number, readonly StoredEvent[]> | undefined,
  memberships: ReadonlyMap<number, Membership>,
): Promise<Pick<SharingChanges, 'joined' | 'departed'>> {
  const joined = new Set<UserId>()
  const departed = new Set<UserId>()
  for (const [nid, list] of events ?? []) {
    if (memberships.get(nid)?.membership !== 'join') continue
    for (const event of list) {
      const { type, stateKey } = event.event
      if (type !== 'm.room.member' || stateKey === undefined || stateKey === userId || event.stateRoot === undefined) continue
      const before = await sources.visibility.membershipIn(event.room, event.stateRoot, stateKey)
      const after = membershipOf(event)
      if (after === 'join' && before !== 'join') joined.add(stateKey as UserId)
      if (after !== 'join' && before === 'join') departed.add(stateKey as UserId)
    }
  }
  return { joined, departed }
}

/**
 * Who moved since a place of the stream, the user included.
 * @param events the events since then by room, undefined where memory does not have them
 */
export async function sharingSince(
  sources: Sources, userId: string, events: ReadonlyMap<number, readonly StoredEvent[]> | undefined,
  memberships: ReadonlyMap<number, Membership>, since: number,
): Promise<SharingChanges> {
  if (!events) return { ...noSharingChanges, isKnown: false }
  if (events.size === 0) return noSharingChanges
  const joinedRooms: Room[] = []
  const leftRooms: Room[] = []
  for (const nid of events.keys()) {
    const membership = memberships.get(nid)
    if (!membership || membership.streamOrdering <= since) continue
    const isJoined = membership.membership === 'join'
    const wasJoined = (await pastMembership(sources, membership, since)).membership === 'join'
    if (isJoined && !wasJoined) joinedRooms.push(membership.room)
    if (!isJoined && wasJoined) leftRooms.push(membership.room)
  }
  return { isKnown: true, joinedRooms, leftRooms, ...(await othersWhoMoved(sources, userId, events, memberships)) }
}
