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
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Proposal, RoomView, RoomWriter } from '#engine/room-writer.ts'
import type { Tx } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { TransactionIds, Transaction } from './transaction-ids.ts'

/** Rules about relations that sending must follow. */
export interface RelationPolicy {
  /** @throws M_DUPLICATE_ANNOTATION, M_BAD_JSON, M_UNKNOWN */
  assertMaySend(room: Room, sender: UserId, type: string, content: JsonObject): Promise<void>
  /** Events that relate directly to an event in one of some ways, `*` for all, and are not redacted. */
  relatedTo(room: Room, eventId: EventId, types: readonly string[]): Promise<readonly StoredEvent[]>
}

/** What an alias points to. */
export interface AliasTargets {
  resolve(alias: RoomAlias): Promise<{ readonly roomId: RoomId } | undefined>
}

/** Rules about memberships that are set as state. */
export interface MemberPolicy {
  /** Gives the content to send. @throws M_GUEST_ACCESS_FORBIDDEN, M_FORBIDDEN, M_INVITE_BLOCKED, M_LIMIT_EXCEEDED, M_CANNOT_LEAVE_SERVER_NOTICE_ROOM */
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
  /** What contents of some types of state must be like; each throws M_BAD_JSON. */
  readonly stateContents: ReadonlyMap<string, (content: JsonObject) => void>
  /** Whether `rc_admin_redaction` is configured; else redactions count as messages. */
  readonly adminRedactionLimited: boolean
  /** Whether a redaction may take related events with it (MSC3912). */
  readonly redactsRelations: boolean
}

/** An event to be sent. */
export interface Message {
  readonly type: string
  readonly content: JsonObject
  /** Undefined where the client gives none, and a repetition is another event. */
  readonly txnId: string | undefined
  /** How long it is to be sticky, in ms (MSC4354). */
  readonly stickyMs?: number | undefined
}

/** An event to be sent later; a repetition is the same event as with `Message`. */
export interface DelayedEvent extends Message {
  /** Undefined for events that are no state. */
  readonly stateKey: string | undefined
}

/** How an event is to be redacted. */
export interface RedactionRequest {
  readonly txnId: string | undefined
  readonly content: JsonObject
  /** Relation types; undefined for the event alone. */
  readonly withRelations?: readonly string[] | undefined
}

/** Writes that are committed with an event or not at all. */
export type AlongWithEvent = (tx: Tx, event: StoredEvent) => Promise<void>

/** State to be set. */
export interface StateChange {
  readonly type: string
  readonly stateKey: string
  readonly content: JsonObject
}

/** Related events that are redacted at once. */
const relatedPage = 50

export class Messages {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Sends a message event; durable when it resolves.
   * @param also what is written with it
   * @throws M_FORBIDDEN, M_TOO_LARGE, M_BAD_JSON, M_DUPLICATE_ANNOTATION, M_INVALID_PARAM, M_LIMIT_EXCEEDED
   */
  async send(requester: Requester, roomId: RoomId, message: Message, also?: AlongWithEvent): Promise<EventId> {
    const room = await this.#needs.rooms.require(roomId)
    const { type, content, stickyMs } = message
    if (type === 'm.room.redaction') return this.#redactBySend(requester, room, message, also)
    assertLeadsElsewhere(room, type, content)
    return this.#once(requester, room, 'send', message.txnId, also, async (extra) => {
      this.#charge(requester, 'rc_message')
      this.#needs.activity.active(requester.userId, requester.deviceId)
      if (Object.hasOwn(content, 'm.relates_to')) await this.#needs.relationPolicy.assertMaySend(room, requester.userId, type, content)
      return this.#propose(room, [{ type, sender: requester.userId, content, ...(stickyMs === undefined ? {} : { stickyMs }) }], extra)
    })
  }

  /** Sets state; setting what is already set gives the event that set it. @throws M_FORBIDDEN, M_TOO_LARGE, M_BAD_ALIAS, M_INVALID_PARAM */
  async setState(requester: Requester, roomId: RoomId, change: StateChange, also?: AlongWithEvent): Promise<EventId> {
    const room = await this.#needs.rooms.require(roomId)
    this.#charge(requester, 'rc_message')
    const { type, stateKey, content } = change
    if (type === 'm.room.create') throw refuse('M_FORBIDDEN', 'A room has one m.room.create event, made with the room.')
    assertLeadsElsewhere(room, type, content)
    this.#needs.stateContents.get(type)?.(content)
    if (type === 'm.room.canonical_alias') {
      return this.#propose(room, async (view) => {
        await this.#assertAliases(view, content)
        return [{ type, stateKey, sender: requester.userId, content }]
      }, also)
    }
    const checked = type === 'm.room.member' ? await this.#needs.memberPolicy.memberState(requester, room, stateKey, content) : content
    return this.#propose(room, [{ type, stateKey, sender: requester.userId, content: checked }], also)
  }

  /**
   * Redacts an event of the room.
   * @param redaction.withRelations events that relate to it in one of these ways, `*` for all, are redacted before it where the user may do so (MSC3912)
   * @throws M_FORBIDDEN, M_NOT_FOUND for an unknown room, M_INVALID_PARAM for an event that is not in it
   */
  async redact(requester: Requester, roomId: RoomId, eventId: EventId, redaction: RedactionRequest): Promise<EventId> {
    const room = await this.#needs.rooms.require(roomId)
    const { txnId, content, withRelations = [] } = redaction
    return this.#once(requester, room, 'redact', txnId, undefined, async (extra) => {
      if (withRelations.length > 0 && this.#needs.redactsRelations) await this.#redactRelated(requester, room, eventId, content, withRelations)
      return this.#redact(requester, room, eventId, content, extra)
    })
  }

  /** Redacts what relates to an event, a page at a time; the event itself follows, so that a request that broke off can be repeated. */
  async #redactRelated(requester: Requester, room: Room, eventId: EventId, content: JsonObject, types: readonly string[]): Promise<void> {
    await this.#assertMayRedact(requester, room, eventId)
    const related = await this.#needs.relationPolicy.relatedTo(room, eventId, types)
    for (let start = 0; start < related.length; start += relatedPage) {
      await this.#needs.writer.propose(room, async (view) => {
        const mayRedactOthers = await hasPowerToRedact(view, requester.userId)
        return related.slice(start, start + relatedPage).filter((event) => mayRedactOthers || event.event.sender === requester.userId)
          .map((event) => ({ type: 'm.room.redaction', sender: requester.userId, content, redacts: event.event.eventId }))
      })
    }
  }

  /** @throws M_INVALID_PARAM, M_FORBIDDEN */
  async #assertMayRedact(requester: Requester, room: Room, eventId: EventId): Promise<void> {
    const target = await this.#target(room, eventId)
    if (target.event.sender !== requester.userId) await assertMayRedactOthers(await this.#needs.writer.view(room), requester.userId)
  }

  /** The event that a redaction names. @throws M_INVALID_PARAM */
  async #target(room: Room, eventId: EventId): Promise<StoredEvent> {
    const target = await this.#needs.events.get(room, eventId)
    if (!target || target.rejected) throw refuse('M_INVALID_PARAM', 'The room has no event of that id to redact.')
    return target
  }

  #redactBySend(requester: Requester, room: Room, message: Message, also: AlongWithEvent | undefined): Promise<EventId> {
    const { redacts, ...content } = message.content
    if (typeof redacts !== 'string') throw refuse('M_BAD_JSON', 'A redaction needs "redacts", the id of the event to redact, in its content.')
    return this.#once(requester, room, 'send', message.txnId, also, (extra) => this.#redact(requester, room, redacts as EventId, content, extra))
  }

  async #redact(requester: Requester, room: Room, eventId: EventId, content: JsonObject, extra: AlongWithEvent | undefined): Promise<EventId> {
    const isOwn = (await this.#target(room, eventId)).event.sender === requester.userId
    this.#charge(requester, !isOwn && this.#needs.adminRedactionLimited ? 'rc_admin_redaction' : 'rc_message')
    return this.#propose(room, async (view) => {
      if (!isOwn) await assertMayRedactOthers(view, requester.userId)
      return [{ type: 'm.room.redaction', sender: requester.userId, content, redacts: eventId }]
    }, extra)
  }

  /** Runs a request of a device once, recording it with its event. */
  #once(
    requester: Requester, room: Room, kind: 'send' | 'redact', txnId: string | undefined, also: AlongWithEvent | undefined,
    send: (extra: AlongWithEvent | undefined) => Promise<EventId>,
  ): Promise<EventId> {
    if (txnId === undefined) return send(also)
    if (txnId.length > 255) throw refuse('M_INVALID_PARAM', 'The transaction id is longer than 255 characters.')
    const device = requester.deviceId ?? `token ${requester.accessTokenId ?? requester.appserviceId ?? ''}`
    const transaction: Transaction = { userId: requester.userId, device, roomNid: room.nid, kind, txnId }
    const { transactions } = this.#needs
    return transactions.once(transaction, () => send(async (tx, event) => {
      await transactions.record(tx, transaction, event)
      await also?.(tx, event)
    }))
  }

  async #propose(
    room: Room, proposals: readonly Proposal[] | ((view: RoomView) => Promise<readonly Proposal[]>), also?: AlongWithEvent,
  ): Promise<EventId> {
    const [event] = await this.#needs.writer.propose(room, proposals, also ? { extra: async (tx, events) => { if (events[0]) await also(tx, events[0]) } } : {})
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

/** A tombstone that names its own room would send clients round in a circle. @throws M_INVALID_PARAM */
function assertLeadsElsewhere(room: Room, type: string, content: JsonObject): void {
  if (type !== 'm.room.tombstone' || own(content, 'replacement_room') !== room.id) return
  throw refuse('M_INVALID_PARAM', '"replacement_room" of a tombstone must name another room than the one that ends.')
}

function aliasesOf(content: JsonObject): string[] {
  const alias = own(content, 'alias')
  const alternatives = own(content, 'alt_aliases')
  const list = Array.isArray(alternatives) ? alternatives : []
  return [alias, ...list].filter((item) => item !== undefined && item !== null && item !== '').map(String)
}

async function assertMayRedactOthers(view: RoomView, userId: UserId): Promise<void> {
  if (await hasPowerToRedact(view, userId)) return
  throw refuse('M_FORBIDDEN', 'Redacting an event of somebody else needs the power level "redact" of this room.')
}

/** Whether a user may redact events of others. */
export async function hasPowerToRedact(view: RoomView, userId: UserId): Promise<boolean> {
  const create = await view.state('m.room.create', '')
  const levels = powerLevelsOf(view.room.version, (await view.state('m.room.power_levels', ''))?.event, create?.event)
  return levels.userLevel(userId) >= levels.redact
}
