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

interface Known {
  /** Undefined where the host delegates to nobody. */
  readonly server: string | undefined
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
  readonly #asking = new Map<string, Promise<string | undefined>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * The server name that a host delegates to; undefined where it does not, or gives no valid answer.
   * @param host a DNS name without port
   */
  async of(host: string, client: Pick<GuardedClient, 'fetch'>): Promise<string | undefined> {
    const known = this.#known.get(host)
    if (known && this.#clock.now() < known.untilTs) return known.server
    const asking = this.#asking.get(host) ?? this.#ask(host, client).finally(() => this.#asking.delete(host))
    this.#asking.set(host, asking)
    return asking
  }

  async #ask(host: string, client: Pick<GuardedClient, 'fetch'>): Promise<string | undefined> {
    const before = this.#known.get(host)
    const now = this.#clock.now()
    const answer = await answerOf(host, client)
    const server = answer && delegatedServer(answer)
    const failures = server === undefined ? (before?.failures ?? 0) + 1 : 0
    const lifeMs = answer && server !== undefined ? lifeOf(answer, now) : Math.min(hourMs, 60_000 * 2 ** Math.min(failures - 1, 10))
    if (this.#known.size >= mostHosts) this.#known.clear()
    this.#known.set(host, { server, failures, untilTs: now + lifeMs })
    return server
  }
}

async function answerOf(host: string, client: Pick<GuardedClient, 'fetch'>): Promise<RemoteContent | undefined> {
  try {
    return await client.fetch(`https://${host}/.well-known/matrix/server`, { maxRedirects: 5, maxBytes: 50 * 1024, timeoutMs: 10_000 })
  } catch (error) {
    if (error instanceof RemoteError) return undefined
    throw error
  }
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
