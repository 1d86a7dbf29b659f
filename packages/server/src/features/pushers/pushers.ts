/**
 * Where a user's notifications are to be sent.
 *
 * Spec: client-server API, "Push Notifications", `/pushers` and `/pushers/set`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import { Stream } from '#platform/streams/stream.ts'
import { PushersStore, type PusherRow } from './pushers.store.ts'

/** A pusher as it is stored. */
export interface Pusher {
  readonly userId: UserId
  readonly appId: string
  readonly pushkey: string
  readonly kind: 'http' | 'email'
  readonly appDisplayName: string
  readonly deviceDisplayName: string
  readonly profileTag: string
  readonly lang: string
  readonly data: JsonObject
  readonly deviceId: string | undefined
  readonly accessTokenId: number | undefined
  readonly createdTs: number
}

/** What a client wants to be set. */
export interface PusherRequest {
  readonly kind: string
  readonly appId: string
  readonly pushkey: string
  readonly appDisplayName: string
  readonly deviceDisplayName: string
  readonly profileTag: string
  readonly lang: string
  readonly data: JsonObject
  /** Keep pushers of other users with the same app id and pushkey. */
  readonly append: boolean
}

/** Whether notifications may be mailed to an address of a user. */
export interface MailAddresses {
  hasAddress(userId: UserId, address: string): Promise<boolean>
}

/** The pushers of a user have changed. */
export interface PushersRow {
  readonly userId: UserId
}

const pushkeyLimitBytes = 512
const appIdLimit = 64
const textLimitBytes = 1_024
const dataLimitBytes = 16_384
/** A user has at most this many pushers. */
const pushersLimit = 100
const gatewayPath = '/_matrix/push/v1/notify'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly addresses: MailAddresses
}

export class Pushers {
  /** Changes, in memory, for what sends the notifications. */
  readonly stream = new Stream<PushersRow>({ name: 'pushers', position: 0, ringSize: 100 })
  readonly #needs: Needs
  readonly #store: PushersStore

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new PushersStore(needs.database)
  }

  /** The pushers of a user, oldest first. */
  async ofUser(userId: UserId): Promise<Pusher[]> {
    return (await this.#store.ofUser(userId)).map(pusherOf)
  }

  /** Makes or replaces a pusher. @throws M_INVALID_PARAM, M_MISSING_PARAM, M_THREEPID_NOT_FOUND, M_TOO_LARGE */
  async set(requester: Requester, request: PusherRequest): Promise<void> {
    const { userId } = requester
    await this.#assertValid(userId, request)
    const { appId, pushkey } = request
    await this.#needs.database.transaction(async (tx) => {
      const others = (await this.#store.ofUser(userId, tx)).filter((row) => row.app_id !== appId || row.pushkey !== pushkey)
      if (others.length >= pushersLimit) throw refuse('M_TOO_LARGE', `You have ${pushersLimit} pushers, the most that is possible; delete one first.`)
      if (!request.append) await this.#store.deleteOthers(tx, { userId, appId, pushkey })
      await this.#store.set(tx, rowOf(requester, request, this.#needs.clock.now()))
      this.stream.append(tx, { userId })
    })
  }

  /** Deletes a pusher; one that is not there is no error. */
  async delete(userId: UserId, appId: string, pushkey: string): Promise<void> {
    await this.#needs.database.transaction(async (tx) => {
      await this.#store.delete(tx, { userId, appId, pushkey })
      this.stream.append(tx, { userId })
    })
  }

  /** Deletes the pushers that devices have made, because the devices go. */
  async deleteOfDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#store.deleteDevices(tx, userId, deviceIds)
    this.stream.append(tx, { userId })
  }

  /** Deletes all pushers of a user, because the account goes. */
  async deleteOfUser(tx: Tx, userId: UserId): Promise<void> {
    await this.#store.deleteUser(tx, userId)
    this.stream.append(tx, { userId })
  }

  async #assertValid(userId: UserId, request: PusherRequest): Promise<void> {
    assertKey(request.appId, request.pushkey)
    for (const text of [request.appDisplayName, request.deviceDisplayName, request.profileTag, request.lang]) {
      if (Buffer.byteLength(text) <= textLimitBytes) continue
      throw refuse('M_INVALID_PARAM', `Names, profile tag and language of a pusher have at most ${textLimitBytes} bytes.`)
    }
    if (Buffer.byteLength(JSON.stringify(request.data)) > dataLimitBytes) {
      throw refuse('M_INVALID_PARAM', `The data of a pusher has at most ${dataLimitBytes} bytes.`)
    }
    if (request.kind === 'http') assertGateway(request.data)
    else if (request.kind === 'email') await this.#assertAddress(userId, request)
    else throw refuse('M_INVALID_PARAM', 'The kind of a pusher is "http", "email" or null.')
  }

  async #assertAddress(userId: UserId, { appId, pushkey }: PusherRequest): Promise<void> {
    if (appId !== 'm.email') throw refuse('M_INVALID_PARAM', 'The app_id of an email pusher is "m.email".')
    if (!(await this.#needs.addresses.hasAddress(userId, pushkey))) {
      throw refuse('M_THREEPID_NOT_FOUND', 'That email address does not belong to your account; add it to the account first.')
    }
  }
}

/** @throws M_INVALID_PARAM */
function assertKey(appId: string, pushkey: string): void {
  if (appId.length > appIdLimit) throw refuse('M_INVALID_PARAM', `An app_id has at most ${appIdLimit} characters.`)
  if (Buffer.byteLength(pushkey) > pushkeyLimitBytes) throw refuse('M_INVALID_PARAM', `A pushkey has at most ${pushkeyLimitBytes} bytes.`)
}

/** @throws M_MISSING_PARAM, M_INVALID_PARAM */
function assertGateway(data: JsonObject): void {
  const text = own(data, 'url')
  if (text === undefined) throw refuse('M_MISSING_PARAM', 'The field data.url is missing: the URL of the push gateway.')
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.pathname !== gatewayPath) {
    throw refuse('M_INVALID_PARAM', `The field data.url must be an http or https URL with the path ${gatewayPath}.`)
  }
  const format = own(data, 'format')
  if (format !== undefined && typeof format !== 'string') {
    throw refuse('M_INVALID_PARAM', 'The field data.format must be a string such as "event_id_only".')
  }
}

function pusherOf(row: PusherRow): Pusher {
  const data: unknown = JSON.parse(row.data)
  return {
    userId: row.user_id, appId: row.app_id, pushkey: row.pushkey, kind: row.kind === 'email' ? 'email' : 'http', appDisplayName: row.app_display_name,
    deviceDisplayName: row.device_display_name, profileTag: row.profile_tag, lang: row.lang, data: isObject(data) ? data : {},
    deviceId: row.device_id ?? undefined, accessTokenId: row.access_token_id ?? undefined, createdTs: row.created_ts,
  }
}

function rowOf(requester: Requester, request: PusherRequest, now: number): PusherRow {
  return {
    app_id: request.appId, pushkey: request.pushkey, user_id: requester.userId, kind: request.kind, app_display_name: request.appDisplayName,
    device_display_name: request.deviceDisplayName, profile_tag: request.profileTag, lang: request.lang, data: JSON.stringify(request.data),
    device_id: requester.deviceId ?? null, access_token_id: requester.accessTokenId ?? null, created_ts: now,
  }
}
