/**
 * Who created a room, as each room version says it.
 *
 * Spec: rooms/v1 to v10 (`content.creator`), rooms/v11 (the sender), rooms/v12 (`additional_creators`).
 */
import type { RoomEvent } from '../events/event.ts'
import { own } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'

const cache = new WeakMap<RoomEvent, ReadonlySet<string>>()
const none: ReadonlySet<string> = new Set()

/**
 * The creators of a room; more than one only where the room version has `additional_creators`.
 *
 * @param create the room's `m.room.create` event; without it nobody is a creator
 */
export function creatorsOf(version: RoomVersion, create: RoomEvent | undefined): ReadonlySet<string> {
  if (create === undefined) return none
  const known = cache.get(create)
  if (known !== undefined) return known
  const creators = readCreators(version, create)
  cache.set(create, creators)
  return creators
}

function readCreators(version: RoomVersion, create: RoomEvent): ReadonlySet<string> {
  if (version.creatorField) {
    const creator = own(create.content, 'creator')
    return typeof creator === 'string' ? new Set([creator]) : none
  }
  const creators = new Set<string>([create.sender])
  const additional = version.privilegedCreators ? own(create.content, 'additional_creators') : undefined
  if (Array.isArray(additional)) {
    for (const userId of additional) if (typeof userId === 'string') creators.add(userId)
  }
  return creators
}
