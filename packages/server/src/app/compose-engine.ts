/** Builds the engine on an open database, bottom to top. */
import { randomBytes } from 'node:crypto'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { Ancestry } from '#engine/ancestry.ts'
import { Backfill } from '#engine/backfill.ts'
import { ClientEvents } from '#engine/client-events.ts'
import { Erasure } from '#engine/erasure.ts'
import { EventNumbers } from '#engine/event-numbers.ts'
import { Events } from '#engine/events.ts'
import { HistoryPlaces } from '#engine/history-places.ts'
import { HistoryPurging } from '#engine/history-purging.ts'
import type { KeyRing } from '#engine/key-ring.ts'
import { LastNumbers } from '#engine/last-numbers.ts'
import { Memberships } from '#engine/memberships.ts'
import { Names } from '#engine/names.ts'
import { PduChecks } from '#engine/pdu-checks.ts'
import { Persister } from '#engine/persister.ts'
import type { EventsRow } from '#engine/stored-event.ts'
import { PolicyChecks } from '#engine/policy-checks.ts'
import { RedactionPruning } from '#engine/redaction-pruning.ts'
import { RoomActivity } from '#engine/room-activity.ts'
import { RoomAccess } from '#engine/room-access.ts'
import { RoomHeads } from '#engine/room-heads.ts'
import { RoomPurging } from '#engine/room-purging.ts'
import { RoomReceiver } from '#engine/room-receiver.ts'
import { RoomServers } from '#engine/room-servers.ts'
import { RoomStates } from '#engine/room-states.ts'
import { RoomTurns } from '#engine/room-turns.ts'
import { RoomWriter } from '#engine/room-writer.ts'
import { StateResolver } from '#engine/state-resolver.ts'
import { Rooms } from '#engine/rooms.ts'
import { Visibility } from '#engine/visibility.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { Stream } from '#platform/streams/stream.ts'

/** The services of the engine. */
export type Engine = Awaited<ReturnType<typeof composeEngine>>

/** 144 random bits as an opaque identifier. */
function newRandomId(): string {
  return randomBytes(18).toString('base64url')
}

/** Newest events that are held whether or not somebody reads them: some 9 KB each; who is further behind reads the database. */
const eventsInMemory = 2000

/** Builds the engine. */
export async function composeEngine(inputs: {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly signer: EventSigner
  readonly serverName: ServerName
  readonly keyRing: Pick<KeyRing, 'publicKey'>
  readonly logger: (name: string) => Logger
  /** Time after which redacted content is removed, in ms; null keeps it. */
  readonly redactionRetentionMs: number | null
  readonly stack: AsyncDisposableStack
  /** An opaque string of at least 128 random bits for ids; a simulation brings its own. */
  readonly randomId?: () => string
}) {
  const { randomId = newRandomId } = inputs
  const { database, caches, clock, signer, serverName } = inputs
  const names = await Names.open({ database, caches })
  const lastNumbers = new LastNumbers(database)
  const rooms = await Rooms.open({ database, caches, lastNumbers })
  const eventsStream = new Stream<EventsRow>({ name: 'events', position: await lastNumbers.above('events_stream', await highest(database, 'SELECT max(stream_ordering) AS last FROM events')), ringSize: eventsInMemory })
  const events = new Events({ database, caches, rooms, stream: eventsStream })
  const roomActivity = new RoomActivity({ events, names, stream: eventsStream })
  const states = new RoomStates({ database, caches, names, events })
  const memberships = new Memberships({ database, caches, clock, names, rooms, serverName })
  const pruning = new RedactionPruning({ database, clock, events, logger: inputs.logger('synapse.storage.databases.main.censor_events'), periodMs: inputs.redactionRetentionMs })
  inputs.stack.defer(() => pruning.stop())
  const purging = new HistoryPurging({ database, events, names })
  purging.addParticipant(pruning)
  const history = new HistoryPlaces(await highest(database, 'SELECT min(stream_ordering) AS last FROM events'))
  const persister = new Persister({ database, caches, clock, names, rooms, events, states, memberships, stream: eventsStream, pruning, history })
  const lastEventNid = await lastNumbers.above('events', await highest(database, 'SELECT max(event_nid) AS last FROM events'))
  const resolver = new StateResolver({ names, events, states, chainCover: persister.chainCover })
  const heads = new RoomHeads({ events, resolver, persister })
  const turns = new RoomTurns()
  const numbers = new EventNumbers(lastEventNid)
  const policy = new PolicyChecks({ states, memberships })
  const writer = new RoomWriter({ clock, policy, rooms, events, states, heads, resolver, turns, numbers, signer, randomId })
  const receiver = new RoomReceiver({ names, events, states, resolver, heads, turns, numbers })
  const roomPurging = await RoomPurging.open({
    database, clock, rooms, events, states, memberships, heads, turns, chainCover: persister.chainCover, purging, lastNumbers,
  })
  const erasure = new Erasure()
  const visibility = new Visibility({ states, memberships, erasure })
  const access = new RoomAccess({ memberships, states, writer, visibility })
  const clientEvents = new ClientEvents({ clock, states, erasure })
  const checks = new PduChecks({ keyRing: inputs.keyRing })
  const ancestry = new Ancestry({ events, heads, receiver, checks, logger: inputs.logger('synapse.handlers.federation_event') })
  const roomServers = new RoomServers({ memberships, states, writer, serverName })
  const backfill = new Backfill({ clock, logger: inputs.logger('synapse.handlers.federation'), events, ancestry, checks, roomServers })
  return {
    checks, policy, ancestry, backfill, heads, roomServers, names, lastNumbers, rooms, events, states, memberships, eventsStream, persister, writer, receiver, visibility, erasure, access,
    clientEvents, pruning, purging, roomPurging, roomActivity,
  }
}

async function highest(database: Database, query: string): Promise<number> {
  const [row] = await database.rows<{ last: number | null }>(query, [])
  return row?.last ?? 0
}
