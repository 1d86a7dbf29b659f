/** Tries in the background to reach a server that an administrator wants to be asked again. */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Logger } from '#platform/log/logger.ts'
import { pathOf, type Federation } from './federation.ts'

export class Reconnecting {
  readonly #federation: Pick<Federation, 'request'>
  readonly #logger: Logger
  readonly #running = new Set<Promise<void>>()

  constructor({ federation, logger }: { readonly federation: Pick<Federation, 'request'>; readonly logger: Logger }) {
    this.#federation = federation
    this.#logger = logger
  }

  /** Begins; whether the server answers is noted with it as for any request. */
  start(serverName: ServerName): void {
    const trying = this.#try(serverName).finally(() => this.#running.delete(trying))
    this.#running.add(trying)
  }

  /** Resolves when nothing is being tried. */
  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #try(serverName: ServerName): Promise<void> {
    try {
      await this.#federation.request(serverName, { method: 'GET', path: pathOf(['federation/v1/version']), isUnsigned: true })
    } catch (error) {
      this.#logger.info(`${serverName} does not answer still: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}
