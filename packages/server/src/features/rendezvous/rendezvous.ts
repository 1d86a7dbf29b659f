/**
 * Places where two devices meet that do not know each other yet: a new one and one that is to log it in. Anybody who knows the place reads it and
 * writes over what it holds; what the devices tell each other is encrypted by them. Kept in memory, because a place lives for minutes.
 *
 * Spec: MSC4108, "Insecure rendezvous session"; MSC4388.
 */
import { randomBytes } from 'node:crypto'
import { refuse, type MatrixError } from '@myelin/protocol/errors.ts'
import type { Clock } from '#platform/clock.ts'
import { addressKey } from '#platform/limits/address-key.ts'

/** What lies at a place now. */
export interface RendezvousSession {
  readonly id: string
  readonly data: string
  /** Another one after each write, also of the same data. */
  readonly revision: string
  readonly modifiedTs: number
  readonly expiresTs: number
}

/** Somebody has written since. */
export class ConcurrentWrite extends Error {
  override readonly name = 'ConcurrentWrite'
  readonly current: RendezvousSession

  constructor(current: RendezvousSession) {
    super('The session holds other data than you know; read it before you write again.')
    this.current = current
  }
}

/** Largest data in bytes. */
export const maxDataBytes = 4096
const lifetimeMs = 5 * 60_000
/** Sessions that there are at a time. */
const mostSessions = 2000
/** Those of them that one network address has made. */
export const sessionsOfAddress = 20

export class Rendezvous {
  readonly #clock: Clock
  /** In the order in which they expire. */
  readonly #sessions = new Map<string, RendezvousSession & { readonly address: string }>()

  constructor(needs: { readonly clock: Clock }) {
    this.#clock = needs.clock
  }

  /** Makes a place. @param ip who asks for it @throws M_TOO_LARGE, M_LIMIT_EXCEEDED */
  create(data: string, ip: string): RendezvousSession {
    assertFits(data)
    this.#expire()
    const address = addressKey(ip)
    const ofAddress = [...this.#sessions.values()].filter((session) => session.address === address)
    if (ofAddress.length >= sessionsOfAddress || this.#sessions.size >= mostSessions) throw this.#limited(ofAddress.length >= sessionsOfAddress ? ofAddress[0] : undefined)
    const now = this.#clock.now()
    const session = { id: token(), data, revision: token(), modifiedTs: now, expiresTs: now + lifetimeMs, address }
    this.#sessions.set(session.id, session)
    return session
  }

  /** @throws M_NOT_FOUND where there is no such place any more */
  require(id: string): RendezvousSession {
    this.#expire()
    const session = this.#sessions.get(id)
    if (!session) throw refuse('M_NOT_FOUND', 'There is no such session; it may have expired. Begin again with a new code.')
    return session
  }

  /** Writes over what is there. @param seen the revision that the writer knows @throws ConcurrentWrite, M_NOT_FOUND, M_TOO_LARGE */
  write(id: string, seen: string, data: string): RendezvousSession {
    const current = this.require(id)
    assertFits(data)
    if (current.revision !== seen) throw new ConcurrentWrite(current)
    const written = { ...current, data, revision: token(), modifiedTs: this.#clock.now(), address: this.#sessions.get(id)?.address ?? '' }
    this.#sessions.set(id, written)
    return written
  }

  /** @throws M_NOT_FOUND */
  remove(id: string): void {
    this.require(id)
    this.#sessions.delete(id)
  }

  /** How long a session still lives, in ms. */
  remainingMs({ expiresTs }: RendezvousSession): number {
    return Math.max(0, expiresTs - this.#clock.now())
  }

  #expire(): void {
    const now = this.#clock.now()
    for (const session of this.#sessions.values()) {
      if (session.expiresTs > now) return
      this.#sessions.delete(session.id)
    }
  }

  #limited(first: RendezvousSession | undefined): MatrixError {
    const [oldest] = this.#sessions.values()
    const next = first ?? oldest
    return refuse('M_LIMIT_EXCEEDED', 'Too many devices are being logged in by code at the moment; try again in a few minutes.', {
      retry_after_ms: next ? Math.max(1, this.remainingMs(next)) : lifetimeMs,
    })
  }
}

function token(): string {
  return randomBytes(16).toString('base64url')
}

function assertFits(data: string): void {
  if (Buffer.byteLength(data) > maxDataBytes) throw refuse('M_TOO_LARGE', `A session holds at most ${maxDataBytes} bytes.`)
}
