/**
 * How large an event may be.
 *
 * Spec: client-server API, "Size limits"; server-server API, PDU schemas.
 */
import { fitsBytes } from '../ids/identifier.ts'

/** Bytes of canonical JSON in the federation format, signatures included, `unsigned` not. */
export const maxEventBytes = 65_536
/** Bytes of `type`, `state_key`, `sender`, `room_id` and `event_id` each. */
export const maxFieldBytes = 255
/** Events that `prev_events` may name. */
export const maxPrevEvents = 20
/** Events that `auth_events` may name. */
export const maxAuthEvents = 10

/** Whether the canonical JSON of a PDU is within the limit. */
export function fitsEvent(json: string): boolean {
  return fitsBytes(json, maxEventBytes)
}

/**
 * Why a `type` or `state_key` cannot be stored, or undefined where it can. NUL and halves of surrogate pairs are refused in every room
 * version, because no database keeps them.
 */
export function checkField(name: string, text: string): string | undefined {
  if (!fitsBytes(text, maxFieldBytes)) return `${name} is longer than ${maxFieldBytes} bytes`
  return text.includes('\0') || !text.isWellFormed() ? `${name} holds NUL or half of a surrogate pair` : undefined
}
