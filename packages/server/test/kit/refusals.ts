/** Tables of requests that are refused, held against what their endpoints declare. */
import assert from 'node:assert/strict'
import { endpoints } from '#app/routes.ts'
import { endpointsAt } from './endpoint-paths.ts'
import type { Sent } from './test-client.ts'

/** A client or another server. */
interface Asker {
  send(method: string, path: string, body?: unknown): Sent
}

/** Who asks for what, and how it is refused: `403 M_FORBIDDEN`. */
export type Refusal = readonly [refusal: string, asker: Asker, method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown]

const byId = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]))

/**
 * Sends the requests, one after the other; each is refused as it says, with a code that its endpoint declares. Where an endpoint has a variant with a
 * transaction id, that is asked as well.
 */
export async function assertRefused(refusals: readonly Refusal[]): Promise<void> {
  for (const [index, [refusal, asker, method, path, body]] of refusals.entries()) {
    const [status = '', errcode = ''] = refusal.split(' ')
    const id = idOf(method, path)
    assert.ok(byId.get(id)?.errors.some((declared) => declared === errcode), `${id} does not declare ${errcode}`)
    await asker.send(method, path, body).fails(Number(status), errcode)
    if (byId.has(`${id}Transaction`)) await asker.send('PUT', `${path}/${index}`, body).fails(Number(status), errcode)
  }
}

function idOf(method: string, path: string): string {
  const full = path.startsWith('/_') ? path : `/_matrix/client/v3${path}`
  const id = endpointsAt(full).find((endpoint) => endpoint.method === method)?.id
  assert.ok(id !== undefined, `no endpoint answers ${method} ${path}`)
  return id
}
