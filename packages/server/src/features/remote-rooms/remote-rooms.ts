/**
 * Asks other servers for events and states of rooms.
 *
 * Spec: server-server API, "Backfilling and retrieving missing events", "Retrieving events", "Retrieving event authorisation information".
 */
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import { own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { RemoteRooms } from '#engine/remote-rooms.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { pathOf, type Federation } from '#features/federation/federation.ts'

/** States of large rooms are large. */
const maxStateBytes = 256 * 1024 * 1024

/** What the engine asks of other servers, asked by federation. */
export function remoteRooms(federation: Pick<Federation, 'request'>): RemoteRooms {
  const get = (server: Parameters<RemoteRooms['event']>[0], path: string, maxBytes?: number): Promise<JsonObject> =>
    federation.request(server, { method: 'GET', path, ...(maxBytes === undefined ? {} : { maxBytes }) })
  return {
    missingEvents: async (server, room, { earliest, latest, limit }) => {
      const body = { earliest_events: earliest, latest_events: latest, limit, min_depth: 0 }
      return listIn(await federation.request(server, { method: 'POST', path: pathOf(['federation/v1/get_missing_events', room.id]), body }), 'events')
    },
    stateIds: async (server, room, eventId) => {
      const answer = await get(server, pathOf(['federation/v1/state_ids', room.id], { event_id: eventId }), maxStateBytes)
      return { state: idsIn(answer, 'pdu_ids'), auth: idsIn(answer, 'auth_chain_ids') }
    },
    state: async (server, room, eventId) => {
      const answer = await get(server, pathOf(['federation/v1/state', room.id], { event_id: eventId }), maxStateBytes)
      return { state: listIn(answer, 'pdus'), auth: listIn(answer, 'auth_chain') }
    },
    event: async (server, eventId) => {
      const [pdu] = listIn(await get(server, pathOf(['federation/v1/event', eventId])), 'pdus')
      if (pdu === undefined) throw new RemoteError('bad-answer', `https://${server}/`, `${server} answered without the event ${eventId}.`)
      return pdu
    },
    authChain: async (server, room, eventId) => listIn(await get(server, pathOf(['federation/v1/event_auth', room.id, eventId]), maxStateBytes), 'auth_chain'),
    backfill: async (server, room, from, limit) => listIn(await get(server, pathOf(['federation/v1/backfill', room.id], { v: from, limit })), 'pdus'),
  }
}

/** A list of an answer; an empty one where there is none. */
export function listIn(answer: JsonObject, name: string): readonly JsonValue[] {
  const list = own(answer, name)
  return Array.isArray(list) ? list : []
}

function idsIn(answer: JsonObject, name: string): EventId[] {
  return listIn(answer, name).filter((id): id is EventId => typeof id === 'string' && id.startsWith('$'))
}
