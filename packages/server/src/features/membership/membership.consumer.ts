/**
 * What follows by itself from events of rooms: guests leave rooms that no longer take guests, and invites are accepted where the operator wants that.
 *
 * Spec: client-server API, "Guest access"; option `auto_accept_invites`.
 */
import { MatrixError } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { own } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import type { EventsWork } from '#engine/events-consumer.ts'
import { membershipOf, type Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Membership } from './membership.ts'

/** Which invites are accepted at once. */
export interface InviteAcceptance {
  readonly isEnabled: boolean
  readonly onlyForDirectMessages: boolean
  readonly onlyFromLocalUsers: boolean
}

/** What accounts tell of users. */
export interface MemberAccounts {
  get(userId: string): Promise<{
    readonly isGuest: boolean
    readonly isDeactivated: boolean
    readonly isLocked: boolean
    readonly isSuspended: boolean
  } | undefined>
}

interface Needs {
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly membership: Membership
  readonly accounts: MemberAccounts
  readonly acceptance: InviteAcceptance
  readonly logger: Logger
}

export class MembershipConsequences implements EventsWork {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async process(events: readonly StoredEvent[]): Promise<((tx: unknown) => Promise<void>) | undefined> {
    let acted = false
    for (const event of events) {
      if (event.rejected || event.softFailed || event.event.stateKey === undefined) continue
      if (event.event.type === 'm.room.guest_access' && event.event.stateKey === '') acted = (await this.#guestAccess(event.room)) || acted
      else if (event.event.type === 'm.room.member') acted = (await this.#invited(event)) || acted
    }
    return acted ? async () => undefined : undefined
  }

  /** Takes guests of this server out of a room that forbids them now. */
  async #guestAccess(room: Room): Promise<boolean> {
    const access = contentString(await (await this.#needs.writer.view(room)).state('m.room.guest_access', ''), 'guest_access')
    if (access === 'can_join') return false
    let acted = false
    for (const { userId, membership } of [...(await this.#needs.memberships.ofRoom(room)).values()]) {
      if ((membership !== 'join' && membership !== 'invite') || !this.#needs.memberships.isLocal(userId)) continue
      if (!(await this.#needs.accounts.get(userId))?.isGuest) continue
      await this.#attempt('A guest could not be taken out of a room that forbids guests.', room, userId, () => this.#needs.membership.leave({ userId }, room))
      acted = true
    }
    return acted
  }

  /** Accepts an invite of a user of this server, where it still stands. */
  async #invited(event: StoredEvent): Promise<boolean> {
    const { acceptance, memberships, accounts } = this.#needs
    if (!acceptance.isEnabled || membershipOf(event) !== 'invite') return false
    const userId = event.event.stateKey as UserId
    if (!memberships.isLocal(userId)) return false
    if (acceptance.onlyForDirectMessages && own(event.event.content, 'is_direct') !== true) return false
    if (acceptance.onlyFromLocalUsers && !memberships.isLocal(event.event.sender)) return false
    const account = await accounts.get(userId)
    if (!account || account.isDeactivated || account.isLocked || account.isSuspended) return false
    if ((await memberships.of(event.room, userId))?.eventNid !== event.nid) return false
    await this.#attempt('An invite could not be accepted on behalf of its user.', event.room, userId, () =>
      this.#needs.membership.enter({
        userId, deviceId: undefined, accessTokenId: undefined, appserviceId: undefined,
        isGuest: account.isGuest, isAdmin: false, isSuspended: false, isLocked: false, rateLimited: false,
      }, { roomId: event.room.id, servers: [] }, {}))
    return true
  }

  /** A refusal of the room is told to the operator; other failures stop the batch, which is tried again. */
  async #attempt(message: string, room: Room, userId: UserId, change: () => Promise<unknown>): Promise<void> {
    try {
      await change()
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      this.#needs.logger.warn(message, { userId, room: room.id, error })
    }
  }
}
