/**
 * How long rooms keep their messages: what the room says in `m.room.retention`, else the server's default, within what the server allows.
 *
 * Spec: MSC1763; option `retention`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { EventsRow } from '#engine/stored-event.ts'
import type { Lifetimes } from '#engine/visibility.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Stream } from '#platform/streams/stream.ts'

/** Lifetimes in ms; null where there is none. */
export interface RetentionRules {
  readonly defaultMinMs: number | null
  readonly defaultMaxMs: number | null
  readonly allowedMinMs: number | null
  readonly allowedMaxMs: number | null
}

interface Needs {
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly states: RoomStates
  readonly eventsStream: Stream<EventsRow>
  readonly rules: RetentionRules
}

export const retentionType = 'm.room.retention'

export class RoomRetention implements Lifetimes {
  readonly #needs: Needs
  readonly #longest: Cache<number, { readonly maxMs: number | undefined }>
  #generation = 0

  constructor(needs: Needs) {
    this.#needs = needs
    this.#longest = needs.caches.cache('room_retention', () => 100)
    needs.eventsStream.onAdvance((entries) => {
      for (const { row: { event, changed } } of entries) {
        if (!changed.types.has(retentionType) && event.event.type !== 'm.room.redaction') continue
        this.#generation += 1
        this.#longest.delete(event.room.nid)
      }
    })
  }

  async earliest(room: Room): Promise<number | undefined> {
    const maxMs = this.#longest.get(room.nid)?.maxMs ?? (await this.longestOf([room.nid])).get(room.nid)
    return maxMs === undefined ? undefined : this.#needs.clock.now() - maxMs
  }

  /** The longest life of a message in ms, of each of the rooms that has one. */
  async longestOf(roomNids: readonly number[]): Promise<Map<number, number>> {
    const generation = this.#generation
    const contents = await this.#needs.states.currentContents(roomNids, [retentionType])
    const byRoom = new Map(contents.map(({ roomNid, content }) => [roomNid, content]))
    const found = new Map<number, number>()
    for (const roomNid of roomNids) {
      const maxMs = this.#clamped(lifetime(byRoom.get(roomNid), 'max_lifetime') ?? this.#needs.rules.defaultMaxMs ?? undefined)
      if (generation === this.#generation) this.#longest.set(roomNid, { maxMs })
      if (maxMs !== undefined) found.set(roomNid, maxMs)
    }
    return found
  }

  #clamped(maxMs: number | undefined): number | undefined {
    const { allowedMinMs, allowedMaxMs } = this.#needs.rules
    if (maxMs === undefined) return undefined
    return Math.min(Math.max(maxMs, allowedMinMs ?? 0), allowedMaxMs ?? Number.MAX_SAFE_INTEGER)
  }
}

/** Checks what somebody wants to set as `m.room.retention`. @throws M_BAD_JSON */
export function assertRetention(content: JsonObject): void {
  for (const name of ['min_lifetime', 'max_lifetime'] as const) {
    if (own(content, name) !== undefined && lifetime(content, name) === undefined) {
      throw refuse('M_BAD_JSON', `"${name}" of ${retentionType} must be a number of milliseconds from 0, without a fraction.`)
    }
  }
  const [min, max] = [lifetime(content, 'min_lifetime'), lifetime(content, 'max_lifetime')]
  if (min !== undefined && max !== undefined && min > max) throw refuse('M_BAD_JSON', '"min_lifetime" must not be longer than "max_lifetime".')
}

function lifetime(content: JsonObject | undefined, name: string): number | undefined {
  const value = content && own(content, name)
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
