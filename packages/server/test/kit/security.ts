/**
 * What every security test ends with: the server is alive, nothing failed inside it, people who have nothing to do with the case send and read
 * as before, and no secret went into the logs.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { syncOk } from './syncing.ts'
import type { TestClient } from './test-client.ts'
import { testServer, type TestServer, type TestServerOptions } from './test-server.ts'

/** A server under attack, with somebody who is not part of it. */
export interface Besieged {
  readonly server: TestServer
  /** Lines of the log, of every level. */
  readonly log: readonly string[]
  /** Says that a text must never appear in the log. */
  readonly keepSecret: (...secrets: readonly string[]) => void
  /** Checks the ending of every case. */
  readonly unharmed: () => Promise<void>
}

/** Starts a server and a bystander. */
export async function besieged(t: TestContext, options: TestServerOptions = {}): Promise<Besieged> {
  const log: string[] = []
  const server = await testServer(t, { ...options, log: (line) => log.push(line) })
  const bystander = await server.register('bystander')
  const room = String((await bystander.post('/createRoom', {}).ok())['room_id'])
  const secrets = [bystander.token, 'password-of-', 'shared-secret-of-tests', 'macaroon-secret-of-tests', 'form-secret-of-tests']
  let since = (await syncOk(bystander)).next_batch
  let checks = 0
  return {
    server,
    log,
    keepSecret: (...more) => void secrets.push(...more),
    unharmed: async () => {
      const body = `unharmed ${(checks += 1)}`
      await bystander.put(`${at(room)}/send/m.room.message/${checks}`, { msgtype: 'm.text', body }).ok()
      const synced = await syncOk(bystander, { since })
      since = synced.next_batch
      assert.ok(synced.rooms?.join?.[room]?.timeline.events.some((event) => event.content['body'] === body), 'a bystander reads what was sent')
      assert.deepEqual(server.errors, [])
      for (const secret of secrets) assert.ok(!log.some((line) => line.includes(secret)), `the log holds a secret (${secret.slice(0, 12)}…)`)
    },
  }
}

/** Path of a room. */
export function at(room: string): string {
  return `/rooms/${encodeURIComponent(room)}`
}

/** Makes a room. */
export async function roomOf(client: TestClient, create: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return String((await client.post('/createRoom', create).ok())['room_id'])
}
