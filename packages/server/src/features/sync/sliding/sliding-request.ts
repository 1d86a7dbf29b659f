/**
 * A request of simplified sliding sync: its schema, and the form in which it is worked on.
 *
 * Spec: MSC4186, "Request Body"; MSC3884, MSC3885, MSC3959, MSC3960, MSC4508, MSC4308, MSC4480 for the extensions.
 */
import { Type, type Static } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { RequiredState, type StatePair } from './required-state.ts'

/** A request has at most this many lists, and as many subscriptions. */
const rulesLimit = 100
/** Pairs of required state in one rule. */
const pairsLimit = 500
const nameLimit = 255
/** Longest id of a connection. */
const connectionIdLimit = 255

const Name = Type.String({ maxLength: nameLimit })
const Index = Type.Integer({ minimum: 0 })
const Range = Type.Array(Index, { minItems: 2, maxItems: 2, description: 'a pair of indexes' })
const roomConfig = {
  timeline_limit: Type.Integer({ minimum: 0 }),
  required_state: Type.Array(Type.Array(Name, { minItems: 2, maxItems: 2 }), { maxItems: pairsLimit }),
}
const RoomTypes = Type.Array(Type.Union([Type.String(), Type.Null()]), { maxItems: 100 })
const Names = Type.Array(Type.String(), { maxItems: 1000 })
const optionalBoolean = Type.Optional(Type.Boolean())

const FiltersSchema = Type.Object({
  is_dm: optionalBoolean,
  is_encrypted: optionalBoolean,
  is_invite: optionalBoolean,
  room_name_like: Type.Optional(Type.String()),
  room_types: Type.Optional(RoomTypes),
  not_room_types: Type.Optional(RoomTypes),
  spaces: Type.Optional(Names),
  tags: Type.Optional(Names),
  not_tags: Type.Optional(Names),
})

const ListSchema = Type.Object({
  ...roomConfig,
  ranges: Type.Optional(Type.Array(Range, { maxItems: 100 })),
  range: Type.Optional(Range),
  slow_get_all_rooms: optionalBoolean,
  filters: Type.Optional(FiltersSchema),
})

const roomScope = { enabled: optionalBoolean, lists: Type.Optional(Names), rooms: Type.Optional(Names) }
const ExtensionsSchema = Type.Object({
  to_device: Type.Optional(Type.Object({ enabled: optionalBoolean, since: Type.Optional(Type.String()), limit: Type.Optional(Index) })),
  e2ee: Type.Optional(Type.Object({ enabled: optionalBoolean })),
  account_data: Type.Optional(Type.Object(roomScope)),
  receipts: Type.Optional(Type.Object(roomScope)),
  typing: Type.Optional(Type.Object(roomScope)),
  'io.element.msc4308.thread_subscriptions': Type.Optional(Type.Object({ enabled: optionalBoolean, limit: Type.Optional(Index) })),
  'org.matrix.msc4354.sticky_events': Type.Optional(Type.Object({ enabled: optionalBoolean, since: Type.Optional(Type.String()), limit: Type.Optional(Index) })),
})

/** The body of a request. */
export const SlidingSyncBody = Type.Object({
  conn_id: Type.Optional(Type.String()),
  txn_id: Type.Optional(Type.String({ maxLength: nameLimit })),
  lists: Type.Optional(Type.Record(Type.String(), ListSchema)),
  room_subscriptions: Type.Optional(Type.Record(Type.String(), Type.Object(roomConfig))),
  extensions: Type.Optional(ExtensionsSchema),
})

type Body = Static<typeof SlidingSyncBody>
/** Which rooms a list shows. */
export type RoomFilters = Static<typeof FiltersSchema>

/** What is wanted of a room. */
export interface RoomWish {
  readonly timelineLimit: number
  readonly requiredState: RequiredState
}

/** A list of rooms. */
export interface ListWish extends RoomWish {
  /** Inclusive; undefined for all rooms. */
  readonly ranges: readonly (readonly [from: number, to: number])[] | undefined
  readonly filters: RoomFilters
}

/** The rooms that an extension is about, as the request names them; undefined names all. */
export interface RoomScope {
  readonly lists: readonly string[] | undefined
  readonly rooms: readonly string[] | undefined
}

/** The extensions that a request enables. */
export interface ExtensionWishes {
  readonly toDevice: { readonly since: string | undefined; readonly limit: number } | undefined
  readonly e2ee: boolean
  readonly accountData: RoomScope | undefined
  readonly receipts: RoomScope | undefined
  readonly typing: RoomScope | undefined
  readonly threadSubscriptions: { readonly limit: number } | undefined
  readonly stickyEvents: { readonly since: string | undefined; readonly limit: number } | undefined
}

/** A request. */
export interface SlidingRequest {
  readonly userId: UserId
  readonly deviceId: string | undefined
  readonly connectionId: string
  readonly transactionId: string | undefined
  /** The token as it came. */
  readonly pos: string | undefined
  readonly timeoutMs: number
  readonly setPresence: string | undefined
  readonly lists: ReadonlyMap<string, ListWish>
  readonly subscriptions: ReadonlyMap<string, RoomWish>
  readonly extensions: ExtensionWishes
  /** The same for requests that want the same. */
  readonly fingerprint: string
}

const mostMessages = 100
const defaultMessages = 100
const mostSubscriptions = 100
const mostSticky = 100

/**
 * Reads a request.
 * @throws M_INVALID_PARAM for more lists, subscriptions or longer names than are possible
 */
export function readRequest(
  asking: Pick<SlidingRequest, 'userId' | 'deviceId' | 'pos' | 'timeoutMs' | 'setPresence'>, body: Body, mostEvents: number,
): SlidingRequest {
  const lists = Object.entries(body.lists ?? {})
  const subscriptions = Object.entries(body.room_subscriptions ?? {})
  if (lists.length > rulesLimit) throw refuse('M_INVALID_PARAM', `A request has at most ${rulesLimit} lists.`)
  if (subscriptions.length > rulesLimit) throw refuse('M_INVALID_PARAM', `A request has at most ${rulesLimit} room subscriptions.`)
  if (lists.some(([name]) => name.length > nameLimit)) throw refuse('M_INVALID_PARAM', `The name of a list has at most ${nameLimit} characters.`)
  const connectionId = body.conn_id ?? ''
  if (connectionId.length > connectionIdLimit || connectionId.includes('\0')) {
    throw refuse('M_INVALID_PARAM', `The field conn_id has at most ${connectionIdLimit} characters, and NUL is none of them.`)
  }
  const wish = (config: Static<typeof ListSchema> | { timeline_limit: number; required_state: string[][] }): RoomWish => ({
    timelineLimit: Math.min(config.timeline_limit, mostEvents),
    requiredState: RequiredState.of(config.required_state.map(([type = '', stateKey = '']): StatePair => [type, stateKey]), asking.userId),
  })
  return {
    ...asking,
    connectionId,
    transactionId: body.txn_id,
    lists: new Map(lists.map(([name, list]) => [name, { ...wish(list), ranges: rangesOf(list), filters: list.filters ?? {} }])),
    subscriptions: new Map(subscriptions.map(([roomId, subscription]) => [roomId, wish(subscription)])),
    extensions: extensionsOf(body.extensions ?? {}),
    fingerprint: JSON.stringify([body.lists, body.room_subscriptions, { ...body.extensions, to_device: undefined }]),
  }
}

function rangesOf(list: Static<typeof ListSchema>): [number, number][] | undefined {
  if (list.slow_get_all_rooms) return undefined
  const ranges = list.ranges ?? (list.range ? [list.range] : undefined)
  return ranges?.map(([from = 0, to = 0]) => [from, to])
}

function extensionsOf(wanted: Static<typeof ExtensionsSchema>): ExtensionWishes {
  const { to_device: toDevice, e2ee, account_data: accountData, receipts, typing } = wanted
  const threads = wanted['io.element.msc4308.thread_subscriptions']
  const sticky = wanted['org.matrix.msc4354.sticky_events']
  return {
    toDevice: toDevice?.enabled ? { since: toDevice.since, limit: Math.max(1, Math.min(toDevice.limit ?? defaultMessages, mostMessages)) } : undefined,
    e2ee: e2ee?.enabled === true,
    accountData: scopeOf(accountData),
    receipts: scopeOf(receipts),
    typing: scopeOf(typing),
    stickyEvents: sticky?.enabled ? { since: sticky.since, limit: Math.max(1, Math.min(sticky.limit ?? mostSticky, mostSticky)) } : undefined,
    threadSubscriptions: threads?.enabled ? { limit: Math.max(1, Math.min(threads.limit ?? mostSubscriptions, mostSubscriptions)) } : undefined,
  }
}

/** `*` among the names means all, as older clients write it. */
function scopeOf(wanted: Static<typeof ExtensionsSchema>['typing']): RoomScope | undefined {
  if (!wanted?.enabled) return undefined
  const { lists, rooms } = wanted
  return { lists: lists?.includes('*') ? undefined : lists, rooms: rooms?.includes('*') ? undefined : rooms }
}
