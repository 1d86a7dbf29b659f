/** Builds the whole server, top to bottom = bottom storey to top; this function is the architecture diagram. */
import { randomBytes } from 'node:crypto'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import { Events } from '#engine/events.ts'
import { Memberships } from '#engine/memberships.ts'
import { Names } from '#engine/names.ts'
import { Persister, type EventsRow } from '#engine/persister.ts'
import { RoomStates } from '#engine/room-states.ts'
import { RoomWriter } from '#engine/room-writer.ts'
import { Rooms } from '#engine/rooms.ts'
import { Visibility } from '#engine/visibility.ts'
import { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { RateLimits, type Rate } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import { Stream } from '#platform/streams/stream.ts'
import type { Config } from './config.ts'

/** What the outside gives: everything that a test may want to replace. */
export interface ComposeInputs {
  readonly config: Config
  /** A database with this program's schema. */
  readonly database: Database
  readonly clock: Clock
  readonly signer: EventSigner
  readonly logger: (name: string) => Logger
}

/** Every service by name; an endpoint's `Needs` picks from it. */
export type Services = Awaited<ReturnType<typeof compose>>

/** Bytes for all caches at a factor of 1. */
const cacheBytes = 256 * 1024 * 1024

/** 144 random bits as an opaque identifier. */
function randomId(): string {
  return randomBytes(18).toString('base64url')
}

/** Builds every service of the server on an open database. */
export async function compose(inputs: ComposeInputs) {
  const { config, database, clock, signer } = inputs
  const serverName = config.server_name
  const stack = new AsyncDisposableStack()

  // Platform
  const caches = new CacheBudget(cacheBytes * config.caches.global_factor)
  const limits = new RateLimits({ clock, rates: ratesOf(config) })

  // Engine
  const names = await Names.open({ database, caches })
  const rooms = await Rooms.open({ database, caches })
  const events = new Events({ database, caches, rooms })
  const states = new RoomStates({ database, caches, names, events })
  const memberships = new Memberships({ database, caches, names, rooms, serverName })
  const eventsStream = new Stream<EventsRow>({ name: 'events', position: await highest(database, 'SELECT max(stream_ordering) AS last FROM events') })
  const persister = new Persister({ database, caches, clock, names, rooms, events, states, memberships, stream: eventsStream })
  const lastEventNid = await highest(database, 'SELECT max(event_nid) AS last FROM events')
  const writer = new RoomWriter({ clock, rooms, events, states, persister, signer, lastEventNid, randomId })
  const visibility = new Visibility({ states, memberships })

  // Features

  return {
    config, database, clock, serverName, caches, limits,
    names, rooms, events, states, memberships, eventsStream, persister, writer, visibility,
    dispose: () => stack.disposeAsync(),
  }
}

async function highest(database: Database, query: string): Promise<number> {
  const [row] = await database.rows<{ last: number | null }>(query, [])
  return row?.last ?? 0
}

/** The configured rate limits by name; nested ones are joined by a dot, `rc_login.address`. */
function ratesOf(config: Config): ReadonlyMap<string, Rate> {
  const rates = new Map<string, Rate>()
  const collect = (name: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if ('perSecond' in value && 'burstCount' in value && typeof value.perSecond === 'number' && typeof value.burstCount === 'number') {
      rates.set(name, { perSecond: value.perSecond, burstCount: value.burstCount })
      return
    }
    for (const [key, inner] of Object.entries(value)) collect(`${name}.${key}`, inner)
  }
  for (const [name, value] of Object.entries(config)) if (name.startsWith('rc_')) collect(name, value)
  return rates
}
