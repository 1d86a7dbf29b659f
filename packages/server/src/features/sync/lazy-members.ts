/**
 * Which membership events each device was sent, so that they are not sent again.
 *
 * Spec: client-server API, "Lazy-loading room members".
 */
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'

/** A device is remembered to have this many membership events; then the rooms that were used first are forgotten. */
const membersLimit = 20_000

type SentMembers = Map<number, Map<string, number>>

interface DeviceMemory {
  /** The token that the device was given last: a request with another one shows that an answer was lost or a backup restored. */
  readonly token: string
  readonly rooms: SentMembers
  readonly size: number
}

export class LazyMembers {
  readonly #devices: Cache<string, DeviceMemory>

  constructor(needs: { readonly caches: CacheBudget }) {
    this.#devices = needs.caches.cache('lazy_members_sent', (memory) => 300 + memory.size * 100 + memory.rooms.size * 120)
  }

  /** What is known of a device that comes with a token. */
  begin(device: string, token: string | undefined): SentToDevice {
    const memory = this.#devices.get(device)
    const isCurrent = memory !== undefined && memory.token === token
    return new SentToDevice(isCurrent ? memory.rooms : new Map(), (rooms, next) => this.#remember(device, rooms, next))
  }

  #remember(device: string, rooms: SentMembers, token: string): void {
    let size = 0
    for (const members of rooms.values()) size += members.size
    for (const [roomNid, members] of rooms) {
      if (size <= membersLimit) break
      rooms.delete(roomNid)
      size -= members.size
    }
    this.#devices.set(device, { token, rooms, size })
  }
}

/** The membership events of one device during one request; what the request adds counts when its answer is made. */
export class SentToDevice {
  readonly #before: SentMembers
  readonly #added: SentMembers = new Map()
  readonly #remember: (rooms: SentMembers, token: string) => void

  constructor(before: SentMembers, remember: (rooms: SentMembers, token: string) => void) {
    this.#before = before
    this.#remember = remember
  }

  /** Whether the device has a user's membership event, by its number. */
  has(roomNid: number, userId: string, eventNid: number): boolean {
    return (this.#added.get(roomNid)?.get(userId) ?? this.#before.get(roomNid)?.get(userId)) === eventNid
  }

  add(roomNid: number, userId: string, eventNid: number): void {
    let members = this.#added.get(roomNid)
    if (!members) this.#added.set(roomNid, (members = new Map()))
    members.set(userId, eventNid)
  }

  /** The answer with the token `next` is made. */
  commit(next: string): void {
    const rooms = this.#added.size === 0 ? this.#before : new Map(this.#before)
    for (const [roomNid, members] of this.#added) {
      const before = rooms.get(roomNid)
      rooms.delete(roomNid)
      rooms.set(roomNid, before ? new Map([...before, ...members]) : members)
    }
    this.#remember(rooms, next)
  }
}
