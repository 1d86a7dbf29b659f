/**
 * Carries a user's new name and avatar into the rooms that they have joined.
 *
 * Spec: client-server API, "Profiles", "Events on Change of Profile Information".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { Logger } from '#platform/log/logger.ts'

/** What rooms show of a user. */
export interface RoomProfile {
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

interface Needs {
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly logger: Logger
}

/** Sends membership events in the background, one room after the other; the newest profile wins. */
export class ProfilePropagation {
  readonly #needs: Needs
  /** The profile that is to be sent next, by user whose rooms are being walked. */
  readonly #next = new Map<UserId, RoomProfile | undefined>()
  readonly #running = new Set<Promise<void>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Called when a user's display name or avatar has changed. */
  profileChanged(userId: UserId, profile: RoomProfile): void {
    const isWalking = this.#next.has(userId)
    this.#next.set(userId, profile)
    if (isWalking) return
    const run = this.#walk(userId).finally(() => this.#running.delete(run))
    this.#running.add(run)
  }

  /** Resolves once nothing is on its way. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async #walk(userId: UserId): Promise<void> {
    try {
      for (let profile = this.#next.get(userId); profile; profile = this.#next.get(userId)) {
        this.#next.set(userId, undefined)
        for (const room of await this.#needs.memberships.joinedRooms(userId)) {
          if (this.#next.get(userId)) break
          await this.#send(room, userId, profile)
        }
      }
    } catch (error) {
      this.#needs.logger.error('Could not bring a new profile to the rooms of its user.', { userId, error })
    } finally {
      this.#next.delete(userId)
    }
  }

  async #send(room: Room, userId: UserId, profile: RoomProfile): Promise<void> {
    try {
      await this.#needs.writer.propose(room, async (view) => {
        const member = await view.state('m.room.member', userId)
        if (!member || member.event.content['membership'] !== 'join') return []
        return [{ type: 'm.room.member', stateKey: userId, sender: userId, content: withProfile(member.event.content, profile) }]
      })
    } catch (error) {
      this.#needs.logger.warn('A room did not take a new profile.', { userId, room: room.id, error })
    }
  }
}

/** The content of a join with another profile; what belongs to the join that came before stays behind. */
function withProfile(content: JsonObject, profile: RoomProfile): JsonObject {
  const { displayname: _name, avatar_url: _avatar, reason: _reason, join_authorised_via_users_server: _via, third_party_invite: _invite, ...rest } = content
  return {
    ...rest,
    ...(profile.displayName === undefined ? {} : { displayname: profile.displayName }),
    ...(profile.avatarUrl === undefined ? {} : { avatar_url: profile.avatarUrl }),
  }
}
