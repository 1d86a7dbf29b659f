/**
 * Quantities as Synapse's options write them: durations, sizes, octal file modes.
 *
 * Spec: none; Synapse's configuration manual, "Config Conventions".
 */

const durationUnits = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
  ['y', 31_536_000_000],
])

const sizeUnits = new Map([
  ['', 1],
  ['b', 1],
  ['k', 1024],
  ['m', 1024 ** 2],
  ['g', 1024 ** 3],
  ['t', 1024 ** 4],
])

/** Milliseconds of `1w`, `30s`, `500` or 500; undefined for anything else. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*(ms|[smhdwy])?\s*$/.exec(value)
  const unit = durationUnits.get(match?.[2] ?? 'ms')
  return match?.[1] === undefined || unit === undefined ? undefined : Math.round(Number(match[1]) * unit)
}

/** Bytes, or a plain count, of `50M`, `87KiB`, `10K` or 500; K, M, G, T are powers of 1024. Undefined for anything else. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$/i.exec(value)
  const unit = sizeUnits.get(match?.[2]?.toLowerCase() ?? '')
  return match?.[1] === undefined || unit === undefined ? undefined : Math.round(Number(match[1]) * unit)
}

/** The mode of a file, written in octal digits with or without a leading zero: `666`, `0660`, `0o600`. */
export function parseFileMode(text: string): number | undefined {
  const match = /^(?:0o?)?([0-7]{3,4})$/.exec(text.trim())
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 8)
}
