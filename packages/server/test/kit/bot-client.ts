/** Users at a second client, independent of the first: matrix-bot-sdk without cryptography, silent, with what it was told. */
import type { TestContext } from 'node:test'
import { LogService, MatrixAuth, MatrixClient } from 'matrix-bot-sdk'
import { isObject, type JsonObject } from '@myelin/protocol/json/json.ts'
import { until } from './deadline.ts'
import { loosenTimers } from './loose-timers.ts'

const nothing = (): void => undefined
LogService.setLogger({ trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing })

loosenTimers()

/** What the client tells of rooms, each with a room's id and an event. */
const roomNews = ['room.event', 'room.invite', 'room.join', 'room.leave', 'room.archived', 'room.upgraded', 'room.account_data'] as const
type RoomNews = (typeof roomNews)[number]

/** Something that the client told. */
interface Heard {
  readonly news: RoomNews | 'account_data'
  /** Empty for what belongs to no room. */
  readonly roomId: string
  readonly event: JsonObject
}

/** A user at a client of the second library. */
export class BotUser {
  readonly client: MatrixClient
  readonly userId: string
  readonly #heard: Heard[] = []

  constructor(t: TestContext, client: MatrixClient, userId: string) {
    this.client = client
    this.userId = userId
    client.setMaxListeners(100)
    client.syncingTimeout = 20_000
    for (const news of roomNews) client.on(news, (roomId: string, event: JsonObject) => this.#heard.push({ news, roomId, event }))
    client.on('account_data', (event: JsonObject) => this.#heard.push({ news: 'account_data', roomId: '', event }))
    t.after(() => client.stop())
  }

  /**
   * Sends a request for which the library has no call.
   * @param path below `/_matrix/client/v3`, or from the root where it begins with `/_`
   */
  async request(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object, query?: Readonly<Record<string, unknown>>): Promise<JsonObject> {
    const reply: unknown = await this.client.doRequest(method, path.startsWith('/_') ? path : `/_matrix/client/v3${path}`, query, body)
    if (!isObject(reply)) throw new Error(`${method} ${path} answered ${JSON.stringify(reply)}`)
    return reply
  }

  /** Waits until the client has told something of a room. @returns the event it told */
  told(news: RoomNews | 'account_data', roomId: string, fits: (event: JsonObject) => boolean = () => true): Promise<JsonObject> {
    return until(this.client, [news], `${news} of ${roomId} at ${this.userId}`, () =>
      this.#heard.find((each) => each.news === news && each.roomId === roomId && fits(each.event))?.event)
  }

  /** Waits for an event in the timeline of a room. */
  received(roomId: string, eventId: string): Promise<JsonObject> {
    return this.told('room.event', roomId, (event) => event['event_id'] === eventId)
  }

  /** Types of the events that the client was told of a room's timeline, in order. */
  typesIn(roomId: string): unknown[] {
    return this.#heard.filter((each) => each.news === 'room.event' && each.roomId === roomId).map(({ event }) => event['type'])
  }
}

/** Registers a user as the library does and starts the client. */
export async function registerBot(t: TestContext, url: string, name: string): Promise<BotUser> {
  const client = await new MatrixAuth(url).passwordRegister(name, `password-of-${name}`, `${name}'s bot`)
  const bot = new BotUser(t, client, await client.getUserId())
  await client.start()
  return bot
}

/** Logs a user in at another client. @param filter what its sync asks for */
export async function loginBot(t: TestContext, url: string, name: string, filter: object): Promise<BotUser> {
  const client = await new MatrixAuth(url).passwordLogin(name, `password-of-${name}`)
  const bot = new BotUser(t, client, await client.getUserId())
  await client.start(filter)
  return bot
}

/** A guest's client. */
export async function guestBot(t: TestContext, url: string): Promise<BotUser> {
  const account: unknown = await new MatrixClient(url, '').doRequest('POST', '/_matrix/client/v3/register', { kind: 'guest' }, {})
  if (!isObject(account)) throw new Error('The server registered no guest')
  const client = new MatrixClient(url, String(account['access_token']))
  return new BotUser(t, client, String(account['user_id']))
}
