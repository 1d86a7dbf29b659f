/**
 * Sending events, setting state, redacting.
 *
 * Spec: client-server API, "Sending events to a room", "Redactions".
 */
import { powerLevelsOf } from '@myelin/protocol/auth/power-levels.ts'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { EventId, RoomAlias, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Events } from '#engine/events.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Proposal, RoomView, RoomWriter } from '#engine/room-writer.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { TransactionIds, Transaction } from './transaction-ids.ts'

/** Rules about relations that sending must follow. */
export interface RelationPolicy {
  /** @throws M_DUPLICATE_ANNOTATION, M_BAD_JSON, M_UNKNOWN */
  assertMaySend(room: Room, sender: UserId, type: string, content: JsonObject): Promise<void>
}

/** What an alias points to. */
export interface AliasTargets {
  resolve(alias: RoomAlias): Promise<{ readonly roomId: RoomId } | undefined>
}

/** Rules about memberships that are set as state. */
export interface MemberPolicy {
  /** Gives the content to send. @throws M_GUEST_ACCESS_FORBIDDEN, M_FORBIDDEN, M_INVITE_BLOCKED, M_LIMIT_EXCEEDED */
  memberState(requester: Requester, room: Room, stateKey: string, content: JsonObject): Promise<JsonObject>
}

/** Who is told that somebody is at the keyboard. */
export interface Activity {
  active(userId: UserId, deviceId: string | undefined): void
}

interface Needs {
  readonly activity: Activity
  readonly rooms: Rooms
  readonly events: Events
  readonly writer: RoomWriter
  readonly limits: Pick<RateLimits, 'consume'>
  readonly transactions: TransactionIds
  readonly relationPolicy: RelationPolicy
  readonly memberPolicy: MemberPolicy
  readonly aliases: AliasTargets
  /** Whether `rc_admin_redaction` is configured; else redactions count as messages. */
  readonly adminRedactionLimited: boolean
}

/** An event to be sent. */
export interface Message {
  readonly type: string
  readonly content: JsonObject
  /** Undefined where the client gives none, and a repetition is another event. */
  readonly txnId: string | undefined
}

/** State to be set. */
export interface StateChange {
  readonly type: string
  readonly stateKey: string
  readonly content: JsonObject
}

export class Messages {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Sends a message event; durable when it resolves.
   * @throws M_FORBIDDEN, M_TOO_LARGE, M_BAD_JSON, M_DUPLICATE_ANNOTATION, M_LIMIT_EXCEEDED
   */
  async send(requester: Requester, roomId: RoomId, message: Message): Promise<EventId> {
    const room = await this.#needs.rooms.require(roomId)
    const { type, content } = message
    if (type === 'm.room.redaction') return this.#redactBySend(requester, room, message)
    return this.#once(requester, room, 'send', message.txnId, async (extra) => {
      this.#charge(requester, 'rc_message')
      this.#needs.activity.active(requester.userId, requester.deviceId)
      if (Object.hasOwn(content, 'm.relates_to')) await this.#needs.relationPolicy.assertMaySend(room, requester.userId, type, content)
      return this.#propose(room, [{ type, sender: requester.userId, content }], extra)
    })
  }

  /** Sets state; setting what is already set gives the event that set it. @throws M_FORBIDDEN, M_TOO_LARGE, M_BAD_ALIAS */
  async setState(requester: Requester, roomId: RoomId, change: StateChange): Promise<EventId> {
    const room = await this.#needs.rooms.require(roomId)
    this.#charge(requester, 'rc_message')
    const { type, stateKey, content } = change
    if (type === 'm.room.create') throw refuse('M_FORBIDDEN', 'A room has one m.room.create event, made with the room.')
    if (type === 'm.room.canonical_alias') {
      return this.#propose(room, async (view) => {
        await this.#assertAliases(view, content)
        return [{ type, stateKey, sender: requester.userId, content }]
      })
    }
    const checked = type === 'm.room.member' ? await this.#needs.memberPolicy.memberState(requester, room, stateKey, content) : content
    return this.#propose(room, [{ type, stateKey, sender: requester.userId, content: checked }])
  }

  /** Redacts an event of the room. @throws M_FORBIDDEN, M_NOT_FOUND */
  async redact(requester: Requester, roomId: RoomId, eventId: EventId, txnId: string | undefined, content: JsonObject): Promise<EventId> {
    const room = await this.#needs.rooms.require(roomId)
    return this.#once(requester, room, 'redact', txnId, (extra) => this.#redact(requester, room, eventId, content, extra))
  }

  #redactBySend(requester: Requester, room: Room, message: Message): Promise<EventId> {
    const { redacts, ...content } = message.content
    if (typeof redacts !== 'string') throw refuse('M_BAD_JSON', 'A redaction needs "redacts", the id of the event to redact, in its content.')
    return this.#once(requester, room, 'send', message.txnId, (extra) => this.#redact(requester, room, redacts as EventId, content, extra))
  }

  async #redact(requester: Requester, room: Room, eventId: EventId, content: JsonObject, extra: Extra | undefined): Promise<EventId> {
    const target = await this.#needs.events.get(room, eventId)
    if (!target || target.rejected) throw refuse('M_NOT_FOUND', 'The room has no such event.')
    const isOwn = target.event.sender === requester.userId
    this.#charge(requester, !isOwn && this.#needs.adminRedactionLimited ? 'rc_admin_redaction' : 'rc_message')
    return this.#propose(room, async (view) => {
      if (!isOwn) await assertMayRedactOthers(view, requester.userId)
      return [{ type: 'm.room.redaction', sender: requester.userId, content, redacts: eventId }]
    }, extra)
  }

  /** Runs a request of a device once, recording it with its event. */
  #once(
    requester: Requester, room: Room, kind: 'send' | 'redact', txnId: string | undefined, send: (extra: Extra | undefined) => Promise<EventId>,
  ): Promise<EventId> {
    if (txnId === undefined) return send(undefined)
    if (txnId.length > 255) throw refuse('M_INVALID_PARAM', 'The transaction id is longer than 255 characters.')
    const device = requester.deviceId ?? `token ${requester.accessTokenId ?? requester.appserviceId ?? ''}`
    const transaction: Transaction = { userId: requester.userId, device, roomNid: room.nid, kind, txnId }
    return this.#needs.transactions.once(transaction, () => send(transaction))
  }

  async #propose(room: Room, proposals: readonly Proposal[] | ((view: RoomView) => Promise<readonly Proposal[]>), transaction?: Extra): Promise<EventId> {
    const { transactions, writer } = this.#needs
    const [event] = await writer.propose(room, proposals, transaction
      ? { extra: async (tx, events) => { if (events[0]) await transactions.record(tx, transaction, events[0]) } }
      : {})
    if (!event) throw new MatrixError(500, 'M_UNKNOWN', 'Nothing was sent.')
    return event.event.eventId
  }

  #charge(requester: Requester, limit: string): void {
    if (requester.rateLimited) this.#needs.limits.consume(limit, requester.userId)
  }

  /** Aliases that are newly listed must point to the room. */
  async #assertAliases(view: RoomView, content: JsonObject): Promise<void> {
    const before = (await view.state('m.room.canonical_alias', ''))?.event.content
    const known = new Set(before ? aliasesOf(before) : [])
    const alternatives = own(content, 'alt_aliases')
    if (alternatives !== undefined && !Array.isArray(alternatives)) throw refuse('M_INVALID_PARAM', '"alt_aliases" must be a list of aliases.')
    for (const alias of aliasesOf(content)) {
      if (known.has(alias)) continue
      if (!/^#[^:\0]+:.+$/.test(alias)) throw refuse('M_INVALID_PARAM', `"${alias}" is not a room alias; it has the form #name:server.`)
      const target = await this.#needs.aliases.resolve(alias as RoomAlias)
      if (target?.roomId !== view.room.id) throw refuse('M_BAD_ALIAS', `The alias ${alias} does not point to this room.`)
    }
  }
}

/** What is recorded with the event that a request makes. */
type Extra = Transaction

function aliasesOf(content: JsonObject): string[] {
  const alias = own(content, 'alias')
  const alternatives = own(content, 'alt_aliases')
  const list = Array.isArray(alternatives) ? alternatives : []
  return [alias, ...list].filter((item) => item !== undefined && item !== null && item !== '').map(String)
}

async function assertMayRedactOthers(view: RoomView, userId: UserId): Promise<void> {
  const create = await view.state('m.room.create', '')
  const levels = powerLevelsOf(view.room.version, (await view.state('m.room.power_levels', ''))?.event, create?.event)
  if (levels.userLevel(userId) < levels.redact) {
    throw refuse('M_FORBIDDEN', `Redacting an event of somebody else needs power level ${levels.redact} in this room.`)
  }
}
