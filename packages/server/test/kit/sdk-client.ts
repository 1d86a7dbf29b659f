/** Users at real clients: matrix-js-sdk with its Rust cryptography, silent, with what the tests wait for. */
import type { TestContext } from 'node:test'
import { ClientEvent, createClient, MemoryStore, MatrixEventEvent, MatrixError, RoomEvent, SyncState } from 'matrix-js-sdk'
import type { AuthDict, MatrixClient, MatrixEvent, Room, UIAuthCallback } from 'matrix-js-sdk'
import { CryptoEvent } from 'matrix-js-sdk/lib/crypto-api/index.js'
import { SlidingSync, type MSC3575List, type MSC3575RoomSubscription } from 'matrix-js-sdk/lib/sliding-sync.js'
import type { CryptoApi } from 'matrix-js-sdk/lib/crypto-api/index.js'
import { logger } from 'matrix-js-sdk/lib/logger.js'
import { until, type Outcome } from './deadline.ts'
import { loosenTimers } from './loose-timers.ts'

type Logger = NonNullable<NonNullable<Parameters<typeof createClient>[0]>['logger']>

const nothing = (): void => undefined
const silent: Logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, getChild: () => silent }
// Parts of the SDK that know no client log here, and their loggers take over what this one does; its type hides that.
if ('rebuild' in logger && typeof logger.rebuild === 'function') {
  Object.assign(logger, { methodFactory: () => nothing })
  logger.rebuild()
}

loosenTimers()

/** What a client tells about that may change what its user sees. */
const news: readonly string[] = [
  ClientEvent.Sync, ClientEvent.Event, ClientEvent.ToDeviceEvent, RoomEvent.Timeline, RoomEvent.LocalEchoUpdated, RoomEvent.Receipt,
  RoomEvent.MyMembership, MatrixEventEvent.Decrypted, CryptoEvent.DevicesUpdated, CryptoEvent.UserTrustStatusChanged, CryptoEvent.KeysChanged,
  CryptoEvent.KeyBackupSessionsRemaining,
]

/** A user at one device. */
export interface SdkUser {
  readonly client: MatrixClient
  readonly userId: string
  readonly deviceId: string
  readonly password: string
  /** The secret storage key that its user would type in; empty until there is one. */
  recoveryKey: Uint8Array<ArrayBuffer> | undefined
  /** Where the client uses sliding sync. */
  readonly slidingSync?: SlidingSync | undefined
}

/** The lists of a client with sliding sync, and what it wants of rooms that it subscribes to. */
export interface SlidingLists {
  readonly lists: Map<string, MSC3575List>
  readonly subscription: MSC3575RoomSubscription
}

/** Registers a user, passing the stages that the server asks for, and starts their client. */
export async function registerSdkUser(t: TestContext, url: string, name: string): Promise<SdkUser> {
  const password = `password-of-${name}`
  const anonymous = createClient({ baseUrl: url, logger: silent, store: new MemoryStore() })
  const request = { username: name, password, initial_device_display_name: `${name}'s first` }
  const session = await anonymous.registerRequest(request).then(
    () => { throw new Error('Registered without interactive authentication') },
    (error: unknown) => sessionOf(error),
  )
  const account = await anonymous.registerRequest({ ...request, auth: { type: 'm.login.dummy', session } })
  return startUser(t, url, password, account)
}

/** Logs a user in at a further device and starts the client, with sliding sync where it is told how. */
export async function loginSdkUser(t: TestContext, url: string, name: string, sliding?: SlidingLists): Promise<SdkUser> {
  const password = `password-of-${name}`
  const anonymous = createClient({ baseUrl: url, logger: silent, store: new MemoryStore() })
  const account = await anonymous.loginRequest({ type: 'm.login.password', identifier: { type: 'm.id.user', user: name }, password })
  return startUser(t, url, password, account, { sliding })
}

/** Registers a guest and starts their client. */
export async function guestSdkUser(t: TestContext, url: string): Promise<SdkUser> {
  const account = await createClient({ baseUrl: url, logger: silent, store: new MemoryStore() }).registerGuest()
  return startUser(t, url, '', account, { guest: true })
}

/** The session of a reply that asks for interactive authentication. */
function sessionOf(error: unknown): string {
  if (!(error instanceof MatrixError) || error.httpStatus !== 401) throw error
  return String(error.data['session'])
}

interface Account {
  readonly user_id: string
  readonly access_token?: string
  readonly device_id?: string
}

interface Kind {
  readonly guest?: boolean
  readonly sliding?: SlidingLists | undefined
}

async function startUser(t: TestContext, url: string, password: string, account: Account, { guest = false, sliding }: Kind = {}): Promise<SdkUser> {
  const { user_id: userId, device_id: deviceId = '', access_token: accessToken = '' } = account
  const client = createClient({
    baseUrl: url, userId, deviceId, accessToken, logger: silent, timelineSupport: true, store: new MemoryStore(), verificationMethods: ['m.sas.v1'],
    cryptoCallbacks: {
      getSecretStorageKey: ({ keys }) => {
        const [keyId] = Object.keys(keys)
        return Promise.resolve(keyId === undefined || user.recoveryKey === undefined ? null : [keyId, user.recoveryKey])
      },
    },
  })
  const slidingSync = sliding && new SlidingSync(url, sliding.lists, sliding.subscription, client, 20_000)
  const user: SdkUser = { client, userId, deviceId, password, recoveryKey: undefined, slidingSync }
  client.setGuest(guest)
  // Listeners come and go with every wait.
  client.setMaxListeners(100)
  t.after(() => client.stopClient())
  await client.initRustCrypto({ useIndexedDB: false })
  await client.startClient({ initialSyncLimit: 50, threadSupport: true, pollTimeout: 20_000, ...(slidingSync ? { slidingSync } : {}) })
  await seen(user, 'the first sync', () => client.getSyncState() === SyncState.Syncing)
  return user
}

/** Waits until a client's user can see something. */
export function seen<T>(user: SdkUser, what: string, check: () => Outcome<T> | Promise<Outcome<T>>): Promise<T> {
  return until(user.client, news, `${what} at ${user.userId} ${user.deviceId}`, check)
}

/** Answers interactive authentication with the password. */
export function byPassword(user: SdkUser): UIAuthCallback<void> {
  return async (request) => {
    const auth: AuthDict = { type: 'm.login.password', identifier: { type: 'm.id.user', user: user.userId }, password: user.password }
    await request(null).catch((error: unknown) => request({ ...auth, session: sessionOf(error) }))
  }
}

/** A room that the client knows. */
export function roomOf(user: SdkUser, roomId: string): Room {
  const room = user.client.getRoom(roomId)
  if (!room) throw new Error(`${user.userId} does not know the room ${roomId}`)
  return room
}

/** Waits for an event in a room or one of its threads, decrypted if it was encrypted. */
export function received(user: SdkUser, roomId: string, eventId: string): Promise<MatrixEvent> {
  return seen(user, `the event ${eventId}`, () => {
    const event = user.client.getRoom(roomId)?.findEventById(eventId)
    return event !== undefined && !event.isBeingDecrypted() && !event.isDecryptionFailure() && event.getType() !== 'm.room.encrypted' ? event : undefined
  })
}

/** Waits for a message and gives its text. */
export async function readMessage(user: SdkUser, roomId: string, eventId: string): Promise<string> {
  return String((await received(user, roomId, eventId)).getContent()['body'])
}

/** The cryptography of a client. */
export function crypto(user: SdkUser): CryptoApi {
  const api = user.client.getCrypto()
  if (!api) throw new Error(`The client of ${user.userId} has no cryptography`)
  return api
}
