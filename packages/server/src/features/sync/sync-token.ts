/**
 * The tokens of `/sync`: one position for each stream, `s<events>_<presence>_<typing>_<receipts>_<account data>_<to device>_<device lists>_<thread subscriptions>`.
 *
 * Spec: client-server API, "Syncing", `next_batch`.
 */
import { MatrixError } from '@myelin/protocol/errors.ts'

/** The streams of a token, in the order of the token. New ones are only ever added at the end. */
export const tokenStreams = ['events', 'presence', 'typing', 'receipts', 'accountData', 'toDevice', 'deviceLists', 'threadSubscriptions'] as const

/** A moment: a position in each stream. */
export type SyncPosition = Readonly<Record<(typeof tokenStreams)[number], number>>

const form = /^s\d{1,16}(?:_\d{1,16})*$/

/** The token of a moment. */
export function formatSyncToken(position: SyncPosition): string {
  return `s${tokenStreams.map((stream) => position[stream]).join('_')}`
}

/** The moment of a token, or undefined where the text is none. Tokens of older and newer servers have fewer and more fields. */
export function parseSyncToken(text: string): SyncPosition | undefined {
  if (text.length > 400 || !form.test(text)) return undefined
  const numbers = text.slice(1).split('_').map(Number)
  if (!numbers.every(Number.isSafeInteger)) return undefined
  const [events = 0, presence = 0, typing = 0, receipts = 0, accountData = 0, toDevice = 0, deviceLists = 0, threadSubscriptions = 0] = numbers
  return { events, presence, typing, receipts, accountData, toDevice, deviceLists, threadSubscriptions }
}

/** As `parseSyncToken`. @throws M_UNKNOWN with 400 */
export function requireSyncToken(text: string): SyncPosition {
  const position = parseSyncToken(text)
  if (!position) throw new MatrixError(400, 'M_UNKNOWN', 'The token is not one that this server gave out; sync again without a token.')
  return position
}

/** A moment that is not after `current`: where the database was restored from a backup, tokens lie ahead of it. */
export function notBeyond(position: SyncPosition, current: SyncPosition): SyncPosition {
  return {
    events: Math.min(position.events, current.events),
    presence: Math.min(position.presence, current.presence),
    typing: Math.min(position.typing, current.typing),
    receipts: Math.min(position.receipts, current.receipts),
    accountData: Math.min(position.accountData, current.accountData),
    toDevice: Math.min(position.toDevice, current.toDevice),
    deviceLists: Math.min(position.deviceLists, current.deviceLists),
    threadSubscriptions: Math.min(position.threadSubscriptions, current.threadSubscriptions),
  }
}

/** Whether two moments are the same. */
export function samePosition(one: SyncPosition, other: SyncPosition): boolean {
  return tokenStreams.every((stream) => one[stream] === other[stream])
}
