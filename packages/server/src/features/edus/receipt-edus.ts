/**
 * Read receipts between servers; private ones stay here.
 *
 * Spec: server-server API, "Receipts".
 */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Receipt, Receipts } from '#features/receipts/receipts.ts'
import type { EduSending } from './sending.ts'

interface Needs {
  readonly serverName: ServerName
  readonly rooms: Rooms
  readonly roomServers: RoomServers
  readonly receipts: Receipts
  readonly sending: Pick<EduSending, 'sendEdu'>
  readonly logger: Logger
}

export class ReceiptEdus {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
    needs.receipts.stream.onAdvance((entries) => {
      for (const { row } of entries) this.#tell(row).catch((error: unknown) => needs.logger.error('Other servers could not be told what is read.', { error }))
    })
  }

  /** Takes in what a server says of its users; what does not fit is passed over. */
  async receive(origin: ServerName, content: JsonObject): Promise<void> {
    const { rooms, roomServers } = this.#needs
    for (const [roomId, types] of Object.entries(content)) {
      const read = isObject(types) ? own(types, 'm.read') : undefined
      const room = isObject(read) ? await rooms.get(roomId) : undefined
      if (!room || !isObject(read) || !(await roomServers.allows(room, origin))) continue
      for (const [userId, receipt] of Object.entries(read)) await this.#receiveOne(origin, room, userId, receipt)
    }
  }

  async #receiveOne(origin: ServerName, room: Room, userId: string, receipt: JsonValue | undefined): Promise<void> {
    if (!isUserId(userId) || serverOf(userId) !== origin || !isObject(receipt)) return
    const [eventIds, data] = [own(receipt, 'event_ids'), own(receipt, 'data')]
    const eventId = Array.isArray(eventIds) ? eventIds[0] : undefined
    const [ts, threadId] = isObject(data) ? [own(data, 'ts'), own(data, 'thread_id')] : []
    if (typeof eventId !== 'string' || typeof ts !== 'number') return
    await this.#needs.receipts.receive(room, userId, eventId, typeof threadId === 'string' ? threadId : undefined, ts)
  }

  async #tell({ roomNid, userId, type, eventId, threadId, ts }: Receipt): Promise<void> {
    if (type !== 'm.read' || serverOf(userId) !== this.#needs.serverName) return
    const room = await this.#needs.rooms.byNid(roomNid)
    const data = { ts, ...(threadId === undefined ? {} : { thread_id: threadId }) }
    const content = { [room.id]: { 'm.read': { [userId]: { event_ids: [eventId], data } } } }
    this.#needs.sending.sendEdu(await this.#needs.roomServers.others(room), { edu_type: 'm.receipt', content }, `receipt ${roomNid} ${userId} ${threadId ?? ''}`)
  }
}
