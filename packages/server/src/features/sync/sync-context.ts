/** One computation of a sync: who asks for what, between which moments. */
import type { SyncFilter } from '@myelin/protocol/filters/sync-filter.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { SentToDevice } from './lazy-members.ts'
import type { SyncPosition } from './sync-token.ts'

/** A request as the client makes it. */
export interface SyncRequest {
  readonly userId: UserId
  readonly deviceId: string | undefined
  /** The token as it came. */
  readonly since: string | undefined
  /** A filter's id or JSON. */
  readonly filter: string | undefined
  readonly fullState: boolean
  /** Name of the member under which the state at the end of the timeline is wanted, or undefined for the state at its start. */
  readonly stateAfter: 'state_after' | 'org.matrix.msc4222.state_after' | undefined
  readonly setPresence: string | undefined
  readonly timeoutMs: number
}

/** What a computation works on. */
export interface SyncContext {
  readonly userId: UserId
  readonly deviceId: string | undefined
  readonly filter: SyncFilter
  readonly fullState: boolean
  readonly stateAfter: SyncRequest['stateAfter']
  /** Undefined for an initial sync. */
  readonly since: SyncPosition | undefined
  readonly upTo: SyncPosition
  readonly ignored: ReadonlySet<string>
  /** Undefined unless members are loaded lazily and redundant ones left out. */
  readonly sent: SentToDevice | undefined
  readonly timelineLimit: number
}

/** An `events` section, or nothing where it would be empty. */
export function eventsSection(name: string, events: readonly string[]): string[] {
  return events.length === 0 ? [] : [`"${name}":{"events":[${events.join(',')}]}`]
}
