/**
 * What the policy servers of rooms say of events: asked before an event of this server is sent, and of received events that lack their signature.
 *
 * Spec: server-server API, "Policy Servers".
 */
import { isPolicySigned, needsPolicySignature, policyServerOf, policyType, withPolicySignature, type PolicyServer } from '@myelin/protocol/crypto/policy-signature.ts'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { BuiltEvent } from '@myelin/protocol/events/build.ts'
import type { Pdu, RoomEvent, Verdict } from '@myelin/protocol/events/event.ts'
import { fitsEvent } from '@myelin/protocol/events/limits.ts'
import type { ParsedPdu } from '@myelin/protocol/events/parse.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { Memberships } from './memberships.ts'
import type { RoomStates } from './room-states.ts'
import type { Room } from './room.ts'

/** Asks policy servers: declared here, done by a feature. */
export interface PolicySigners {
  /**
   * @returns the signatures that a policy server has put under an event
   * @throws MatrixError where it refuses, or cannot be asked
   */
  sign(server: ServerName, pdu: Pdu): Promise<JsonObject>
}

interface Needs {
  readonly states: RoomStates
  readonly memberships: Pick<Memberships, 'serversOf'>
}

export class PolicyChecks {
  readonly #needs: Needs
  #signers: PolicySigners | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Says who asks; called once when the server is built. */
  use(signers: PolicySigners): void {
    this.#signers = signers
  }

  /** The policy server of a room by the state `root`: only where it has a user in the room, so that nobody makes a server work who does not want to. */
  async serverOf(room: Room, root: number): Promise<PolicyServer | undefined> {
    const event = await this.#needs.states.get(room, root, policyType, '')
    const server = event && policyServerOf(event.event.content)
    return server && (await this.#needs.memberships.serversOf(room)).has(server.serverName) ? server : undefined
  }

  /**
   * Has an event of this server signed where the room has a policy server.
   * @param root the state before it
   * @throws what the policy server answers: M_FORBIDDEN, M_LIMIT_EXCEEDED; M_UNKNOWN with 502 where it does not answer; M_TOO_LARGE
   */
  async signed(room: Room, root: number, built: BuiltEvent): Promise<BuiltEvent> {
    const server = needsPolicySignature(built.event) ? await this.serverOf(room, root) : undefined
    if (!server) return built
    const event = await this.#ask(room, server, built.event)
    return { event, json: canonicalJson(event.pdu) }
  }

  /**
   * Whether a received event is recommended; it is asked for a signature where it has no valid one. An event that is not is to be soft-failed.
   * @param root the room's current state
   * @returns the event to go on with: where the policy server was asked, with its signature
   */
  async check(room: Room, root: number, received: ParsedPdu): Promise<{ readonly pdu: ParsedPdu; readonly verdict: Verdict }> {
    const recommended: Verdict = { allowed: true }
    const server = needsPolicySignature(received.event) ? await this.serverOf(room, root) : undefined
    if (!server || isPolicySigned(room.version, received.event.pdu, server, received.signedText)) return { pdu: received, verdict: recommended }
    try {
      const event = await this.#ask(room, server, received.event)
      return { pdu: { ...received, event, json: canonicalJson(event.pdu) }, verdict: recommended }
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return { pdu: received, verdict: { allowed: false, rule: 'policy server', reason: error.message } }
    }
  }

  async #ask(room: Room, server: PolicyServer, event: RoomEvent): Promise<RoomEvent> {
    const { pdu } = event
    if (!this.#signers) throw new Error('Nobody was built who asks policy servers')
    const signed = withPolicySignature(pdu, server, await this.#signers.sign(server.serverName, pdu))
    if (!signed || !isPolicySigned(room.version, signed, server)) {
      throw refuse('M_FORBIDDEN', `The policy server of the room, ${server.serverName}, did not sign with the key that the room names; tell the administrators of the room.`)
    }
    if (!fitsEvent(canonicalJson(signed))) throw refuse('M_TOO_LARGE', 'The event is too large with the signature of the room\'s policy server; send less at once.')
    return { ...event, pdu: signed }
  }
}
