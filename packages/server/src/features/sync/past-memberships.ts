/** What a user was in a room at an earlier time. */
import { membershipOf, type Membership, type MembershipState } from '#engine/memberships.ts'
import type { SyncSources } from './sources.ts'

/** What a user was in a room at an earlier time. */
export interface Past {
  readonly membership: MembershipState
  /** Whether the user has joined since. */
  readonly joinedSince: boolean
}

/** Own membership events between two tokens that are followed back; beyond, the room counts as new. */
const maxMembershipSteps = 200

/** What the user was in the room at a place of the stream. */
export async function pastMembership(sources: Pick<SyncSources, 'events' | 'states'>, membership: Membership, position: number): Promise<Past> {
  const { events, states } = sources
  let { membership: state, streamOrdering, eventNid } = membership
  let joinedSince = false
  for (let step = 0; streamOrdering > position; step += 1) {
    joinedSince ||= state === 'join'
    const event = await events.byNid(eventNid)
    if (event?.stateRoot === undefined || step >= maxMembershipSteps) return { membership: 'leave', joinedSince }
    const previousNid = await states.nidOf(membership.room, event.stateRoot, 'm.room.member', membership.userId)
    const previous = previousNid === undefined ? undefined : await events.byNid(previousNid)
    if (!previous) return { membership: 'leave', joinedSince }
    state = membershipOf(previous) ?? 'leave'
    eventNid = previous.nid
    streamOrdering = previous.streamOrdering ?? position
  }
  return { membership: state, joinedSince }
}

/** Whether the user was joined to the room when a membership event ended that. */
export async function wasJoined(sources: Pick<SyncSources, 'events' | 'visibility'>, membership: Membership): Promise<boolean> {
  const event = await sources.events.byNid(membership.eventNid)
  if (event?.stateRoot === undefined) return false
  return (await sources.visibility.membershipIn(membership.room, event.stateRoot, membership.userId)) === 'join'
}
