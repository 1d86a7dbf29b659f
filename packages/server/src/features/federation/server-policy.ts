/** Which servers this one talks to (`federation_domain_whitelist`). */
import { refuse } from '@myelin/protocol/errors.ts'

export class ServerPolicy {
  readonly #allowed: ReadonlySet<string> | undefined

  /** @param whitelist names of servers; null allows all */
  constructor(whitelist: readonly string[] | null) {
    this.#allowed = whitelist === null ? undefined : new Set(whitelist)
  }

  /** The names of the servers that are allowed, or undefined where all are. */
  get whitelist(): ReadonlySet<string> | undefined {
    return this.#allowed
  }

  allows(serverName: string): boolean {
    return this.#allowed === undefined || this.#allowed.has(serverName)
  }

  /** @throws M_FORBIDDEN */
  assertAllowed(serverName: string): void {
    if (!this.allows(serverName)) throw refuse('M_FORBIDDEN', `This server does not federate with ${serverName.slice(0, 255)}.`)
  }
}
