/**
 * Reading one power level as a room version reads it.
 *
 * Spec: rooms/v1, "`m.room.power_levels` events accept values as strings" and "… as floats"; rooms/v10, "Values in
 * `m.room.power_levels` events must be integers".
 */
import type { JsonValue } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'

// The white space of Unicode, without the byte order mark that `\s` of JavaScript adds, with the separators that it lacks.
const whiteSpace = String.raw`[\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*`
const integerText = new RegExp(`^${whiteSpace}([+-]?[0-9]+)${whiteSpace}$`)
const longestText = 4300

/**
 * The power level that a JSON value stands for: an integer; before integers were demanded also the text of one, and a
 * float, which is truncated.
 *
 * @returns undefined for a value that is no power level, also if it is beyond what a double can hold
 */
export function readPowerLevel(version: RoomVersion, value: JsonValue | undefined): number | undefined {
  // adding 0 makes 0 of -0
  if (typeof value === 'number') {
    if (version.integerPowerLevels) return Number.isSafeInteger(value) ? value + 0 : undefined
    return Number.isFinite(value) ? Math.trunc(value) + 0 : undefined
  }
  if (typeof value !== 'string' || version.integerPowerLevels || value.length > longestText) return undefined
  const digits = integerText.exec(value)?.[1]
  if (digits === undefined) return undefined
  const level = Number(digits)
  return Number.isFinite(level) ? level + 0 : undefined
}
