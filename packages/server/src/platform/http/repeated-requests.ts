/** Requests that a client may repeat under one transaction id: the first one is carried out, the others get its answer. */
import type { Clock } from '#platform/clock.ts'
import type { Endpoint } from './endpoint.ts'

interface Answer {
  readonly reply: Promise<unknown>
  readonly expiryTs: number
}

const lifetimeMs = 30 * 60_000
/** Answers that are kept at most; the oldest go first. */
const maxAnswers = 10_000

/** The answers of this process. Those that failed are not kept: such a request may be tried again. */
export class RepeatedRequests {
  readonly #clock: Clock
  readonly #answers = new Map<string, Answer>()

  constructor(needs: { readonly clock: Clock }) {
    this.#clock = needs.clock
  }

  /** The answer to a request, from `carryOut` where it is the first with its key. */
  once(key: string, carryOut: () => Promise<unknown>): Promise<unknown> {
    this.#expire()
    const known = this.#answers.get(key)
    if (known) return known.reply
    const answer: Answer = { reply: carryOut(), expiryTs: this.#clock.now() + lifetimeMs }
    this.#answers.set(key, answer)
    answer.reply.catch(() => {
      if (this.#answers.get(key) === answer) this.#answers.delete(key)
    })
    return answer.reply
  }

  #expire(): void {
    const now = this.#clock.now()
    for (const [key, { expiryTs }] of this.#answers) {
      if (expiryTs > now && this.#answers.size < maxAnswers) return
      this.#answers.delete(key)
    }
  }
}

/** The variant `PUT …/:txnId` of an endpoint. */
export function withTransactionId<Needs>(plain: Endpoint<Needs>): Endpoint<Needs & { readonly repeatedRequests: RepeatedRequests }> {
  return Object.freeze({
    ...plain,
    id: `${plain.id}Transaction`,
    method: 'PUT',
    path: `${plain.path}/:txnId`,
    handler: (needs: Needs & { readonly repeatedRequests: RepeatedRequests }, request: Parameters<Endpoint<Needs>['handler']>[1]) => {
      const { requester, url } = request
      const key = JSON.stringify([requester?.userId, requester?.deviceId, requester?.accessTokenId, plain.id, url.split('?')[0]])
      return needs.repeatedRequests.once(key, async () => plain.handler(needs, request))
    },
  })
}
