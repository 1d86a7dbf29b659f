/** A user of a remote that a test writes, in a room of a server under test: it makes real events, or wrong ones on purpose. */
import assert from 'node:assert/strict'
import { authTypesFor } from '@myelin/protocol/auth/auth-events.ts'
import { buildEvent } from '@myelin/protocol/events/build.ts'
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import { parsePdu } from '@myelin/protocol/events/parse.ts'
import type { EventId, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { getRoomVersion, listRoomVersions, type RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { FakeRemote } from './fake-remote.ts'
import type { TestServer } from './test-server.ts'

/** What an event of the member says, and where it stands if not at the end. */
export interface FakeEvent {
  readonly type?: string
  readonly content?: JsonObject
  readonly stateKey?: string
  readonly sender?: string
  readonly prev?: readonly EventId[]
  readonly auth?: readonly EventId[]
  readonly depth?: number
  readonly redacts?: EventId
  readonly originServerTs?: number
}

let transactions = 0

export class FakeMember {
  readonly remote: FakeRemote
  readonly server: TestServer
  readonly roomId: RoomId
  readonly userId: UserId
  readonly version: RoomVersion
  /** The room's state as the member knows it, by type and state key. */
  readonly state = new Map<string, RoomEvent>()
  /** The newest event, on which the next one is built. */
  last: RoomEvent

  private constructor(remote: FakeRemote, server: TestServer, roomId: RoomId, userId: UserId, version: RoomVersion, last: RoomEvent) {
    this.remote = remote
    this.server = server
    this.roomId = roomId
    this.userId = userId
    this.version = version
    this.last = last
  }

  /** Joins a room of rooms version 3 or later over federation. */
  static async join(remote: FakeRemote, server: TestServer, room: string, name: string): Promise<FakeMember> {
    const [roomId, userId] = [room as RoomId, `@${name}:${remote.serverName}` as UserId]
    const versions = listRoomVersions().map(({ id }) => `ver=${id}`).join('&')
    const { event: template, room_version: id } = await remote.send(server, 'GET', `/_matrix/federation/v1/make_join/${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}?${versions}`).ok()
    const version = getRoomVersion(String(id))
    assert.ok(version && isObject(template))
    const { event } = buildEvent(version, { type: 'm.room.member', sender: userId, stateKey: userId, roomId, content: { membership: 'join' }, originServerTs: Date.now() }, {
      depth: Number(template['depth']), prevEventIds: idsOf(template['prev_events']), authEventIds: idsOf(template['auth_events']),
    }, remote.signer)
    const path = `/_matrix/federation/v2/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`
    const { state } = await remote.send(server, 'PUT', path, event.pdu).ok()
    const member = new FakeMember(remote, server, roomId, userId, version, event)
    for (const pdu of Array.isArray(state) ? state : []) member.#learn(pdu)
    member.state.set(`m.room.member ${userId}`, event)
    return member
  }

  /** Makes an event at the end of the room, or where it says; the member takes it for the newest one unless it says where. */
  event({ type = 'm.room.message', content = { body: 'x', msgtype: 'm.text' }, stateKey, sender = this.userId, prev, auth, depth, redacts, originServerTs = Date.now() }: FakeEvent = {}): RoomEvent {
    const draft = { type, sender: sender as UserId, content, roomId: this.roomId, originServerTs, ...(stateKey === undefined ? {} : { stateKey }), ...(redacts === undefined ? {} : { redacts }) }
    const named = authTypesFor(this.version, draft).map(([each, key]) => this.state.get(`${each} ${key}`)?.eventId).filter((eventId) => eventId !== undefined)
    const { event } = buildEvent(this.version, draft, { depth: depth ?? this.last.depth + 1, prevEventIds: prev ?? [this.last.eventId], authEventIds: auth ?? named }, this.remote.signer)
    if (prev) return event
    this.last = event
    if (stateKey !== undefined) this.state.set(`${type} ${stateKey}`, event)
    return event
  }

  /** Sends PDUs in a transaction, and waits until they are taken in. @returns the results by event id */
  async send(...pdus: readonly JsonObject[]): Promise<Readonly<Record<string, { readonly error?: string }>>> {
    const body = { origin: this.remote.serverName, origin_server_ts: Date.now(), pdus }
    const reply = await this.remote.send(this.server, 'PUT', `/_matrix/federation/v1/send/f${++transactions}`, body).ok()
    await this.server.services.transactions.settled()
    return JSON.parse(JSON.stringify(reply['pdus']))
  }

  #learn(pdu: JsonValue): void {
    const parsed = parsePdu(this.version, pdu)
    assert.ok('event' in parsed)
    this.state.set(`${parsed.event.type} ${parsed.event.stateKey ?? ''}`, parsed.event)
  }
}

function idsOf(value: JsonValue | undefined): EventId[] {
  return Array.isArray(value) ? value.map((id) => String(id) as EventId) : []
}
