/**
 * Asks the host of a server name which host serves it.
 *
 * Spec: server-server API, "Resolving server names", `GET /.well-known/matrix/server`.
 */
import { parseServerName } from '@myelin/protocol/ids/server-name.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import { parseJsonBytes } from '@myelin/protocol/json/parse.ts'
import type { Clock } from '#platform/clock.ts'
import type { GuardedClient, RemoteContent } from '#platform/fetch/guarded-client.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'

/** What a host says of who serves it. */
export interface Delegated {
  /** Undefined where the host delegates to nobody, or gives no valid answer. */
  readonly server: string | undefined
  /** What came in place of a server, for people; '' where there is one. */
  readonly reason: string
}

interface Known extends Delegated {
  readonly untilTs: number
  /** In a row. */
  readonly failures: number
}

const hourMs = 3_600_000
const usualLifeMs = 24 * hourMs
const longestLifeMs = 48 * hourMs
const shortestLifeMs = 5 * 60_000
const mostHosts = 10_000

export class Delegation {
  readonly #clock: Clock
  readonly #known = new Map<string, Known>()
  readonly #asking = new Map<string, Promise<Delegated>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * The server name that a host delegates to.
   * @param host a DNS name without port
   */
  async of(host: string, client: Pick<GuardedClient, 'fetch'>): Promise<Delegated> {
    const known = this.#known.get(host)
    if (known && this.#clock.now() < known.untilTs) return known
    const asking = this.#asking.get(host) ?? this.#ask(host, client).finally(() => this.#asking.delete(host))
    this.#asking.set(host, asking)
    return asking
  }

  async #ask(host: string, client: Pick<GuardedClient, 'fetch'>): Promise<Delegated> {
    const before = this.#known.get(host)
    const now = this.#clock.now()
    const answer = await answerOf(host, client)
    const server = answer instanceof RemoteError ? undefined : delegatedServer(answer)
    const failures = server === undefined ? (before?.failures ?? 0) + 1 : 0
    const lifeMs = !(answer instanceof RemoteError) && server !== undefined ? lifeOf(answer, now) : Math.min(hourMs, 60_000 * 2 ** Math.min(failures - 1, 10))
    const known = { server, reason: server === undefined ? reasonOf(answer) : '', failures, untilTs: now + lifeMs }
    if (this.#known.size >= mostHosts) this.#known.clear()
    this.#known.set(host, known)
    return known
  }
}

async function answerOf(host: string, client: Pick<GuardedClient, 'fetch'>): Promise<RemoteContent | RemoteError> {
  try {
    return await client.fetch(`https://${host}/.well-known/matrix/server`, { maxRedirects: 5, maxBytes: 50 * 1024, timeoutMs: 10_000 })
  } catch (error) {
    if (error instanceof RemoteError) return error
    throw error
  }
}

function reasonOf(answer: RemoteContent | RemoteError): string {
  if (answer instanceof RemoteError) return answer.message
  return answer.status === 200 ? 'It is no JSON object whose "m.server" is the name of a server.' : `It was answered with the status ${answer.status}.`
}

function delegatedServer({ status, body }: RemoteContent): string | undefined {
  const parsed = status === 200 ? parseJsonBytes(body, 100) : undefined
  const server = parsed !== undefined && 'value' in parsed && isObject(parsed.value) ? own(parsed.value, 'm.server') : undefined
  return typeof server === 'string' && parseServerName(server) !== undefined ? server : undefined
}

/** How long an answer may be kept, in ms, by what its headers say. */
function lifeOf({ headers }: RemoteContent, now: number): number {
  const control = String(headers['cache-control'] ?? '').toLowerCase()
  const maxAge = /(?:^|[,\s])max-age=(\d+)/.exec(control)?.[1]
  const expires = Date.parse(String(headers['expires'] ?? ''))
  const asked = /no-store|no-cache/.test(control) ? 0 : maxAge !== undefined ? Number(maxAge) * 1000 : Number.isNaN(expires) ? usualLifeMs : expires - now
  return Math.min(longestLifeMs, Math.max(shortestLifeMs, asked))
}
