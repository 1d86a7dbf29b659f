/** One of our servers and a Synapse that talk with each other, and tests of rooms that begin on either. */
import type { TestContext } from 'node:test'
import { within, type Outcome } from '../kit/deadline.ts'
import { federatingServer } from '../kit/federating-server.ts'
import { testEngine } from '../kit/homeserver-yaml.ts'
import { RealSynapse } from '../kit/real-synapse.ts'
import type { TestClient } from '../kit/test-client.ts'
import type { TestServer } from '../kit/test-server.ts'

/** A server of a pair, whatever it runs. */
export interface Neighbour {
  readonly name: 'Myelin' | 'Synapse'
  readonly serverName: string
  readonly register: (name: string) => Promise<TestClient>
  /** Cuts what other servers ask it, or lets it through again. */
  readonly setOpen: (isOpen: boolean) => void
}

/** Where a room begins, and who comes from the other server. */
export interface Pair {
  readonly home: Neighbour
  readonly away: Neighbour
}

/** The servers of a test. */
export interface Neighbours {
  readonly myelin: TestServer
  readonly synapse: RealSynapse
  /** Both directions, for tests that go the same way in both. */
  readonly pairs: readonly [Pair, Pair]
}

/** Room versions that are in use; on PostgreSQL, to which they are all the same, the two that differ most. */
export const roomVersions: readonly string[] = testEngine === 'postgres' ? ['10', '12'] : ['6', '9', '10', '11', '12']

/** Starts both servers; they stop with the test. @param config further lines of our homeserver.yaml */
export async function neighbours(t: TestContext, config = '', log?: (line: string) => void): Promise<Neighbours> {
  const tuning = 'federation: {destination_min_retry_interval: 200, destination_max_retry_interval: 1s, destination_retry_multiplier: 1, max_short_retries: 0}\n'
  const synapse = await RealSynapse.start(t)
  const myelin = await federatingServer(t, { ...(log ? { log } : {}), config: `allow_public_rooms_over_federation: true\nroom_list_publication_rules: [{action: allow}]\n${tuning}${config}` })
  const ours: Neighbour = { name: 'Myelin', serverName: myelin.serverName, register: (name) => myelin.register(name), setOpen: (isOpen) => myelin.door?.setOpen(isOpen) }
  const theirs: Neighbour = { name: 'Synapse', serverName: synapse.serverName, register: (name) => synapse.register(name), setOpen: (isOpen) => synapse.door.setOpen(isOpen) }
  return { myelin, synapse, pairs: [{ home: ours, away: theirs }, { home: theirs, away: ours }] }
}

let users = 0

/** A new user of each server. */
export async function usersOf({ home, away }: Pair): Promise<{ readonly host: TestClient; readonly guest: TestClient }> {
  const number = ++users
  return { host: await home.register(`host${number}`), guest: await away.register(`guest${number}`) }
}

/**
 * Looks until there is something to be seen, again whenever one of the clients is told anything, and now and then.
 * @param check gives undefined or false as long as there is not
 */
export async function seen<T>(clients: readonly TestClient[], what: string, check: () => Promise<Outcome<T>>): Promise<T> {
  const first = await check()
  if (first !== undefined && first !== false) return first
  const news = await Promise.all(clients.map((client) => News.of(client)))
  const look = async (): Promise<T> => {
    for (;;) {
      const found = await check()
      if (found !== undefined && found !== false) return found
      await Promise.race(news.map((each) => each.next()))
    }
  }
  try {
    return await within(what, look(), 20)
  } finally {
    for (const each of news) each.close()
  }
}

const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 1 }, state: { lazy_load_members: true } }, presence: { types: [] } }))
/** After this long without news it is looked again: not every change is news to everybody. */
const longestPauseMs = 500

/** What a client is told. */
class News {
  readonly #client: TestClient
  readonly #end = new AbortController()
  #since: string
  #waiting: Promise<void> | undefined

  private constructor(client: TestClient, since: string) {
    this.#client = client
    this.#since = since
  }

  static async of(client: TestClient): Promise<News> {
    const { next_batch: since } = await client.get(`/sync?filter=${filter}`).ok()
    return new News(client, String(since))
  }

  /** Resolves when there are news, or have been none for a while. */
  next(): Promise<void> {
    this.#waiting ??= this.#wait().finally(() => { this.#waiting = undefined })
    return this.#waiting
  }

  close(): void {
    this.#waiting?.catch(() => undefined)
    this.#end.abort()
  }

  async #wait(): Promise<void> {
    const { next_batch: since } = await this.#client.get(`/sync?filter=${filter}&timeout=${longestPauseMs}&since=${this.#since}`, { signal: this.#end.signal }).ok()
    this.#since = String(since)
  }
}
