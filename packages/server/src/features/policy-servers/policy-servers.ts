/**
 * Asks the policy servers of rooms to sign events.
 *
 * Spec: server-server API, `POST /_matrix/policy/v1/sign`.
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { Pdu } from '@myelin/protocol/events/event.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { PolicySigners } from '#engine/policy-checks.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'
import type { Clock } from '#platform/clock.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'

/** The room waits meanwhile. */
const timeoutMs = 10_000
/** A policy server that does not answer is left alone for so long, so that its rooms do not wait for each message. */
const pauseMs = 20_000
const maxAnswerBytes = 64 * 1024

export class PolicyServers implements PolicySigners {
  readonly #federation: Pick<Federation, 'request'>
  readonly #clock: Clock
  /** When servers that did not answer are asked again. */
  readonly #silent = new Map<ServerName, number>()

  constructor(needs: { readonly federation: Pick<Federation, 'request'>; readonly clock: Clock }) {
    this.#federation = needs.federation
    this.#clock = needs.clock
  }

  async sign(server: ServerName, pdu: Pdu): Promise<JsonObject> {
    if ((this.#silent.get(server) ?? 0) > this.#clock.now()) throw unanswered(server)
    this.#silent.delete(server)
    try {
      // It need not do anything else that a homeserver does, so that it counts for nothing whether it takes transactions.
      return await this.#federation.request(server, {
        method: 'POST', path: pathOf(['policy/v1/sign']), body: pdu, timeoutMs, maxBytes: maxAnswerBytes, insists: true,
      })
    } catch (error) {
      const hasRefused = error instanceof FederationRefusal && error.status < 500
      if (hasRefused) throw refusedBy(server, error)
      if (!(error instanceof RemoteError) && !(error instanceof FederationRefusal)) throw error
      this.#silent.set(server, this.#clock.now() + pauseMs)
      throw unanswered(server)
    }
  }
}

function unanswered(server: ServerName): MatrixError {
  return new MatrixError(502, 'M_UNKNOWN', `The policy server of the room, ${server}, does not answer, and nothing is sent there without its consent; try again later.`)
}

/** A refusal as the client is told of it: in the policy server's own words, where it has refused the event. */
function refusedBy(server: ServerName, { errcode, body, message }: FederationRefusal): MatrixError {
  const { errcode: _errcode, error: text, ...extra } = body
  const words = typeof text === 'string' ? text : message
  if (errcode === 'M_FORBIDDEN') return refuse('M_FORBIDDEN', words, extra)
  if (errcode === 'M_LIMIT_EXCEEDED') return refuse('M_LIMIT_EXCEEDED', words, extra)
  return refuse('M_FORBIDDEN', `The policy server of the room, ${server}, did not sign the event: ${words}`)
}
