/**
 * Credentials for the TURN servers that the operator offers.
 *
 * Spec: client-server API, "Voice over IP", `/voip/turnServer`.
 */
import { createHmac } from 'node:crypto'
import { refuse } from '@myelin/protocol/errors.ts'
import type { Clock } from '#platform/clock.ts'
import type { Requester } from '#platform/http/requester.ts'

/** What the configuration says of TURN. */
export interface TurnOptions {
  readonly uris: readonly string[]
  /** Shared with the TURN server, which checks credentials that expire. */
  readonly sharedSecret: string | undefined
  /** A fixed user, where there is no shared secret. */
  readonly username: string | undefined
  readonly password: string | undefined
  readonly userLifetimeMs: number
  readonly allowGuests: boolean
}

/** Credentials as clients get them; `ttl` in seconds. */
export interface TurnCredentials {
  readonly username: string
  readonly password: string
  readonly ttl: number
  readonly uris: readonly string[]
}

export class Voip {
  readonly #clock: Clock
  readonly #options: TurnOptions

  constructor(needs: { readonly clock: Clock; readonly turn: TurnOptions }) {
    this.#clock = needs.clock
    this.#options = needs.turn
  }

  /** Credentials for a user, or undefined where no TURN server is configured. @throws M_GUEST_ACCESS_FORBIDDEN */
  credentials(requester: Requester): TurnCredentials | undefined {
    const { uris, sharedSecret, username, password, userLifetimeMs, allowGuests } = this.#options
    if (requester.isGuest && !allowGuests) {
      throw refuse('M_GUEST_ACCESS_FORBIDDEN', 'Guests get no TURN credentials on this server; register an account first.')
    }
    if (uris.length === 0) return undefined
    const ttl = Math.floor(userLifetimeMs / 1000)
    if (sharedSecret !== undefined) {
      const temporary = `${Math.floor(this.#clock.now() / 1000) + ttl}:${requester.userId}`
      return { username: temporary, password: createHmac('sha1', sharedSecret).update(temporary).digest('base64'), ttl, uris }
    }
    return username === undefined || password === undefined ? undefined : { username, password, ttl, uris }
  }
}
