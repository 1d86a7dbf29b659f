/**
 * Branded identifier types, so that a user id cannot be passed where a room id is meant.
 *
 * Spec: appendices, "Identifier Grammar".
 */
declare const brand: unique symbol

/** A string that was checked to be an identifier of the kind `Kind`. */
export type Id<Kind extends string> = string & { readonly [brand]: Kind }

/** `@localpart:server`, also with the historical grammar. */
export type UserId = Id<'user'>
/** `!opaque:server`, or `!hash` from room version 12 on. */
export type RoomId = Id<'room'>
/** `$opaque:server` in room versions 1 and 2, `$hash` from 3 on. */
export type EventId = Id<'event'>
/** `#localpart:server`. */
export type RoomAlias = Id<'alias'>
/** `host[:port]`. */
export type ServerName = Id<'server'>
