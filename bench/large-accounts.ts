/** What grows with an account and a server: a thousand joined rooms, spaces, key backups of ten thousand sessions, directories of ten thousand rooms. */
import { at, type User } from './client.ts'
import type { Bench } from './scenarios.ts'
import { createRoom, inLanes, post, since, steady } from './steps.ts'

const joinedRooms = 1000
const spaceRooms = 200
const backupSessions = 10_000
const sessionsPerUpload = 500

const slidingPath = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0'
const slidingLists = {
  all: {
    ranges: [[0, joinedRooms - 1]], timeline_limit: 1,
    required_state: [['m.room.create', ''], ['m.room.encryption', ''], ['m.room.avatar', ''], ['m.room.name', ''], ['m.room.member', '$ME'], ['m.room.member', '$LAZY']],
  },
}

/** An account in a thousand rooms: its initial `/sync` and its first and later sliding syncs, with the memory that the first ones take above idle. */
export async function wideAccount(bench: Bench): Promise<readonly string[]> {
  const { client, users, figures, server } = bench
  const [, owner] = users
  const rooms: string[] = []
  await inLanes(joinedRooms, 8, async (index) => {
    rooms.push(await createRoom(client, owner, { preset: 'public_chat', visibility: 'public', name: `wide room ${index}`, topic: `about number ${index}` }))
  })
  const sliding = (round: number, pos?: string): Promise<Readonly<Record<string, unknown>>> =>
    client.call('POST', `${slidingPath}${pos === undefined ? '' : `&pos=${pos}`}`, { conn_id: `bench${round}`, lists: slidingLists }, owner?.token)
  for (const [what, first] of [['first sliding sync', () => sliding(1_000_000)], ['initial sync', () => since(client, owner)]] as const) {
    // What earlier work has left in memory would hide what this takes.
    await server.restart()
    await client.call('GET', '/account/whoami', undefined, owner?.token)
    figures.set(`${what} of 1,000 rooms, MiB above idle`, await server.peakMib(async () => {
      await first()
    }))
  }
  let connection = 0
  let pos = ''
  const first = await steady(server, 'first sliding sync', 10, 1, async (round) => {
    connection = round
    pos = String((await sliding(round))['pos'])
  })
  figures.set('first sliding sync of 1,000 rooms, CPU ms', first.cpuMs)
  const idle = await steady(server, 'sliding sync without news', 100, 1, async () => {
    pos = String((await sliding(connection, pos))['pos'])
  })
  figures.set('sliding sync without news, 1,000 rooms, CPU ms', idle.cpuMs)
  let withNews = 0
  const rounds = 50
  for (let round = 0; round < rounds; round += 1) {
    await post(client, rooms[round] ?? '', `wide ${round}`, owner)
    const cost = await server.measure('sliding sync with news', 1, async () => {
      pos = String((await sliding(connection, pos))['pos'])
    })
    withNews += cost.cpuMs
  }
  figures.set('sliding sync with one message, 1,000 rooms, CPU ms', withNews / rounds)
  return rooms
}

/** Walking the hierarchy of a space of two hundred rooms, page by page. */
export async function hierarchy(bench: Bench, children: readonly string[]): Promise<void> {
  const { client, users, figures, server } = bench
  const [, owner, reader] = users
  const space = await createRoom(client, owner, { preset: 'public_chat', creation_content: { type: 'm.space' }, name: 'space' })
  for (const child of children.slice(0, spaceRooms)) {
    await client.call('PUT', at(space, `/state/m.space.child/${encodeURIComponent(child)}`), { via: ['bench.example'] }, owner?.token)
  }
  const walk = async (): Promise<void> => {
    let from = ''
    do {
      const page = await client.call('GET', `/_matrix/client/v1${at(space, `/hierarchy?limit=50${from}`)}`, undefined, reader?.token)
      from = typeof page['next_batch'] === 'string' ? `&from=${page['next_batch']}` : ''
    } while (from !== '')
  }
  figures.set('hierarchy of 200 rooms, CPU ms', (await steady(server, 'hierarchy', 20, 1, walk)).cpuMs)
}

/** A backup of ten thousand sessions: the whole upload, and the whole download. */
export async function keyBackup(bench: Bench): Promise<void> {
  const { client, users, figures, server } = bench
  const [, , , user] = users
  const version = async (): Promise<string> => {
    const made = await client.call('POST', '/room_keys/version', { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'abcdefg' } }, user?.token)
    return String(made['version'])
  }
  const upload = async (into: string): Promise<void> => {
    for (let from = 0; from < backupSessions; from += sessionsPerUpload) await uploadSessions(bench, user, into, from)
  }
  await upload(await version())
  const current = await version()
  const uploading = await server.measure('key backup upload', 1, () => upload(current))
  figures.set('key backup, upload of 10,000 sessions, CPU ms', uploading.cpuMs)
  const downloading = await steady(server, 'key backup download', 5, 1, () => client.call('GET', `/room_keys/keys?version=${current}`, undefined, user?.token))
  figures.set('key backup, download of 10,000 sessions, CPU ms', downloading.cpuMs)
}

function uploadSessions({ client }: Bench, user: User | undefined, version: string, from: number): Promise<unknown> {
  const sessions = Object.fromEntries(Array.from({ length: sessionsPerUpload }, (_, offset) => [`session${from + offset}`, {
    first_message_index: 0, forwarded_count: 0, is_verified: true,
    session_data: { ephemeral: 'e'.repeat(43), ciphertext: 'c'.repeat(400), mac: 'm'.repeat(11) },
  }]))
  return client.call('PUT', `/room_keys/keys?version=${version}`, { rooms: { [`!room${Math.floor(from / 2000)}:bench.example`]: { sessions } } }, user?.token)
}

/** The first page of a directory of many rooms, and a search in it. */
export async function publicRooms(bench: Bench, existing: number, wanted: number): Promise<void> {
  const { client, users, figures, server } = bench
  await inLanes(Math.max(0, wanted - existing), 8, (index) =>
    createRoom(client, users[10 + (index % 100)], { preset: 'public_chat', visibility: 'public', name: `listed ${index}`, topic: `topic ${index % 97}` }))
  const list = (body: object): Promise<unknown> => client.call('POST', '/publicRooms', body, users[5]?.token)
  const pages = await steady(server, 'public rooms', 50, 1, (round) => list({ limit: 50 + (round % 10) }))
  figures.set(`public rooms, a page of 50 of ${wanted.toLocaleString('en')}, CPU ms`, pages.cpuMs)
  const searches = await steady(server, 'public rooms search', 50, 1, (round) => list({ limit: 20, filter: { generic_search_term: `topic ${round}` } }))
  figures.set(`public rooms, a search among ${wanted.toLocaleString('en')}, CPU ms`, searches.cpuMs)
}
