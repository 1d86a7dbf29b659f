/** Looks step by step whether this server and another one can talk, and says in words where it fails. */
import { readServerKeys } from '@myelin/protocol/federation/server-keys.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { parseJsonBytes } from '@myelin/protocol/json/parse.ts'
import { parseServerName } from '@myelin/protocol/ids/server-name.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Clock } from '#platform/clock.ts'
import type { GuardedClient, RemoteContent } from '#platform/fetch/guarded-client.ts'
import { RemoteError, type RemoteFailure } from '#platform/fetch/remote-error.ts'
import { FederationRefusal, pathOf, type Federation } from './federation.ts'
import type { ServerAddress, ServerDiscovery } from './server-discovery.ts'

/** What was looked at, and what came of it. */
export interface CheckedStep {
  readonly isGood: boolean
  /** A sentence for the operator; of a failure also how to mend it. */
  readonly text: string
}

interface Needs {
  readonly serverName: ServerName
  readonly clock: Clock
  readonly discovery: Pick<ServerDiscovery, 'find'>
  readonly federation: Pick<Federation, 'allows' | 'request'>
  readonly clientFor: (serverName: ServerName) => Pick<GuardedClient, 'fetch'>
}

const timeoutMs = 10_000
const tolerableSkewMs = 60_000

export class FederationCheck {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The steps as they are taken; those that cannot succeed after a failure are left out. */
  async *steps(target: ServerName): AsyncGenerator<CheckedStep> {
    if (!this.#needs.federation.allows(target)) {
      yield bad(`This server does not federate with ${target}: it is not in federation_domain_whitelist.`)
      return
    }
    const addresses = yield* this.#found(target)
    let answer: RemoteContent | undefined
    for (const address of addresses) answer = (yield* this.#reached(target, address)) ?? answer
    if (answer === undefined) return
    yield this.#clockOf(answer)
    if ((yield* this.#keys(target)) && target !== this.#needs.serverName) yield await this.#query(target)
  }

  async *#found(target: ServerName): AsyncGenerator<CheckedStep, readonly ServerAddress[]> {
    const { delegated, addresses } = await this.#needs.discovery.find(target, this.#needs.clientFor(target))
    const where = addresses.map(({ origin, host }) => `${origin} as ${host}`).join(', then ')
    if (addresses.length === 0) yield bad(`${target} is no name of a server.`)
    else if (delegated === undefined) yield good(`The name itself says where the server is: ${where}.`)
    else if (delegated.server !== undefined) yield good(`${target} delegates to ${delegated.server} by /.well-known/matrix/server: ${where}.`)
    else yield good(`${target} does not delegate by /.well-known/matrix/server (${withoutPeriod(delegated.reason)}). By SRV records or the name alone the server is at ${where}.`)
    return addresses
  }

  async *#reached(target: ServerName, { origin, host }: ServerAddress): AsyncGenerator<CheckedStep, RemoteContent | undefined> {
    try {
      const answer = await this.#needs.clientFor(target).fetch(`${origin}${pathOf(['federation/v1/version'])}`, { headers: { host }, timeoutMs, maxBytes: 64 * 1024 })
      const implementation = answer.status === 200 ? implementationOf(answer.body) : undefined
      if (implementation !== undefined) {
        yield good(`${origin} answers with a certificate that is valid for ${parseServerName(host)?.host ?? host}. It is ${implementation}.`)
        return answer
      }
      yield bad(`${origin} answers, but not as a homeserver does (status ${answer.status}). Does its reverse proxy forward /_matrix/federation and /_matrix/key?`)
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      yield bad(`${origin}: ${error.message} ${advice(error.failure, host)}`)
    }
    return undefined
  }

  #clockOf({ headers }: RemoteContent): CheckedStep {
    const theirs = Date.parse(String(headers.date ?? ''))
    if (Number.isNaN(theirs)) return good('It does not tell its time, so clocks are not compared.')
    const skewMs = theirs - this.#needs.clock.now()
    const seconds = Math.round(Math.abs(skewMs) / 1000)
    if (Math.abs(skewMs) <= tolerableSkewMs) return good('The clocks of both servers agree.')
    return bad(`Its clock is ${seconds} seconds ${skewMs > 0 ? 'ahead of' : 'behind'} this one's. One of them is wrong; keys and events with wrong times are refused. Set it by NTP.`)
  }

  async *#keys(target: ServerName): AsyncGenerator<CheckedStep, boolean> {
    try {
      const document = await this.#needs.federation.request(target, { method: 'GET', path: pathOf(['key/v2/server']), isUnsigned: true, timeoutMs, maxBytes: 256 * 1024 })
      const step = this.#keyStep(target, document)
      yield step
      return step.isGood
    } catch (error) {
      yield bad(`Its keys cannot be fetched: ${explained(error)}`)
      return false
    }
  }

  #keyStep(target: ServerName, document: JsonObject): CheckedStep {
    const read = readServerKeys(document)
    if ('reason' in read) return bad(`The document of its keys cannot be used: ${read.reason}.`)
    if (read.serverName !== target) return bad(`The document of its keys is one of ${read.serverName}. Is server_name right there, or does the name lead to another server?`)
    const until = new Date(read.validUntilTs).toISOString()
    if (read.validUntilTs <= this.#needs.clock.now()) return bad(`Its keys are valid until ${until}, which is over. Its clock may be wrong, or a proxy has kept an old answer.`)
    return good(`Its keys are ${read.keys.map(({ keyId }) => keyId).join(', ')}, valid until ${until}.`)
  }

  /** Asks for an alias that does not exist: to say so, the other server must have checked the signature. */
  async #query(target: ServerName): Promise<CheckedStep> {
    const { federation, serverName } = this.#needs
    try {
      await federation.request(target, { method: 'GET', path: pathOf(['federation/v1/query/directory'], { room_alias: `#myelin-federation-check:${target}` }), timeoutMs: 30_000 })
    } catch (error) {
      if (!(error instanceof FederationRefusal)) return bad(`A signed request failed: ${explained(error)}`)
      if (error.status === 401) {
        return bad(`It does not accept the signature of this server: ${withoutPeriod(error.message)}. It must be able to reach https://${serverName} for the keys; "myelin federation check ${serverName}" from another network shows whether others can.`)
      }
      if (error.status === 403) return bad(`It refuses to talk to this server: ${error.message}`)
      if (error.status >= 500) return bad(`A signed request failed: ${error.message}`)
    }
    return good('It accepts a signed request of this server.')
  }
}

function good(text: string): CheckedStep {
  return { isGood: true, text }
}

function bad(text: string): CheckedStep {
  return { isGood: false, text }
}

function withoutPeriod(text: string): string {
  return text.replace(/\.$/, '')
}

function implementationOf(body: Buffer): string | undefined {
  const parsed = parseJsonBytes(body, 100)
  const server = 'value' in parsed && isObject(parsed.value) ? own(parsed.value, 'server') : undefined
  if (!isObject(server)) return undefined
  const [name, version] = [own(server, 'name'), own(server, 'version')]
  return typeof name === 'string' ? `${name} ${typeof version === 'string' ? version : ''}`.trim().slice(0, 200) : 'a homeserver that does not tell its name'
}

function explained(error: unknown): string {
  if (error instanceof FederationRefusal || error instanceof RemoteError) return error.message
  throw error
}

/** How to mend a failure to reach a server. */
function advice(failure: RemoteFailure, host: string): string {
  switch (failure) {
    case 'forbidden-address': return 'If it is meant to be reached, write its address into ip_range_whitelist.'
    case 'unknown-host': return 'Its name has no address in the DNS.'
    case 'connection': return 'Nothing accepts connections there: check its listener, its firewall and the forwarding of the port.'
    case 'tls': return `Its certificate must be valid for ${parseServerName(host)?.host ?? host} and come, with all intermediate certificates, from an authority that this machine knows.`
    case 'timeout': return 'A firewall may drop what is sent there.'
    case 'redirects': case 'bad-answer': case 'too-large': case 'aborted': return 'What answers there is no homeserver.'
  }
}
