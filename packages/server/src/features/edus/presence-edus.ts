/**
 * Presence between servers.
 *
 * Spec: server-server API, "Presence".
 */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Clock } from '#platform/clock.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Presence, PresenceState, PresenceValue } from '#features/presence/presence.ts'
import type { EduSending } from './sending.ts'

interface Needs {
  readonly serverName: ServerName
  readonly clock: Clock
  readonly roomServers: RoomServers
  readonly presence: Presence
  readonly sending: Pick<EduSending, 'sendEdu'>
  readonly logger: Logger
}

const values: ReadonlyMap<JsonValue | undefined, PresenceValue> = new Map([['online', 'online'], ['unavailable', 'unavailable'], ['offline', 'offline']])

export class PresenceEdus {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
    needs.presence.stream.onAdvance((entries) => {
      for (const { row } of entries) this.#tell(row).catch((error: unknown) => needs.logger.error('Other servers could not be told who is there.', { error }))
    })
  }

  /** Takes in what a server says of its users; what does not fit is passed over. */
  async receive(origin: ServerName, content: JsonObject): Promise<void> {
    const push = own(content, 'push')
    for (const item of Array.isArray(push) ? push : []) {
      const state = isObject(item) ? this.#stateOf(origin, item) : undefined
      if (state) await this.#needs.presence.receive(state)
    }
  }

  #stateOf(origin: ServerName, item: JsonObject): PresenceState | undefined {
    const [userId, value, ago, statusMsg] = [own(item, 'user_id'), values.get(own(item, 'presence')), own(item, 'last_active_ago'), own(item, 'status_msg')]
    if (!isUserId(userId) || serverOf(userId) !== origin || value === undefined) return undefined
    const now = this.#needs.clock.now()
    return {
      userId, value, statusMsg: typeof statusMsg === 'string' ? statusMsg : undefined, currentlyActive: own(item, 'currently_active') === true,
      lastActiveTs: typeof ago === 'number' && Number.isSafeInteger(ago) && ago >= 0 ? Math.max(0, now - ago) : 0,
    }
  }

  async #tell({ userId, value, statusMsg, lastActiveTs, currentlyActive }: PresenceState): Promise<void> {
    const { serverName, clock, roomServers, sending } = this.#needs
    if (serverOf(userId) !== serverName) return
    const push = [{
      user_id: userId, presence: values.get(value) ?? 'online', last_active_ago: Math.max(0, clock.now() - lastActiveTs), currently_active: currentlyActive,
      ...(statusMsg === undefined ? {} : { status_msg: statusMsg }),
    }]
    sending.sendEdu(await roomServers.sharedWith(userId), { edu_type: 'm.presence', content: { push } }, `presence ${userId}`)
  }
}
