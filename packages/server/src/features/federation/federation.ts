/**
 * Requests to other homeservers: found, signed, sent and read in one place.
 *
 * Spec: server-server API.
 */
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import { signRequest } from '@myelin/protocol/federation/x-matrix.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { parseJsonBytes } from '@myelin/protocol/json/parse.ts'
import type { Clock } from '#platform/clock.ts'
import type { GuardedClient, RemoteAnswer } from '#platform/fetch/guarded-client.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import type { Destinations } from './destinations.ts'
import type { ServerAddress, ServerDiscovery } from './server-discovery.ts'
import type { ServerPolicy } from './server-policy.ts'

/** A request to another homeserver. */
export interface FederationRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** From `/_matrix` on, percent-encoded; `pathOf` makes one. */
  readonly path: string
  readonly body?: JsonObject
  /** Default `federation.client_timeout`. */
  readonly timeoutMs?: number
  /** Largest answer; default 10 MiB. */
  readonly maxBytes?: number
  /** Keys are asked for without a signature, because the other server may not know ours yet. */
  readonly isUnsigned?: true
  /** Asks also a server that did not answer lately: a user waits for it. */
  readonly insists?: true
}

/** Another homeserver has answered, with a refusal. */
export class FederationRefusal extends Error {
  override readonly name = 'FederationRefusal'
  readonly status: number
  /** `M_UNKNOWN` where the answer has none. */
  readonly errcode: string
  /** The whole answer; empty where it is no JSON object. */
  readonly body: JsonObject

  constructor(serverName: string, status: number, body: JsonObject) {
    const [errcode, text] = [own(body, 'errcode'), own(body, 'error')]
    super(`${serverName} answered ${status}${typeof text === 'string' ? `: ${text.slice(0, 500)}` : ''}`)
    this.status = status
    this.errcode = typeof errcode === 'string' ? errcode : 'M_UNKNOWN'
    this.body = body
  }
}

/** `federation.client_timeout` and the short retries. */
export interface RequestRules {
  readonly timeoutMs: number
  readonly retries: number
  readonly longestRetryDelayMs: number
}

/** Which servers may be asked, and who is told whether they answer. */
export type AskedServers = Pick<Destinations, 'mayAsk' | 'failed' | 'answered' | 'retryTs' | 'onAnswered'>

interface Needs {
  readonly signer: EventSigner
  readonly clock: Clock
  readonly policy: ServerPolicy
  readonly discovery: ServerDiscovery
  readonly destinations: AskedServers
  /** The client for a server, by whether its certificate is to be checked. */
  readonly clientFor: (serverName: ServerName) => GuardedClient
  readonly rules: RequestRules
}

const maxErrorBytes = 64 * 1024
/** Failures of connecting, after which nothing has been asked yet. */
const unreached = new Set(['connection', 'unknown-host', 'tls'])
/** Failures that are this server's own doing. */
const notItsFault: ReadonlySet<string> = new Set(['aborted', 'too-large'])
/** Refusals of media with a status of the 500 class, from a server that works. */
const aboutContent: ReadonlySet<string> = new Set(['M_NOT_YET_UPLOADED', 'M_TOO_LARGE'])

export class Federation {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Whether this server talks to another one at all. */
  allows(serverName: string): boolean {
    return this.#needs.policy.allows(serverName)
  }

  /** @throws M_FORBIDDEN where this server does not talk to another one */
  assertAllowed(serverName: string): void {
    this.#needs.policy.assertAllowed(serverName)
  }

  /** When a server that did not answer may be asked again, in ms since 1970; 0 where it may be now. */
  retryTs(serverName: ServerName): number {
    return this.#needs.destinations.retryTs(serverName)
  }

  /** Leaves a server alone for a while, for a reason that a request alone does not show. */
  async backOff(serverName: ServerName): Promise<void> {
    await this.#needs.destinations.failed(serverName)
  }

  /** Calls `listener` when a server that did not answer shows that it lives. */
  onAnswered(listener: (serverName: ServerName) => void): void {
    this.#needs.destinations.onAnswered(listener)
  }

  /**
   * Sends a request and reads the JSON object of the answer.
   * @throws M_FORBIDDEN where this server does not talk to that one; FederationRefusal for an error answer; RemoteError where there is none
   */
  async request(serverName: ServerName, request: FederationRequest): Promise<JsonObject> {
    const answer = await this.open(serverName, request)
    return jsonObject(await contentOf(answer), answer.url)
  }

  /** Sends a request and answers as soon as the head of a successful answer is there; errors as of `request`. */
  async open(serverName: ServerName, request: FederationRequest): Promise<RemoteAnswer> {
    const { policy, destinations } = this.#needs
    policy.assertAllowed(serverName)
    if (request.insists === undefined && !destinations.mayAsk(serverName)) {
      throw new RemoteError('connection', `https://${serverName}/`, `${serverName} did not answer lately and is not asked again yet.`)
    }
    try {
      const answer = await this.#send(serverName, request)
      const refusal = answer.status < 200 || answer.status > 299 ? await refusalOf(serverName, answer) : undefined
      if (answer.status >= 500 && !aboutContent.has(refusal?.errcode ?? '')) await destinations.failed(serverName)
      else await destinations.answered(serverName)
      if (refusal) throw refusal
      return answer
    } catch (error) {
      if (error instanceof RemoteError && !notItsFault.has(error.failure)) await destinations.failed(serverName)
      throw error
    }
  }

  async #send(serverName: ServerName, request: FederationRequest): Promise<RemoteAnswer> {
    const { clock, rules } = this.#needs
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(serverName, request)
      } catch (error) {
        const isWorthwhile = error instanceof RemoteError && error.failure === 'connection' && attempt < rules.retries
        if (!isWorthwhile) throw error
        await clock.sleep(Math.min(rules.longestRetryDelayMs, 200 * 4 ** attempt))
      }
    }
  }

  /** Tries the addresses of a server in order, as long as none was reached. */
  async #attempt(serverName: ServerName, request: FederationRequest): Promise<RemoteAnswer> {
    const client = this.#needs.clientFor(serverName)
    let failure: unknown = new RemoteError('unknown-host', `https://${serverName}/`, `${serverName} is no name of a server.`)
    for (const address of await this.#needs.discovery.addressesOf(serverName, client)) {
      try {
        return await this.#sendTo(client, address, serverName, request)
      } catch (error) {
        if (!(error instanceof RemoteError) || !unreached.has(error.failure)) throw error
        failure = error
      }
    }
    throw failure
  }

  #sendTo(client: GuardedClient, address: ServerAddress, serverName: ServerName, request: FederationRequest): Promise<RemoteAnswer> {
    const { method, path, body, timeoutMs = this.#needs.rules.timeoutMs, maxBytes } = request
    const { serverName: origin, key } = this.#needs.signer
    const headers: Record<string, string> = { host: address.host }
    if (request.isUnsigned === undefined) headers['authorization'] = signRequest({ method, uri: path, origin, destination: serverName, content: body }, key)
    if (body !== undefined) headers['content-type'] = 'application/json'
    return client.open(`${address.origin}${path}`, {
      method, headers, timeoutMs, ...(body === undefined ? {} : { body: canonicalJson(body) }), ...(maxBytes === undefined ? {} : { maxBytes }),
    })
  }
}

/**
 * The path of a request.
 * @param segments parts below `/_matrix`, each encoded here; the first one may have slashes
 * @param query parameters; undefined ones are left out, lists are repeated
 */
export function pathOf(
  [base, ...segments]: readonly [string, ...string[]], query: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>> = {},
): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const each of Array.isArray(value) ? value : [value]) parameters.append(name, String(each))
  }
  const path = ['/_matrix', base, ...segments.map(encodeURIComponent)].join('/')
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`
}

async function contentOf(answer: RemoteAnswer): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of answer.body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function jsonObject(content: Buffer, url: URL): JsonObject {
  const parsed = parseJsonBytes(content)
  if ('value' in parsed && isObject(parsed.value)) return parsed.value
  throw new RemoteError('bad-answer', url.href, 'reason' in parsed ? `The answer cannot be read. ${parsed.reason}.` : 'The answer is no JSON object.')
}

async function refusalOf(serverName: ServerName, answer: RemoteAnswer): Promise<FederationRefusal> {
  let content = Buffer.alloc(0)
  for await (const chunk of answer.body) {
    content = Buffer.concat([content, chunk])
    if (content.length > maxErrorBytes) break
  }
  const parsed = parseJsonBytes(content, 100)
  return new FederationRefusal(serverName, answer.status, 'value' in parsed && isObject(parsed.value) ? parsed.value : {})
}
