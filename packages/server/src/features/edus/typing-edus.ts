/**
 * Typing notifications between servers.
 *
 * Spec: server-server API, "Typing Notifications".
 */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Typing, TypingRow } from '#features/typing/typing.ts'
import type { EduSending } from './sending.ts'

interface Needs {
  readonly serverName: ServerName
  readonly rooms: Rooms
  readonly roomServers: RoomServers
  readonly typing: Typing
  readonly sending: Pick<EduSending, 'sendEdu'>
  readonly logger: Logger
}

export class TypingEdus {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
    needs.typing.stream.onAdvance((entries) => {
      for (const { row } of entries) this.#tell(row).catch((error: unknown) => needs.logger.error('Other servers could not be told who types.', { error }))
    })
  }

  /** Takes in what a server says of its user. */
  async receive(origin: ServerName, content: JsonObject): Promise<void> {
    const { rooms, roomServers, typing } = this.#needs
    const [roomId, userId] = [own(content, 'room_id'), own(content, 'user_id')]
    if (typeof roomId !== 'string' || !isUserId(userId) || serverOf(userId) !== origin) return
    const room = await rooms.get(roomId)
    if (room && (await roomServers.allows(room, origin))) await typing.receive(room, userId, own(content, 'typing') === true)
  }

  async #tell({ roomNid, userId, typing }: TypingRow): Promise<void> {
    if (serverOf(userId) !== this.#needs.serverName) return
    const room = await this.#needs.rooms.byNid(roomNid)
    const content = { room_id: room.id, user_id: userId, typing }
    this.#needs.sending.sendEdu(await this.#needs.roomServers.others(room), { edu_type: 'm.typing', content }, `typing ${roomNid} ${userId}`)
  }
}
