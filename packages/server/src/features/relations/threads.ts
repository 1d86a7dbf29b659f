/**
 * The threads of a room, by their latest events.
 *
 * Spec: client-server API, "Querying threads in a room".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomId } from '@myelin/protocol/ids/ids.ts'
import type { ClientEvents } from '#engine/client-events.ts'
import type { Events } from '#engine/events.ts'
import { redactedEvent } from '#engine/redacted-event.ts'
import type { RoomAccess } from '#engine/room-access.ts'
import { formatRoomPoint, requireRoomPoint } from '#engine/room-point.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Visibility, VisibleEvent } from '#engine/visibility.ts'
import type { Requester } from '#platform/http/requester.ts'
import { threadSummary, type IgnoredUsers } from './aggregations.ts'
import type { Relations } from './relations.ts'
import type { ThreadRow } from './relations.store.ts'

interface Needs {
  readonly rooms: Rooms
  readonly events: Events
  readonly access: RoomAccess
  readonly visibility: Visibility
  readonly clientEvents: ClientEvents
  readonly ignoredUsers: IgnoredUsers
  readonly relations: Relations
}

/** A request for threads. */
export interface ThreadsRequest {
  readonly participatedOnly: boolean
  readonly limit: number
  readonly from: string | undefined
}

const maxLimit = 100
const maxRounds = 20

export class Threads {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** A page of thread roots as JSON texts. @throws M_FORBIDDEN, M_INVALID_PARAM */
  async list(requester: Requester, roomId: RoomId, request: ThreadsRequest): Promise<{ chunk: string[]; nextBatch: string | undefined }> {
    const room = await this.#needs.rooms.get(roomId)
    if (!room) throw refuse('M_FORBIDDEN', 'You are not in the room, or it does not exist.')
    await this.#needs.access.assertReadable(room, requester.userId)
    const ignored = await this.#needs.ignoredUsers.ignoredBy(requester.userId)
    const limit = Math.min(maxLimit, Math.max(1, request.limit))
    let before = request.from === undefined ? undefined : requireRoomPoint(request.from)
    const shown: VisibleEvent[] = []
    let isComplete = false
    for (let round = 0; round < maxRounds && shown.length < limit && !isComplete; round += 1) {
      const size = limit - shown.length
      const rows = await this.#needs.relations.store.threads(room.nid, before, size)
      shown.push(...(await this.#visible(requester, room, rows, ignored, request.participatedOnly)))
      const last = rows.at(-1)
      if (last) before = { topological: last.topological_ordering, stream: last.stream_ordering }
      isComplete = rows.length < size
    }
    const chunk = await this.#needs.clientEvents.format({ userId: requester.userId, deviceId: requester.deviceId }, shown)
    return { chunk, nextBatch: isComplete || !before ? undefined : formatRoomPoint(before) }
  }

  /** Those of the roots that the user may read and whose thread is not empty for the user. */
  async #visible(requester: Requester, room: Room, rows: readonly ThreadRow[], ignored: ReadonlySet<string>, participatedOnly: boolean): Promise<VisibleEvent[]> {
    const loaded = await this.#needs.events.byNids(rows.map((row) => row.event_nid))
    const roots = rows.flatMap((row) => loaded.get(row.event_nid) ?? [])
    const children = await this.#needs.relations.children.of(room, roots)
    const wanted = roots.filter((root) => {
      const own = children.get(root.event.eventId)
      const summary = own && threadSummary(root, own, requester.userId, ignored)
      return summary !== undefined && (!participatedOnly || summary.participated)
    })
    const visible = await this.#needs.visibility.filter(requester.userId, wanted)
    return visible.map(({ event, membership }) => ({ event: ignored.has(event.event.sender) ? redactedEvent(event) : event, membership }))
  }
}
