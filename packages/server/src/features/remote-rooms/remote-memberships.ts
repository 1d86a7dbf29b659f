/**
 * Joins, knocks and leaves rooms that this server is not in, with the help of servers that are.
 *
 * Spec: server-server API, "Joining Rooms", "Knocking upon a room", "Leaving Rooms (Rejecting Invites)".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { buildEvent, type EventSigner } from '@myelin/protocol/events/build.ts'
import { parsePdu, type ParsedPdu } from '@myelin/protocol/events/parse.ts'
import { readStrippedState } from '@myelin/protocol/events/stripped-state.ts'
import type { EventId, RoomId, ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { getRoomVersion, listRoomVersions, type RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { Ancestry } from '#engine/ancestry.ts'
import type { Events } from '#engine/events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { RoomHeads } from '#engine/room-heads.ts'
import type { PduChecks } from '#engine/pdu-checks.ts'
import type { RoomReceiver } from '#engine/room-receiver.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Clock } from '#platform/clock.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import type { Logger } from '#platform/log/logger.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'
import type { MembershipElsewhere } from '#features/membership/membership.ts'
import { listIn } from './remote-rooms.ts'
import type { StrippedStates } from './stripped-states.ts'

interface Needs {
  readonly signer: EventSigner
  readonly clock: Clock
  readonly logger: Logger
  readonly rooms: Rooms
  readonly heads: RoomHeads
  readonly events: Events
  readonly memberships: Memberships
  readonly receiver: RoomReceiver
  readonly checks: PduChecks
  readonly federation: Pick<Federation, 'request' | 'allows'>
  readonly strippedStates: Pick<StrippedStates, 'keep'>
  /** An opaque string of at least 128 random bits, for ids of old room versions. */
  readonly randomId: () => string
}

/** An event of our user that was made from another server's template. */
interface Made {
  readonly version: RoomVersion
  readonly pdu: ParsedPdu
}

const maxJoinBytes = 512 * 1024 * 1024
const joinTimeoutMs = 120_000

export class RemoteMemberships implements MembershipElsewhere {
  readonly #needs: Needs
  readonly #joining = new Map<RoomId, Promise<unknown>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async join(userId: UserId, roomId: RoomId, servers: readonly ServerName[], content: JsonObject): Promise<Room> {
    const before = this.#joining.get(roomId) ?? Promise.resolve()
    const joining = before.catch(() => undefined).then(() => this.#first(servers, `join ${roomId}`, (server) => this.#joinBy(server, userId, roomId, content)))
    this.#joining.set(roomId, joining)
    try {
      return await joining
    } finally {
      if (this.#joining.get(roomId) === joining) this.#joining.delete(roomId)
    }
  }

  async knock(userId: UserId, roomId: RoomId, servers: readonly ServerName[], content: JsonObject): Promise<void> {
    await this.#first(servers, `knock on ${roomId}`, async (server) => {
      const { pdu, version } = await this.#make(server, userId, roomId, { ...content, membership: 'knock' })
      const answer = await this.#needs.federation.request(server, { method: 'PUT', path: pathOf(['federation/v1/send_knock', roomId, pdu.event.eventId]), body: pdu.event.pdu, insists: true })
      await this.#note(roomId, version, pdu, own(answer, 'knock_room_state'))
    })
  }

  async leave(userId: UserId, room: Room, servers: readonly ServerName[], content: JsonObject): Promise<void> {
    for (const server of servers) {
      try {
        const { pdu, version } = await this.#make(server, userId, room.id, { ...content, membership: 'leave' })
        await this.#needs.federation.request(server, { method: 'PUT', path: pathOf(['federation/v2/send_leave', room.id, pdu.event.eventId]), body: pdu.event.pdu, insists: true })
        await this.#note(room.id, version, pdu, undefined)
        return
      } catch (error) {
        if (!isOfRemote(error)) throw error
        this.#needs.logger.info(`${server} could not be told that ${userId} leaves ${room.id}: ${error.message}`)
      }
    }
    // A user's own leave always succeeds; the room's servers learn of it when the user comes back.
    await this.#note(room.id, room.version, this.#build(room.version, userId, room.id, { ...content, membership: 'leave' }, {}), undefined)
  }

  async #joinBy(server: ServerName, userId: UserId, roomId: RoomId, content: JsonObject): Promise<Room> {
    const { federation, checks, rooms, receiver, clock } = this.#needs
    const { pdu, version } = await this.#make(server, userId, roomId, { ...content, membership: 'join' })
    const answer = await federation.request(server, {
      method: 'PUT', path: pathOf(['federation/v2/send_join', roomId, pdu.event.eventId]), body: pdu.event.pdu, insists: true, maxBytes: maxJoinBytes, timeoutMs: joinTimeoutMs,
    })
    const join = await this.#completed(pdu, version, server, own(answer, 'event'))
    const [state, chain] = [await checks.checkAll(version, roomId, listIn(answer, 'state'), server), await checks.checkAll(version, roomId, listIn(answer, 'auth_chain'), server)]
    const create = state.find(({ event }) => event.type === 'm.room.create' && event.stateKey === '')
    if (!create) throw new RemoteError('bad-answer', `https://${server}/`, `${server} answered a join with a state without m.room.create.`)
    if ((own(create.event.content, 'room_version') ?? '1') !== version.id) throw new RemoteError('bad-answer', `https://${server}/`, `${server} named a room version that is not the room's.`)
    const known = await rooms.get(roomId)
    const room = known ?? rooms.draft(roomId, version)
    const ids = state.map(({ event }) => event.eventId)
    const event = await receiver.receive(room, join, {
      outliers: Ancestry.inOrder([...chain, ...state]), statesAfter: new Map(join.event.prevEventIds.map((eventId) => [eventId, ids])),
      entersRoomBeside: known ? await this.#branchesBeside(known, join) : new Set(),
      ...(known ? {} : { creation: { creator: create.event.sender, ts: clock.now() } }),
    })
    if (event.rejected) throw refuse('M_FORBIDDEN', 'The rules of the room do not let you join.')
    return room
  }

  /**
   * Our newest events in a room that a user comes back to, where the other server did not know yet that the user had left: they are branches beside
   * the join, which otherwise would be forgotten here and remembered elsewhere.
   */
  async #branchesBeside(room: Room, join: ParsedPdu): Promise<Set<EventId>> {
    const { heads, events, memberships, signer } = this.#needs
    const before = await memberships.of(room, join.event.sender)
    const leave = before && (await events.byNid(before.eventNid))
    if (!leave || join.event.authEventIds.includes(leave.event.eventId)) return new Set()
    const newest = await events.byNids((await heads.of(room)).extremities.map(({ nid }) => nid))
    return new Set([...newest.values()].filter(({ event }) => serverOf(event.sender) === signer.serverName).map(({ event }) => event.eventId))
  }

  /** The join as the other server has stored it: it may bear one more signature. */
  async #completed(pdu: ParsedPdu, version: RoomVersion, server: ServerName, stored: JsonValue | undefined): Promise<ParsedPdu> {
    if (stored === undefined) return pdu
    const checked = await this.#needs.checks.check(version, stored, server)
    if ('event' in checked && checked.event.eventId === pdu.event.eventId) return checked
    throw new RemoteError('bad-answer', `https://${server}/`, `${server} answered a join with another event.`)
  }

  /** Asks for a template and makes our event of it, field by field. */
  async #make(server: ServerName, userId: UserId, roomId: RoomId, content: JsonObject & { readonly membership: string }): Promise<Made> {
    const ver = listRoomVersions().map(({ id }) => id)
    const { membership } = content
    const path = pathOf([`federation/v1/make_${membership}`, roomId, userId], membership === 'leave' ? {} : { ver })
    const answer = await this.#needs.federation.request(server, { method: 'GET', path, insists: true })
    const [event, versionId] = [own(answer, 'event'), own(answer, 'room_version') ?? '1']
    const version = typeof versionId === 'string' ? getRoomVersion(versionId) : undefined
    if (!version) throw refuse('M_UNSUPPORTED_ROOM_VERSION', `This server does not support the room's version ${String(versionId).slice(0, 32)}.`)
    if (!isObject(event) || !isTemplateOf(event, userId, roomId, membership)) throw new RemoteError('bad-answer', `https://${server}/`, `${server} gave a template that is not for this ${membership}.`)
    const theirs = own(event, 'content')
    const authoriser = isObject(theirs) ? own(theirs, 'join_authorised_via_users_server') : undefined
    return { version, pdu: this.#build(version, userId, roomId, { ...content, ...(typeof authoriser === 'string' ? { join_authorised_via_users_server: authoriser } : {}) }, event) }
  }

  #build(version: RoomVersion, userId: UserId, roomId: RoomId, content: JsonObject, template: JsonObject): ParsedPdu {
    const { signer, clock, randomId } = this.#needs
    const depth = own(template, 'depth')
    const hashes = new Map<EventId, string>()
    const place = {
      depth: typeof depth === 'number' && Number.isSafeInteger(depth) && depth >= 0 ? depth : 1,
      prevEventIds: referencesIn(template, 'prev_events', hashes), authEventIds: referencesIn(template, 'auth_events', hashes), referenceHashes: hashes,
    }
    const eventId = version.eventIds === 'field' ? { eventId: `$${randomId()}:${signer.serverName}` as EventId } : {}
    const built = buildEvent(version, { type: 'm.room.member', sender: userId, stateKey: userId, roomId, content, originServerTs: clock.now(), ...eventId }, place, signer)
    const parsed = parsePdu(version, built.event.pdu)
    if ('reason' in parsed) throw refuse('M_BAD_JSON', `The event cannot be made: ${parsed.reason}.`)
    return parsed
  }

  async #note(roomId: RoomId, version: RoomVersion, pdu: ParsedPdu, strippedState: JsonValue | undefined): Promise<void> {
    const { rooms, receiver, clock, strippedStates } = this.#needs
    const known = await rooms.get(roomId)
    await receiver.receiveOutOfBand(known ?? rooms.draft(roomId, version), pdu, {
      ...(known ? {} : { creation: { creator: pdu.event.sender, ts: clock.now() } }),
      extra: (tx, stored) => strippedStates.keep(tx, stored, readStrippedState(strippedState)),
    })
  }

  /** Tries servers in turn until one helps. @throws what the last one said */
  async #first<Result>(servers: readonly ServerName[], what: string, attempt: (server: ServerName) => Promise<Result>): Promise<Result> {
    let failure: unknown = refuse('M_NOT_FOUND', `No server is known by which to ${what}; name one with "via".`)
    for (const server of servers) {
      if (!this.#needs.federation.allows(server)) continue
      try {
        return await attempt(server)
      } catch (error) {
        if (!isOfRemote(error)) throw error
        this.#needs.logger.info(`Could not ${what} by ${server}: ${error.message}`)
        failure = error
        // A refusal by the rules of the room is one at every server.
        if (error instanceof FederationRefusal && error.status === 403) break
      }
    }
    throw failure instanceof FederationRefusal ? asRefusal(failure) : failure
  }
}

function isOfRemote(error: unknown): error is FederationRefusal | RemoteError {
  return error instanceof FederationRefusal || error instanceof RemoteError
}

/** What of another server's refusal our user is told. */
function asRefusal({ status, errcode, message }: FederationRefusal): MatrixError {
  switch (errcode) {
    case 'M_FORBIDDEN':
    case 'M_UNABLE_TO_GRANT_JOIN':
    case 'M_UNABLE_TO_AUTHORISE_JOIN':
    case 'M_INCOMPATIBLE_ROOM_VERSION':
    case 'M_NOT_FOUND':
      return new MatrixError(status, errcode, message)
    default:
      return refuse('M_CONNECTION_FAILED', message)
  }
}

function isTemplateOf(event: JsonObject, userId: UserId, roomId: RoomId, membership: string): boolean {
  const content = own(event, 'content')
  return own(event, 'type') === 'm.room.member' && own(event, 'room_id') === roomId && own(event, 'sender') === userId && own(event, 'state_key') === userId &&
    isObject(content) && own(content, 'membership') === membership
}

/** The events that a template names; in room versions 1 and 2 their hashes go to `hashes`. */
function referencesIn(template: JsonObject, name: string, hashes: Map<EventId, string>): EventId[] {
  return listIn(template, name).flatMap((entry: JsonValue) => {
    const [id, named] = Array.isArray(entry) ? [entry[0], entry[1]] : [entry, undefined]
    if (typeof id !== 'string' || !id.startsWith('$')) return []
    const hash = isObject(named) ? own(named, 'sha256') : undefined
    if (typeof hash === 'string') hashes.set(id as EventId, hash)
    return [id as EventId]
  })
}
