/** Writes of every kind against a running server, and a journal of what it acknowledged. */
import { randomBytes } from 'node:crypto'
import assert from 'node:assert/strict'

/** The server did not answer: it was killed, or it refused with 503 because its storage was away. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'
}

type Body = Readonly<Record<string, unknown>>

/** A session of one user that outlives the server. */
export class Session {
  readonly userId: string
  readonly #url: () => string
  readonly #token: string

  constructor(url: () => string, userId: string, token: string) {
    this.#url = url
    this.userId = userId
    this.#token = token
  }

  /** Sends a request. @throws Unanswered; AssertionError for an answer that is neither success nor 503 */
  async send(method: string, path: string, body?: Body | Uint8Array<ArrayBuffer>): Promise<Body> {
    const answer = await exchange(this.#url(), method, path, body, this.#token)
    assert.ok(answer.status < 300, `${method} ${path} answered ${answer.status}: ${answer.text}`)
    return answer.body
  }

  /** Whether something is there: false for 404. */
  async has(path: string): Promise<boolean> {
    const answer = await exchange(this.#url(), 'GET', path, undefined, this.#token)
    assert.ok(answer.status < 300 || answer.status === 404, `GET ${path} answered ${answer.status}: ${answer.text}`)
    return answer.status < 300
  }
}

async function exchange(url: string, method: string, path: string, body?: Body | Uint8Array<ArrayBuffer>, token?: string): Promise<{ status: number; text: string; body: Body }> {
  const headers: Record<string, string> = { 'content-type': body instanceof Uint8Array ? 'text/plain' : 'application/json' }
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`
  let status: number
  let text: string
  try {
    const payload = body instanceof Uint8Array ? body : JSON.stringify(body)
    const response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body: payload ?? '' }), signal: AbortSignal.timeout(60_000) })
    status = response.status
    text = await response.text()
  } catch (cause) {
    assert.ok(!(cause instanceof DOMException && cause.name === 'TimeoutError'), `${method} ${path} hangs`)
    throw new Unanswered(`${method} ${path}`, { cause })
  }
  if (status === 503 || status === 502) throw new Unanswered(`${method} ${path} answered ${status}`)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    parsed = {}
  }
  return { status, text, body: typeof parsed === 'object' && parsed !== null ? Object.fromEntries(Object.entries(parsed)) : {} }
}

/** Registers a user. */
export async function register(url: () => string, name: string): Promise<Session> {
  const { status, text, body } = await exchange(url(), 'POST', '/_matrix/client/v3/register', { username: name, password: `password of ${name}`, auth: { type: 'm.login.dummy' } })
  assert.equal(status, 200, text)
  return new Session(url, String(body['user_id']), String(body['access_token']))
}

/** One thing that must be so after every restart. */
interface Fact {
  readonly what: string
  readonly holds: () => Promise<void>
}

/** What was acknowledged, and what was only asked for. */
export class Journal {
  readonly facts: Fact[] = []
  acknowledged = 0
  unanswered = 0

  /** Notes something that must hold from now on. */
  must(what: string, holds: () => Promise<void>): void {
    this.facts.push({ what, holds })
  }

  /** Holds every fact against the server; the oldest may be left out to keep rounds short. */
  async check(newest = 400): Promise<void> {
    for (const { what, holds } of this.facts.slice(-newest)) {
      try {
        await holds()
      } catch (cause) {
        throw new Error(`Not so after the restart: ${what}`, { cause })
      }
    }
  }
}

const client = '/_matrix/client/v3'
const slidingPath = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
const delayedPath = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'
const path = encodeURIComponent

/** The users and the room that the load works with. */
export class Load {
  readonly journal = new Journal()
  readonly #url: () => string
  readonly #alice: Session
  readonly #bob: Session
  readonly #room: string
  #count = 0

  private constructor(url: () => string, alice: Session, bob: Session, room: string) {
    this.#url = url
    this.#alice = alice
    this.#bob = bob
    this.#room = room
  }

  static async open(url: () => string): Promise<Load> {
    const [alice, bob] = [await register(url, 'alice'), await register(url, 'bob')]
    const { room_id: room } = await alice.send('POST', `${client}/createRoom`, { preset: 'public_chat' })
    await bob.send('POST', `${client}/join/${path(String(room))}`, {})
    return new Load(url, alice, bob, String(room))
  }

  /** Kinds of writes by name; each resolves when it is acknowledged and in the journal. */
  readonly kinds: Readonly<Record<string, (id: string) => Promise<void>>> = {
    message: (id) => this.#message(id),
    state: (id) => this.#state(id),
    room: (id) => this.#createRoom(id),
    membership: (id) => this.#join(id),
    accountData: (id) => this.#accountData(id),
    upload: (id) => this.#upload(id),
    registration: (id) => this.#register(id),
    profile: (id) => this.#profile(id),
    keys: (id) => this.#keys(id),
    toDevice: (id) => this.#toDevice(id),
    redaction: (id) => this.#redact(id),
    receipt: (id) => this.#receipt(id),
    pusher: (id) => this.#pusher(id),
    keyBackup: (id) => this.#keyBackup(id),
    search: (id) => this.#search(id),
    slidingSync: (id) => this.#slidingSync(id),
    delayedEvent: (id) => this.#delayedEvent(id),
    retention: (id) => this.#retention(id),
  }

  /** Writes with several hands until the server stops answering. */
  async run(hands: number): Promise<void> {
    const kinds = Object.values(this.kinds)
    await Promise.all(Array.from({ length: hands }, async (_, hand) => {
      for (let turn = hand; ; turn += 1) {
        const write = kinds[turn % kinds.length]
        try {
          await write?.(`${(this.#count += 1)}-${randomBytes(4).toString('hex')}`)
          this.journal.acknowledged += 1
        } catch (error) {
          if (!(error instanceof Unanswered)) throw error
          this.journal.unanswered += 1
          return
        }
      }
    }))
  }

  /** How many messages of the journal's room stand in its history more than once. */
  async doubled(): Promise<number> {
    const seen = new Set<string>()
    let doubled = 0
    let from = ''
    for (;;) {
      const page = await this.#alice.send('GET', `${client}/rooms/${path(this.#room)}/messages?dir=b&limit=500${from}`)
      for (const event of Array.isArray(page['chunk']) ? page['chunk'] : []) {
        const { type, content } = event
        if (type !== 'm.room.message' || typeof content?.body !== 'string') continue
        if (seen.has(content.body)) doubled += 1
        seen.add(content.body)
      }
      if (typeof page['end'] !== 'string') return doubled
      from = `&from=${path(page['end'])}`
    }
  }

  /** That the server still does everything, and that no room was left half-made. */
  async checkWhole(): Promise<void> {
    for (const [name, write] of Object.entries(this.kinds)) {
      try {
        await write(`whole-${name.toLowerCase()}-${randomBytes(4).toString('hex')}`)
      } catch (cause) {
        throw new Error(`The server no longer does this: ${name}`, { cause })
      }
    }
    const { joined_rooms: rooms } = await this.#alice.send('GET', `${client}/joined_rooms`)
    assert.ok(Array.isArray(rooms))
    for (const room of rooms.slice(-40)) await this.#checkRoom(String(room))
  }

  async #checkRoom(room: string): Promise<void> {
    for (const type of ['m.room.create', 'm.room.power_levels', 'm.room.join_rules', `m.room.member/${path(this.#alice.userId)}`]) {
      assert.ok(await this.#alice.has(`${client}/rooms/${path(room)}/state/${type}`), `room ${room} was left half-made, without ${type}`)
    }
    if (room !== this.#room) assert.ok(await this.#alice.has(`${client}/rooms/${path(room)}/state/m.room.name`), `room ${room} was left half-made, without its name`)
  }

  async #message(id: string): Promise<void> {
    const put = `${client}/rooms/${path(this.#room)}/send/m.room.message/${id}`
    const content = { msgtype: 'm.text', body: id }
    const { event_id: event } = await this.#alice.send('PUT', put, content)
    this.journal.must(`message ${id} is ${String(event)}, once`, async () => {
      const found = await this.#bob.send('GET', `${client}/rooms/${path(this.#room)}/event/${path(String(event))}`)
      assert.deepEqual(found['content'], content)
      assert.equal((await this.#alice.send('PUT', put, content))['event_id'], event)
    })
  }

  async #state(id: string): Promise<void> {
    const at = `${client}/rooms/${path(this.#room)}/state/org.example.crash/${id}`
    await this.#alice.send('PUT', at, { value: id })
    this.journal.must(`state ${id} is set`, async () => assert.deepEqual(await this.#bob.send('GET', at), { value: id }))
  }

  async #createRoom(id: string): Promise<void> {
    const { room_id: room } = await this.#alice.send('POST', `${client}/createRoom`, { preset: 'public_chat', name: id })
    this.journal.must(`room ${String(room)} is whole`, () => this.#checkRoom(String(room)))
  }

  async #join(id: string): Promise<void> {
    const { room_id: room } = await this.#alice.send('POST', `${client}/createRoom`, { preset: 'public_chat', name: id })
    await this.#bob.send('POST', `${client}/join/${path(String(room))}`, {})
    this.journal.must(`bob is in ${String(room)}`, async () => {
      const { joined } = await this.#alice.send('GET', `${client}/rooms/${path(String(room))}/joined_members`)
      assert.ok(typeof joined === 'object' && joined !== null && Object.hasOwn(joined, this.#bob.userId))
    })
  }

  async #accountData(id: string): Promise<void> {
    const at = `${client}/user/${path(this.#alice.userId)}/account_data/org.example.${id}`
    await this.#alice.send('PUT', at, { value: id })
    this.journal.must(`account data ${id}`, async () => assert.deepEqual(await this.#alice.send('GET', at), { value: id }))
  }

  async #upload(id: string): Promise<void> {
    const { content_uri: uri } = await this.#alice.send('POST', '/_matrix/media/v3/upload', new TextEncoder().encode(`content of ${id}`))
    const place = String(uri).replace('mxc://', '')
    this.journal.must(`upload ${id} is ${place}`, async () => assert.ok(await this.#alice.has(`/_matrix/client/v1/media/download/${place}`)))
  }

  async #register(id: string): Promise<void> {
    const session = await register(this.#url, `user-${id}`)
    this.journal.must(`${session.userId} is registered and logged in`, async () => {
      assert.equal((await session.send('GET', `${client}/account/whoami`))['user_id'], session.userId)
    })
  }

  async #profile(id: string): Promise<void> {
    const session = await register(this.#url, `named-${id}`)
    const at = `${client}/profile/${path(session.userId)}/displayname`
    await session.send('PUT', at, { displayname: id })
    this.journal.must(`the display name of ${session.userId}`, async () => assert.deepEqual(await this.#bob.send('GET', at), { displayname: id }))
  }

  async #keys(id: string): Promise<void> {
    const session = await register(this.#url, `keyed-${id}`)
    const { device_id: device } = await session.send('GET', `${client}/account/whoami`)
    await session.send('POST', `${client}/keys/upload`, { one_time_keys: { 'curve25519:first': 'a key' } })
    const query = { one_time_keys: { [session.userId]: { [String(device)]: 'curve25519' } } }
    const claim = await this.#bob.send('POST', `${client}/keys/claim`, query)
    assert.match(JSON.stringify(claim['one_time_keys']), /curve25519:first/)
    this.journal.must(`the key of ${session.userId} was given once`, async () => {
      const again = await this.#bob.send('POST', `${client}/keys/claim`, query)
      assert.doesNotMatch(JSON.stringify(again['one_time_keys'] ?? {}), /curve25519:first/)
    })
  }

  async #toDevice(id: string): Promise<void> {
    const session = await register(this.#url, `device-${id}`)
    await this.#alice.send('PUT', `${client}/sendToDevice/org.example.crash/${id}`, { messages: { [session.userId]: { '*': { id } } } })
    if (!this.syncs) return
    this.journal.must(`${session.userId} has the message to its device`, async () => {
      const { to_device: toDevice } = await session.send('GET', `${client}/sync?timeout=0`)
      assert.ok(JSON.stringify(toDevice ?? {}).includes(id))
    })
  }

  /** Whether the server under test has /sync. */
  syncs = true

  async #redact(id: string): Promise<void> {
    const { event_id: event } = await this.#alice.send('PUT', `${client}/rooms/${path(this.#room)}/send/m.room.message/r-${id}`, { msgtype: 'm.text', body: id })
    await this.#alice.send('PUT', `${client}/rooms/${path(this.#room)}/redact/${path(String(event))}/${id}`, {})
    this.journal.must(`message ${String(event)} is redacted`, async () => {
      const found = await this.#bob.send('GET', `${client}/rooms/${path(this.#room)}/event/${path(String(event))}`)
      assert.deepEqual(found['content'], {})
    })
  }

  async #receipt(id: string): Promise<void> {
    const reader = await register(this.#url, `reader-${id}`)
    await reader.send('POST', `${client}/join/${path(this.#room)}`, {})
    const { event_id: event } = await this.#alice.send('PUT', `${client}/rooms/${path(this.#room)}/send/m.room.message/read-${id}`, { msgtype: 'm.text', body: `read ${id}` })
    await reader.send('POST', `${client}/rooms/${path(this.#room)}/receipt/m.read/${path(String(event))}`, {})
    if (!this.syncs) return
    const filter = path(JSON.stringify({ room: { rooms: [this.#room], timeline: { limit: 1 } } }))
    this.journal.must(`${reader.userId} has read ${String(event)}`, async () => {
      const { rooms } = await reader.send('GET', `${client}/sync?timeout=0&filter=${filter}`)
      assert.ok(JSON.stringify(rooms ?? {}).includes(String(event)))
    })
  }

  async #pusher(id: string): Promise<void> {
    const session = await register(this.#url, `pushed-${id}`)
    const pusher = { app_id: 'org.example.crash', pushkey: id, kind: 'http', app_display_name: 'Crash', device_display_name: 'device', lang: 'en', data: { url: 'https://push.example/_matrix/push/v1/notify' } }
    await session.send('POST', `${client}/pushers/set`, pusher)
    this.journal.must(`the pusher of ${session.userId}`, async () => {
      assert.ok(JSON.stringify(await session.send('GET', `${client}/pushers`)).includes(id))
    })
  }

  async #slidingSync(id: string): Promise<void> {
    const session = await register(this.#url, `sliding-${id}`)
    const { device_id: device } = await session.send('GET', `${client}/account/whoami`)
    await session.send('POST', `${client}/join/${path(this.#room)}`, {})
    const tell = (text: string) => this.#bob.send('PUT', `${client}/sendToDevice/m.test/${id}-${text}`, { messages: { [session.userId]: { [String(device)]: { text } } } })
    const ask = (pos: unknown, since: unknown) => session.send('POST', `${slidingPath}?set_presence=offline${typeof pos === 'string' ? `&pos=${path(pos)}` : ''}`, {
      conn_id: id, lists: { all: { ranges: [[0, 9]], timeline_limit: 1, required_state: [] } },
      extensions: { to_device: { enabled: true, ...(typeof since === 'string' ? { since } : {}) } },
    })
    await tell('first')
    const first = await ask(undefined, undefined)
    const { next, texts } = messagesOf(first)
    assert.deepEqual(texts, ['first'])
    await tell('second')
    const { pos } = await ask(first['pos'], next)
    this.journal.must(`the connection ${id} goes on, what its device acknowledged is gone and the rest is there`, async () => {
      const again = await ask(pos, next)
      assert.deepEqual(messagesOf(again).texts, ['second'])
      assert.doesNotMatch(JSON.stringify(again['rooms']), /"initial":true/)
    })
  }

  async #delayedEvent(id: string): Promise<void> {
    const schedule = async (text: string, delayMs: number): Promise<string> => {
      const put = `${client}/rooms/${path(this.#room)}/send/m.room.message/d-${text}-${id}?org.matrix.msc4140.delay=${delayMs}`
      return String((await this.#alice.send('PUT', put, { msgtype: 'm.text', body: `${text} ${id}` }))['delay_id'])
    }
    // Due about when the server is killed.
    const due = await schedule('delayed', 1 + Math.floor(Math.random() * 1000))
    const cancelled = await schedule('cancelled', 3_600_000)
    await this.#alice.send('POST', `${delayedPath}/${cancelled}/cancel`)
    this.journal.must(`the delayed event ${due} is sent, and the cancelled one ${cancelled} is not`, async () => {
      await this.#alice.send('POST', `${delayedPath}/${due}/send`)
      const { event_id: event } = await this.#alice.send('GET', `${delayedPath}/${due}`)
      const found = await this.#bob.send('GET', `${client}/rooms/${path(this.#room)}/event/${path(String(event))}`)
      assert.deepEqual(found['content'], { msgtype: 'm.text', body: `delayed ${id}` })
      const kept = await this.#alice.send('GET', `${delayedPath}/${cancelled}`)
      assert.deepEqual([kept['event_id'], typeof kept['finalised_ts']], [undefined, 'number'])
    })
  }

  async #retention(id: string): Promise<void> {
    const { room_id: room } = await this.#alice.send('POST', `${client}/createRoom`, { preset: 'public_chat', name: id })
    const at = `${client}/rooms/${path(String(room))}`
    const { event_id: ended } = await this.#alice.send('PUT', `${at}/send/m.room.message/r-${id}`, { msgtype: 'm.text', body: id })
    await this.#alice.send('PUT', `${at}/send/m.reaction/s-${id}`, { 'm.relates_to': { rel_type: 'm.annotation', event_id: ended, key: 'x' } })
    await this.#alice.send('PUT', `${at}/state/m.room.retention`, { max_lifetime: 1 })
    this.journal.must(`the message ${String(ended)} has ended and its room ${String(room)} is whole`, async () => {
      assert.equal(await this.#alice.has(`${at}/event/${path(String(ended))}`), false)
      await this.#checkRoom(String(room))
      await this.#alice.send('PUT', `${at}/send/m.room.message/again-${id}`, { msgtype: 'm.text', body: 'again' })
    })
  }

  async #keyBackup(id: string): Promise<void> {
    const session = await register(this.#url, `backed-${id}`)
    const { version } = await session.send('POST', `${client}/room_keys/version`, { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'abc' } })
    const at = `${client}/room_keys/keys/${path(this.#room)}/${id}?version=${String(version)}`
    const key = { first_message_index: 1, forwarded_count: 0, is_verified: false, session_data: { ciphertext: id, ephemeral: 'e', mac: 'm' } }
    await session.send('PUT', at, key)
    this.journal.must(`the backup of ${session.userId}`, async () => assert.deepEqual(await session.send('GET', at), key))
  }

  async #search(id: string): Promise<void> {
    const send = `${client}/rooms/${path(this.#room)}/send/m.room.message`
    const { event_id: event } = await this.#alice.send('PUT', `${send}/s-${id}`, { msgtype: 'm.text', body: `find ${id}` })
    const { event_id: hidden } = await this.#alice.send('PUT', `${send}/h-${id}`, { msgtype: 'm.text', body: `hide ${id}` })
    await this.#alice.send('PUT', `${client}/rooms/${path(this.#room)}/redact/${path(String(hidden))}/h-${id}`, {})
    this.journal.must(`a search finds ${String(event)}, once`, async () => {
      const query = { search_categories: { room_events: { search_term: id, filter: { limit: 10 } } } }
      const { search_categories: found } = await this.#bob.send('POST', `${client}/search`, query)
      const [text, eventId] = [JSON.stringify(found), JSON.stringify(event)]
      assert.equal(text.split(`"event_id":${eventId}`).length, 2, text)
      assert.ok(!text.includes(JSON.stringify(hidden)), 'what was redacted is not found')
    })
  }
}

/** The messages to a device in an answer of sliding sync, and their token. */
function messagesOf(answer: Body): { readonly next: string; readonly texts: readonly string[] } {
  const text = JSON.stringify(answer['extensions'])
  return { next: /"next_batch":"(\d+)"/.exec(text)?.[1] ?? '', texts: [...text.matchAll(/"content":\{"text":"(\w+)"/g)].map((match) => match[1] ?? '') }
}
