/** What tests of sliding sync share: a client that keeps its position, and a view of the answers. */
import assert from 'node:assert/strict'
import type { SyncedEvent } from './syncing.ts'
import type { TestClient } from './test-client.ts'

/** A room in an answer. */
export interface SlidingRoom {
  readonly initial?: boolean
  readonly membership?: string
  readonly name?: string | null
  readonly avatar?: string | null
  readonly heroes?: readonly { readonly user_id: string; readonly displayname?: string; readonly avatar_url?: string }[]
  readonly is_dm?: boolean
  readonly required_state?: readonly SyncedEvent[]
  readonly timeline?: readonly SyncedEvent[]
  readonly limited?: boolean
  readonly num_live?: number
  readonly prev_batch?: string
  readonly bump_stamp?: number
  readonly joined_count?: number
  readonly invited_count?: number
  readonly notification_count?: number
  readonly highlight_count?: number
  readonly unstable_expanded_timeline?: boolean
  readonly invite_state?: readonly SyncedEvent[]
  readonly stripped_state?: readonly SyncedEvent[]
}

/** An answer. */
export interface SlidingAnswer {
  readonly pos: string
  readonly txn_id?: string
  readonly lists: Readonly<Record<string, { readonly count: number }>>
  readonly rooms: Readonly<Record<string, SlidingRoom>>
  readonly extensions: {
    readonly to_device?: { readonly next_batch: string; readonly events: readonly SyncedEvent[] }
    readonly e2ee?: {
      readonly device_one_time_keys_count: Readonly<Record<string, number>>
      readonly device_unused_fallback_key_types: readonly string[]
      readonly device_lists?: { readonly changed: readonly string[]; readonly left: readonly string[] }
    }
    readonly account_data?: { readonly global: readonly SyncedEvent[]; readonly rooms: Readonly<Record<string, readonly SyncedEvent[]>> }
    readonly receipts?: { readonly rooms: Readonly<Record<string, SyncedEvent>> }
    readonly typing?: { readonly rooms: Readonly<Record<string, SyncedEvent>> }
    readonly 'io.element.msc4308.thread_subscriptions'?: {
      readonly subscribed?: Readonly<Record<string, Readonly<Record<string, { readonly automatic: boolean; readonly bump_stamp: number }>>>>
      readonly unsubscribed?: Readonly<Record<string, Readonly<Record<string, { readonly bump_stamp: number }>>>>
      readonly prev_batch?: string
    }
  }
}

/** A body, and what goes into the query. */
export type SlidingBody = Readonly<Record<string, unknown>>

const path = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'

/** Sends a request; nothing is expected yet. */
export function sliding(client: TestClient, body: SlidingBody, query: Readonly<Record<string, string | number>> = {}, init: RequestInit = {}) {
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))
  return client.post(`${path}?${parameters}`, body, init)
}

/** A request that must succeed. */
export async function slidingOk(client: TestClient, body: SlidingBody, query: Readonly<Record<string, string | number>> = {}): Promise<SlidingAnswer> {
  const reply = await sliding(client, body, query)
  assert.equal(reply.status, 200, `${path} answered ${reply.status}: ${reply.text}`)
  return JSON.parse(reply.text)
}

/** A list of the rooms from one place to another. */
export function list(from: number, to: number, more: SlidingBody = {}): SlidingBody {
  return { ranges: [[from, to]], timeline_limit: 10, required_state: [], ...more }
}

/** A client of sliding sync that goes on from its last position. */
export class SlidingClient {
  readonly client: TestClient
  body: SlidingBody
  pos: string | undefined

  constructor(client: TestClient, body: SlidingBody = { lists: { all: list(0, 99) } }) {
    this.client = client
    this.body = body
  }

  /** The next answer; `more` takes the place of members of the body from now on. */
  async next(more: SlidingBody = {}, query: Readonly<Record<string, string | number>> = {}): Promise<SlidingAnswer> {
    this.body = { ...this.body, ...more }
    const answer = await this.peek(query)
    this.pos = answer.pos
    return answer
  }

  /** The answer to the same position, without going on from it. */
  peek(query: Readonly<Record<string, string | number>> = {}): Promise<SlidingAnswer> {
    return slidingOk(this.client, this.body, { ...(this.pos === undefined ? {} : { pos: this.pos }), ...query })
  }
}

/** The bodies of the messages in a timeline. */
export function texts(room: SlidingRoom | undefined): unknown[] {
  return (room?.timeline ?? []).filter((event) => event.type === 'm.room.message').map((event) => event.content['body'])
}
