/** A client that loads a server over kept connections and does as little as possible itself. */
import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

type Json = Readonly<Record<string, unknown>>

/** Requests to a server on this machine. */
export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 400 })
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  /** Whether the server answers at all. */
  async answers(): Promise<boolean> {
    try {
      await this.call('GET', '/_matrix/client/versions')
      return true
    } catch {
      // Not yet: the caller asks again. The refused connection itself paces the loop.
      return new Promise((resolve) => setImmediate(() => resolve(false)))
    }
  }

  /**
   * One request; where the server wants it later (Synapse limits walks of hierarchies, and no option changes that), it is sent once more then.
   * @param path from the root, or below `/_matrix/client/v3` where it does not begin with `/_`
   * @throws Error with the answer where it is not of the 200 class
   */
  async call(method: string, path: string, body?: unknown, token?: string): Promise<Json> {
    const full = path.startsWith('/_') ? path : `/_matrix/client/v3${path}`
    for (;;) {
      const { status, text } = await this.#exchange(method, full, body, token)
      if (status < 300) return JSON.parse(text)
      const retryAfterMs = status === 429 ? /"retry_after_ms":(\d+)/.exec(text)?.[1] : undefined
      if (retryAfterMs === undefined) throw new Error(`${method} ${full}: ${status} ${text.slice(0, 300)}`)
      await pause(Number(retryAfterMs) + 1)
    }
  }

  #exchange(method: string, full: string, body: unknown, token: string | undefined): Promise<{ status: number; text: string }> {
    const data = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(data === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(data) }),
    }
    return new Promise((resolve, reject) => {
      const sent = request({ agent: this.#agent, host: '127.0.0.1', port: this.#port, method, path: full, headers }, (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }))
      })
      sent.on('error', reject)
      sent.end(data)
    })
  }
}

/** A registered user with a device. */
export interface User {
  readonly id: string
  readonly token: string
  readonly deviceId: string
}

/** Registers a user. */
export async function register(client: Client, name: string): Promise<User> {
  const reply = await client.call('POST', '/register', { username: name, password: `password of ${name}`, auth: { type: 'm.login.dummy' } })
  return { id: String(reply['user_id']), token: String(reply['access_token']), deviceId: String(reply['device_id']) }
}

/** Registers many users, a few at a time. */
export async function registerMany(client: Client, prefix: string, count: number): Promise<User[]> {
  const users: User[] = []
  for (let index = 0; index < count; index += 8) {
    const names = Array.from({ length: Math.min(8, count - index) }, (_, offset) => `${prefix}${index + offset}`)
    users.push(...(await Promise.all(names.map((name) => register(client, name)))))
  }
  return users
}

/** Registers guests, who have no password and so cost little. */
export async function registerGuests(client: Client, count: number): Promise<User[]> {
  const guests: User[] = []
  for (let index = 0; index < count; index += 8) {
    const replies = await Promise.all(Array.from({ length: Math.min(8, count - index) }, () => client.call('POST', '/register?kind=guest', {})))
    guests.push(...replies.map((reply) => ({ id: String(reply['user_id']), token: String(reply['access_token']), deviceId: String(reply['device_id']) })))
  }
  return guests
}

/** The path of a room's endpoint. */
export function at(room: string, rest: string): string {
  return `/rooms/${encodeURIComponent(room)}${rest}`
}
