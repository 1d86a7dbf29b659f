/**
 * Events that ask to be delivered reliably for a while: their stickiness stands beside `content`, so that servers see it of encrypted events as well.
 *
 * Spec: MSC4354, under its unstable names.
 */
import { isObject, own, type JsonObject } from '../json/json.ts'

export const stickyField = 'msc4354_sticky'

/** The longest stickiness, in ms. */
export const longestStickyMs = 3_600_000

/** How long an event is sticky, in ms; undefined for one that is not. A redacted event is not: redaction takes the field away. */
export function stickyMsOf(pdu: JsonObject): number | undefined {
  const sticky = own(pdu, stickyField)
  const duration = isObject(sticky) ? own(sticky, 'duration_ms') : undefined
  const isValid = typeof duration === 'number' && Number.isInteger(duration) && duration >= 0 && duration <= longestStickyMs
  return isValid ? duration : undefined
}
