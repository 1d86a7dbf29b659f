/**
 * What a homeserver asks of an identity server: in the name of a user who has an address, and to keep an invite for somebody who has no account yet;
 * for itself whether a key is still valid.
 *
 * Spec: identity service API, "Association lookup", "Invitation storage", "Key management".
 */
import { hash } from 'node:crypto'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import type { InviteKey } from '@myelin/protocol/auth/third-party-invite.ts'
import type { GuardedClient } from '#platform/fetch/guarded-client.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'

/** An address of somebody, and who may ask about it. */
export interface Question {
  /** Name of the identity server, `host` or `host:port`. */
  readonly server: string
  /** The user's token for that server. */
  readonly accessToken: string
  readonly medium: string
  readonly address: string
}

/** An invite that the identity server keeps until somebody proves to own the address. */
export interface KeptInvite {
  readonly token: string
  readonly displayName: string
  readonly publicKeys: readonly { readonly publicKey: string; readonly validityUrl: string }[]
}

/** Reads what a client says of an address. @throws M_MISSING_PARAM, M_INVALID_PARAM */
export function questionOf(body: JsonObject): Question {
  const read = (name: string): string => {
    const value = own(body, name)
    if (value === undefined) throw refuse('M_MISSING_PARAM', `An invite by address needs "${name}"; without an address, "user_id".`)
    if (typeof value !== 'string' || value === '' || value.length > 1000) throw refuse('M_INVALID_PARAM', `"${name}" must be a text of at most 1000 characters.`)
    return value
  }
  return { server: read('id_server'), accessToken: read('id_access_token'), medium: read('medium'), address: read('address') }
}

const answerLimitBytes = 256 * 1024
const timeoutMs = 20_000

export class IdentityServers {
  readonly #http: Pick<GuardedClient, 'fetch'>

  constructor(needs: { readonly http: Pick<GuardedClient, 'fetch'> }) {
    this.#http = needs.http
  }

  /** Who has an address; undefined where nobody has said so. @throws M_INVALID_PARAM, M_UNKNOWN (502) where the server cannot be used */
  async lookUp(question: Question): Promise<UserId | undefined> {
    const details = await this.#ask(question, 'GET', 'hash_details')
    const algorithms = own(details, 'algorithms')
    const pepper = own(details, 'lookup_pepper')
    const hashes = Array.isArray(algorithms) && algorithms.includes('sha256') && typeof pepper === 'string'
    if (!hashes && !(Array.isArray(algorithms) && algorithms.includes('none'))) throw unusable(question, 'it hashes addresses in no way that this server knows')
    const { medium, address } = question
    const key = hashes ? hash('sha256', `${address} ${medium} ${pepper}`, 'base64url') : `${address} ${medium}`
    const body = { addresses: [key], algorithm: hashes ? 'sha256' : 'none', pepper: typeof pepper === 'string' ? pepper : '' }
    const mappings = own(await this.#ask(question, 'POST', 'lookup', body), 'mappings')
    const userId = isObject(mappings) ? own(mappings, key) : undefined
    return typeof userId === 'string' && isUserId(userId) ? userId : undefined
  }

  /** Leaves an invite for who has no account yet; the identity server writes to the address. @throws as `lookUp` */
  async keepInvite(question: Question, invite: JsonObject): Promise<KeptInvite> {
    const { medium, address } = question
    const answer = await this.#ask(question, 'POST', 'store-invite', { ...invite, medium, address })
    const [token, displayName] = [own(answer, 'token'), own(answer, 'display_name')]
    const listed = own(answer, 'public_keys')
    const publicKeys = (Array.isArray(listed) ? listed : []).flatMap((entry) => {
      const [publicKey, validityUrl] = isObject(entry) ? [own(entry, 'public_key'), own(entry, 'key_validity_url')] : []
      return typeof publicKey === 'string' ? [{ publicKey, validityUrl: typeof validityUrl === 'string' ? validityUrl : '' }] : []
    })
    if (typeof token !== 'string' || publicKeys.length === 0) throw unusable(question, 'it gave no token or no key for the invite')
    return { token, displayName: typeof displayName === 'string' ? displayName : '', publicKeys }
  }

  /** Whether the identity server says that a key has not been revoked; an answer that does not come is no. */
  async isValid({ publicKey, validityUrl }: InviteKey): Promise<boolean> {
    if (validityUrl === undefined) return true
    const url = URL.parse(validityUrl)
    if (url?.protocol !== 'https:') return false
    url.searchParams.set('public_key', publicKey)
    try {
      const { status, body } = await this.#http.fetch(url, { timeoutMs, maxBytes: answerLimitBytes })
      const answer = parseJson(body.toString())
      return status === 200 && 'value' in answer && isObject(answer.value) && own(answer.value, 'valid') === true
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      return false
    }
  }

  async #ask(question: Question, method: 'GET' | 'POST', path: string, body?: JsonObject): Promise<JsonObject> {
    const { server, accessToken } = question
    if (!isServerName(server)) throw refuse('M_INVALID_PARAM', `"${server.slice(0, 200)}" is not the name of an identity server.`)
    let answer: { readonly status: number; readonly body: Buffer }
    try {
      answer = await this.#http.fetch(`https://${server}/_matrix/identity/v2/${path}`, {
        method, timeoutMs, maxBytes: answerLimitBytes,
        headers: { 'authorization': `Bearer ${accessToken}`, 'content-type': 'application/json' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      throw unusable(question, 'it cannot be reached')
    }
    if (answer.status === 401 || answer.status === 403) throw refuse('M_THREEPID_DENIED', `The identity server ${server} does not accept your "id_access_token"; register with it again.`)
    const parsed = parseJson(answer.body.toString())
    if (answer.status !== 200 || 'reason' in parsed || !isObject(parsed.value)) throw unusable(question, `it answered with status ${answer.status}`)
    return parsed.value
  }
}

function unusable({ server }: Question, why: string): Error {
  return refuse('M_CONNECTION_FAILED', `The identity server ${server} cannot be used: ${why}. Try again later, or with another one.`)
}
