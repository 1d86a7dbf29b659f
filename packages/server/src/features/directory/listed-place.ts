/**
 * Places in the directory: the largest rooms first, rooms of one size by their ids. A page's token is a place, so that pages stay in step while rooms
 * come and go.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Room } from '#engine/room.ts'

/** A place between two rooms of the list, and in which direction to go from it. */
export interface Place {
  readonly direction: 'next' | 'previous'
  readonly joinedMembers: number
  readonly roomId: string
}

/** Below zero where `a` comes first. */
export function comparePlaces(a: Omit<Place, 'direction'>, b: Omit<Place, 'direction'>): number {
  if (a.joinedMembers !== b.joinedMembers) return b.joinedMembers - a.joinedMembers
  if (a.roomId === b.roomId) return 0
  return a.roomId < b.roomId ? -1 : 1
}

/** The token of the place of a room. */
export function formatPlace(direction: Place['direction'], { joinedMembers, room }: { readonly joinedMembers: number; readonly room: Room }): string {
  return Buffer.from(JSON.stringify([direction, joinedMembers, room.id])).toString('base64url')
}

/** @throws M_INVALID_PARAM for a token that this server did not give out */
export function parsePlace(token: string): Place {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString())
    if (Array.isArray(value)) {
      const [direction, joinedMembers, roomId]: unknown[] = value
      if ((direction === 'next' || direction === 'previous') && typeof joinedMembers === 'number' && typeof roomId === 'string') {
        return { direction, joinedMembers, roomId }
      }
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw refuse('M_INVALID_PARAM', 'The token in "since" is not one that this server gave out; begin without a token.')
}
