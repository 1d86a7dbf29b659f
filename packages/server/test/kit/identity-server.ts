/** An identity server for tests, on TLS: it hashes, keeps invites and signs like a real one. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { generateSigningKey } from '@myelin/protocol/crypto/signing-key-file.ts'
import { signJson } from '@myelin/protocol/crypto/sign-json.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'

const tls = join(import.meta.dirname, 'tls')
const accessToken = 'token of the identity server'
const pepper = 'a pepper'

/** Lines of homeserver.yaml with which a server reaches it. */
export const trustsIdentityServers = `ip_range_whitelist: ["127.0.0.1"]
use_insecure_ssl_client_just_for_testing_do_not_use: true
`

/** A running identity server. */
export interface IdentityServer {
  readonly name: string
  /** The key it signs with. */
  readonly publicKey: string
  /** Invites that were left for people without an account. */
  readonly kept: JsonObject[]
  /** Says that an address belongs to a user. */
  bind(address: string, userId: string): void
  /** Says from now on that the key it signs with is not valid. */
  revokeKey(): void
  /** What the server signs for who has proven to own an address. */
  signed(userId: string, token: string): JsonObject
}

/** Starts one that ends with the test. @param options.status what it answers to everything, in place of what it should */
export async function identityServer(t: TestContext, options: { readonly status?: number } = {}): Promise<IdentityServer> {
  const key = generateSigningKey(randomBytes)
  const owners = new Map<string, string>()
  const kept: JsonObject[] = []
  let isKeyValid = true
  const answer = (path: string, body: JsonObject): JsonObject => {
    if (path === '/_matrix/identity/v2/hash_details') return { algorithms: ['none', 'sha256'], lookup_pepper: pepper }
    if (path === '/_matrix/identity/v2/lookup') {
      const asked = body['addresses']
      assert.ok(Array.isArray(asked) && body['algorithm'] === 'sha256' && body['pepper'] === pepper)
      return { mappings: Object.fromEntries(asked.flatMap((hash) => { const owner = owners.get(String(hash)); return owner === undefined ? [] : [[String(hash), owner]] })) }
    }
    assert.equal(path, '/_matrix/identity/v2/store-invite')
    kept.push(body)
    const url = `https://${name}/_matrix/identity/v2/pubkey/isvalid`
    return { token: `token${kept.length}`, display_name: 'c...@example.org', public_keys: [{ public_key: key.publicKey, key_validity_url: url }] }
  }
  const server = createServer({ cert: readFileSync(join(tls, 'localhost.crt')), key: readFileSync(join(tls, 'localhost.key')) }, (request, response) => {
    void textOf(request).then((text) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'https://identity.test')
      if (pathname === '/_matrix/identity/v2/pubkey/isvalid') {
        response.writeHead(options.status ?? 200).end(JSON.stringify({ valid: isKeyValid && searchParams.get('public_key') === key.publicKey }))
        return
      }
      const isKnown = request.headers.authorization === `Bearer ${accessToken}`
      const status = options.status ?? (isKnown ? 200 : 401)
      response.writeHead(status, { 'content-type': 'application/json' }).end(status === 200 ? JSON.stringify(answer(request.url ?? '', text === '' ? {} : JSON.parse(text))) : '{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const name = `127.0.0.1:${address.port}`
  return {
    name, kept, publicKey: key.publicKey,
    bind: (email, userId) => void owners.set(createHash('sha256').update(`${email} email ${pepper}`).digest('base64url'), userId),
    revokeKey: () => void (isKeyValid = false),
    signed: (userId, token) => signJson({ mxid: userId, token, sender: '@alice:test.example' }, name, key),
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

/** An address as a request to invite it names it. */
export function emailAt(server: IdentityServer, address: string): Readonly<Record<string, string>> {
  return { id_server: server.name, id_access_token: accessToken, medium: 'email', address }
}
