/**
 * Notices of the server to its users, each in a room of their own.
 *
 * Spec: client-server API, "Server Notices"; option `server_notices`.
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { EventId, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Proposal, RoomWriter } from '#engine/room-writer.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { inNameOf, type Requester } from '#platform/http/requester.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import type { Profiles } from '#features/profiles/profiles.ts'
import type { NoticeRooms } from './notice-rooms.ts'

export { NoticeRooms } from './notice-rooms.ts'

/** Who speaks, and what the rooms look like; URLs of avatars are `mxc://`. */
export interface NoticeRules {
  readonly sender: UserId
  readonly displayName: string
  readonly avatarUrl: string | null
  readonly roomName: string
  readonly roomAvatarUrl: string | null
  readonly roomTopic: string | null
  /** Users are joined instead of invited. */
  readonly autoJoin: boolean
}

/** What is said. */
export interface Notice {
  readonly type: string
  /** Undefined for events that are no state. */
  readonly stateKey: string | undefined
  readonly content: JsonObject
}

type AlongWithEvent = (tx: Tx, event: StoredEvent) => Promise<void>

/** What a room of notices is made of. */
interface NewRoom {
  readonly preset: string
  readonly creation_content: JsonObject
  readonly power_level_content_override: JsonObject
}

interface Needs {
  /** Undefined where the server sends no notices. */
  readonly rules: NoticeRules | undefined
  readonly database: Database
  readonly accounts: Pick<Accounts, 'get' | 'exists' | 'isLocal' | 'create'>
  readonly profiles: Pick<Profiles, 'create' | 'set' | 'displayNameAndAvatar'>
  readonly rooms: Rooms
  readonly noticeRooms: NoticeRooms
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly roomCreation: { create(requester: Requester, request: NewRoom, wishes: { readonly unencrypted: true }): Promise<RoomId> }
  readonly membership: {
    memberContent(userId: UserId, content: JsonObject): Promise<JsonObject>
    join(requester: Requester, room: Room, content: JsonObject): Promise<void>
  }
  readonly messages: {
    send(requester: Requester, roomId: RoomId, message: { readonly type: string; readonly content: JsonObject; readonly txnId: undefined }, also?: AlongWithEvent): Promise<EventId>
    setState(requester: Requester, roomId: RoomId, change: { readonly type: string; readonly stateKey: string; readonly content: JsonObject }, also?: AlongWithEvent): Promise<EventId>
  }
  readonly tags: {
    of(userId: UserId, roomId: RoomId): Promise<JsonObject>
    put(userId: UserId, roomId: RoomId, tag: string, content: JsonObject): Promise<void>
  }
  readonly logger: Logger
}

const tag = 'm.server_notice'
/** Below everything that a room allows: only the server writes. */
const powerOfUsers = -10

export class ServerNotices {
  readonly #needs: Needs
  /** The turn of each user: two notices at once must not make two rooms. */
  readonly #turns = new Map<UserId, Promise<unknown>>()

  private constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Opens notices; the user who sends them has an account before anybody else can register the name. */
  static async open(needs: Needs): Promise<ServerNotices> {
    const notices = new ServerNotices(needs)
    if (needs.rules) await notices.#prepareSender(needs.rules)
    return notices
  }

  /** Whether the server sends notices. */
  get isEnabled(): boolean {
    return this.#needs.rules !== undefined
  }

  /**
   * Tells a user something.
   * @param also what is written with the notice or not at all
   * @returns the notice's event id
   * @throws M_UNKNOWN (400) where the server sends no notices, M_INVALID_PARAM for a user of another server, M_NOT_FOUND, M_TOO_LARGE, M_BAD_JSON
   */
  async send(userId: UserId, notice: Notice, also?: AlongWithEvent): Promise<EventId> {
    const { rules, accounts, messages } = this.#needs
    if (!rules) throw new MatrixError(400, 'M_UNKNOWN', 'Server notices are not enabled on this server')
    if (!accounts.isLocal(userId)) throw refuse('M_INVALID_PARAM', 'Notices can be sent to users of this server only.')
    const account = await accounts.get(userId)
    if (!account || account.isDeactivated) throw refuse('M_NOT_FOUND', `There is no user ${userId} on this server.`)
    const room = await this.#inTurn(userId, () => this.#roomOf(userId, account.isGuest, rules))
    const { type, stateKey, content } = notice
    const sender = inNameOf(rules.sender)
    if (stateKey === undefined) return messages.send(sender, room.id, { type, content, txnId: undefined }, also)
    return messages.setState(sender, room.id, { type, stateKey, content }, also)
  }

  async #prepareSender({ sender, displayName, avatarUrl }: NoticeRules): Promise<void> {
    const { accounts, profiles, database, logger } = this.#needs
    if (!(await accounts.exists(sender))) {
      await database.transaction(async (tx) => {
        await accounts.create(tx, { userId: sender })
        await profiles.create(tx, sender, displayName)
      })
    }
    try {
      const current = await profiles.displayNameAndAvatar(sender)
      if (current.displayName !== displayName) await profiles.set(sender, 'displayname', displayName)
      if (current.avatarUrl !== (avatarUrl ?? undefined)) await profiles.set(sender, 'avatar_url', avatarUrl ?? '')
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      logger.warn('The name or avatar of server_notices cannot be used.', { error })
    }
  }

  /** The user's room, with the user in it or invited, as it is configured now. */
  async #roomOf(userId: UserId, isGuest: boolean, rules: NoticeRules): Promise<Room> {
    const { noticeRooms, rooms, roomCreation } = this.#needs
    const room = (await noticeRooms.of(userId)) ?? (await rooms.require(await roomCreation.create(inNameOf(rules.sender), {
      preset: 'private_chat',
      creation_content: { 'm.federate': false },
      power_level_content_override: { users_default: powerOfUsers },
    }, { unencrypted: true })))
    await this.#decorate(room, rules)
    await this.#admit(userId, isGuest, room, rules)
    return room
  }

  async #decorate(room: Room, { sender, roomName, roomAvatarUrl, roomTopic }: NoticeRules): Promise<void> {
    const wanted: readonly (readonly [type: string, field: string, value: string | null, content: JsonObject])[] = [
      ['m.room.name', 'name', roomName, { name: roomName }],
      ['m.room.avatar', 'url', roomAvatarUrl, { url: roomAvatarUrl ?? '' }],
      ['m.room.topic', 'topic', roomTopic, { topic: roomTopic ?? '', 'm.topic': { 'm.text': [{ body: roomTopic ?? '' }] } }],
    ]
    await this.#needs.writer.propose(room, async (view) => {
      const changes: Proposal[] = []
      for (const [type, field, value, content] of wanted) {
        const current = (await view.state(type, ''))?.event.content
        if ((current && own(current, field)) !== (value ?? undefined)) changes.push({ type, stateKey: '', sender, content })
      }
      return changes
    })
  }

  /** Tags the room before the invite, so that clients know at once what they are invited to. */
  async #admit(userId: UserId, isGuest: boolean, room: Room, { sender, autoJoin }: NoticeRules): Promise<void> {
    const { tags, memberships, membership, writer } = this.#needs
    if (!Object.hasOwn(await tags.of(userId, room.id), tag)) await tags.put(userId, room.id, tag, {})
    if ((await memberships.of(room, userId))?.membership === 'join') return
    const content = await membership.memberContent(userId, { membership: 'invite' })
    // Not by the endpoint's rules for invites: users cannot refuse those of the server.
    await writer.propose(room, async (view) => {
      const current = (await view.state('m.room.member', userId))?.event.content
      const isPresent = current !== undefined && ['invite', 'join'].includes(String(own(current, 'membership')))
      return isPresent ? [] : [{ type: 'm.room.member', stateKey: userId, sender, content }]
    })
    if (autoJoin) await membership.join(inNameOf(userId, isGuest), room, {})
  }

  async #inTurn<Result>(userId: UserId, work: () => Promise<Result>): Promise<Result> {
    const earlier = this.#turns.get(userId)
    const run = earlier ? earlier.then(work, work) : work()
    this.#turns.set(userId, run)
    try {
      return await run
    } finally {
      if (this.#turns.get(userId) === run) this.#turns.delete(userId)
    }
  }
}
