/** Schemas that endpoints of many slices use. */
import { Type } from 'typebox'
import type { RoomId, UserId, EventId, RoomAlias } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'

/** Any JSON object. */
export const JsonObjectSchema = Type.Unsafe<JsonObject>(Type.Object({}, { additionalProperties: true }))

/** Path parameter: `!opaque` with or without a domain. */
export const RoomIdParam = Type.Unsafe<RoomId>(Type.String({ pattern: '^!.{1,254}$' }))

/** Path parameter: `@localpart:server`. */
export const UserIdParam = Type.Unsafe<UserId>(Type.String({ pattern: '^@[^:]*:.{1,254}$' }))

/** Path parameter: `$…`. */
export const EventIdParam = Type.Unsafe<EventId>(Type.String({ pattern: '^\\$.{1,254}$' }))

/** Path parameter: `#localpart:server`. */
export const RoomAliasParam = Type.Unsafe<RoomAlias>(Type.String({ pattern: '^#[^:]+:.{1,254}$' }))

/** Path parameter: a room id or an alias. */
export const RoomIdOrAliasParam = Type.Unsafe<RoomId | RoomAlias>(Type.String({ pattern: '^[!#].{1,254}$' }))

/** Query or body parameter: how many, at least one. */
export const LimitParam = Type.Integer({ minimum: 0 })
