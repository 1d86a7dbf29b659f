/**
 * Kinds of values that options may have: how each is read, and what a message says would be right.
 *
 * Spec: none; Synapse's configuration manual.
 */
import { resolve } from 'node:path'
import { ConfigFault, type Findings } from './fault.ts'
import { parseDuration, parseFileMode, parseSize } from './quantities.ts'
import { describe, isList, isScalarData, plainOf, type Plain, type Setting } from './setting.ts'
import type { Fields } from './option.ts'

/** A kind of value. */
export interface Kind<out Value> {
  /** Its name in the documentation. */
  readonly name: string
  /** Completes "Expected …". */
  readonly expected: string
  /** Turns a setting into the value. @throws ConfigFault */
  readonly read: (setting: Setting, findings: Findings) => Value
  /** Options inside of it, where it is an object; of its items, where it is a list or a map. */
  readonly fields?: Fields
  /** How a path reaches those: '' for an object, '[]' for a list, '.*' for a map. */
  readonly step?: '' | '[]' | '.*'
  /** Must not be shown; may come from a file named by the option of the same name with `_path`. */
  readonly secret?: boolean
}

/** The value of a kind. */
export type ValueOf<K> = K extends Kind<infer Value> ? Value : never

/** A fault that says what was found, and what would be right. */
export function mismatch(setting: Setting, expected: string, advice = `Write ${expected}.`): ConfigFault {
  return new ConfigFault(setting.path, setting.file, setting.line, `Found ${describe(setting)}, which does not fit here.`, advice)
}

function scalar<Value>(name: string, expected: string, read: (setting: Setting) => Value | undefined): Kind<Value> {
  return {
    name,
    expected,
    read: (setting) => {
      const value = read(setting)
      if (value === undefined) throw mismatch(setting, expected)
      return value
    },
  }
}

/** A text; a bare number is taken as it was written. */
function readText({ data, source }: Setting): string | undefined {
  if (typeof data === 'string') return data
  return typeof data === 'number' ? source : undefined
}

function readNumber({ data }: Setting): number | undefined {
  return typeof data === 'number' && Number.isFinite(data) ? data : undefined
}

/** An empty text is no, as generated configurations write it. */
export const boolean = scalar('boolean', 'true or false, without quotes', ({ data }) => (typeof data === 'boolean' ? data : data === '' ? false : undefined))
export const string = scalar('string', 'a text', readText)
export const number = scalar('number', 'a number, without quotes', readNumber)
export const integer = scalar('integer', 'a whole number, without quotes', (setting) => {
  const value = readNumber(setting)
  return Number.isSafeInteger(value) ? value : undefined
})
export const port = scalar('integer', 'a port number from 0 to 65535', (setting) => {
  const value = Number(readText(setting) ?? Number.NaN)
  return Number.isInteger(value) && value >= 0 && value <= 65_535 ? value : undefined
})
/** Milliseconds. */
export const duration = scalar('duration', 'a duration such as 30s, 5m, 12h, 7d, 1w or 1y, or a number of milliseconds', ({ data }) => parseDuration(data))
/** Bytes, or a count with the same suffixes. */
export const bytes = scalar('bytes', 'a size such as 500K, 50M or 1G, or a whole number', ({ data }) => parseSize(data))
/** An absolute path; a relative one starts at the folder that the server was started in. */
export const path = scalar('path', 'the path of a file or folder', (setting) => {
  const value = readText(setting)
  return value === undefined || value === '' ? undefined : resolve(value)
})
export const fileMode = scalar('file mode', 'a file mode in octal digits, such as 660', ({ source }) => parseFileMode(source))
export const httpUrl = scalar('string', 'a URL that starts with http:// or https://', (setting) => {
  const value = readText(setting)
  return value !== undefined && /^https?:\/\//i.test(value) && URL.canParse(value) ? value : undefined
})
/** Anything, as it stands. */
export const any: Kind<Plain> = { name: 'any', expected: 'a value', read: plainOf }

/** A mapping whose keys are not ours to know. */
export const mapping: Kind<{ readonly [key: string]: Plain }> = {
  name: 'object',
  expected: 'a mapping, with one "key: value" per line',
  read: (setting) => {
    const value = plainOf(setting)
    if (typeof value !== 'object' || value === null || isPlainList(value)) throw mismatch(setting, mapping.expected)
    return value
  },
}

function isPlainList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value)
}

/** A text that must not be shown. */
export const secret: Kind<string> = { ...string, name: 'secret', secret: true }

/** Like `inner`, and an explicit `null` is a value of its own. */
export function orNull<Value>(inner: Kind<Value>): Kind<Value | null> {
  return { ...inner, name: `${inner.name} or null`, read: (setting, findings) => (setting.data === null ? null : inner.read(setting, findings)) }
}

/** One of the given words (or booleans). */
export function choice<const Values extends readonly (string | boolean)[]>(...values: Values): Kind<Values[number]> {
  const listed = values.map((value) => (typeof value === 'string' ? `"${value}"` : String(value)))
  const expected = listed.length > 1 ? `${listed.slice(0, -1).join(', ')} or ${listed.at(-1)}` : listed.join('')
  return scalar<Values[number]>(`one of ${listed.join(', ')}`, expected, ({ data, source }) => {
    return isScalarData(data) && data !== null ? values.find((value) => value === data || value === source) : undefined
  })
}

/** A list of items. */
export function list<Value>(item: Kind<Value>): Kind<readonly Value[]> {
  const expected = `a list, each item as "- ${item.fields ? 'key: value' : 'value'}"`
  return {
    name: `list of ${item.name}`,
    expected,
    read: (setting, findings) => {
      if (!isList(setting.data)) throw mismatch(setting, expected)
      return setting.data.flatMap((entry) => findings.attempt<Value[]>(() => [item.read(entry, findings)], () => []))
    },
    ...(item.fields ? { fields: item.fields, step: '[]' } : {}),
  }
}

/** A mapping from names that the operator chooses. */
export function map<Value>(item: Kind<Value>): Kind<ReadonlyMap<string, Value>> {
  return {
    name: `map of ${item.name}`,
    expected: mapping.expected,
    read: (setting, findings) => {
      const { data } = setting
      if (!(data instanceof Map)) throw mismatch(setting, mapping.expected)
      const values = new Map<string, Value>()
      for (const [key, entry] of data) findings.attempt(() => void values.set(key, item.read(entry, findings)), () => undefined)
      return values
    },
    ...(item.fields ? { fields: item.fields, step: '.*' } : {}),
  }
}

/** The first of two kinds that fits. */
export function either<First, Second>(first: Kind<First>, second: Kind<Second>): Kind<First | Second> {
  const expected = `${first.expected}, or ${second.expected}`
  return {
    name: `${first.name} or ${second.name}`,
    expected,
    read: (setting, findings) => {
      if (fits(first, setting)) return first.read(setting, findings)
      if (fits(second, setting)) return second.read(setting, findings)
      throw mismatch(setting, expected)
    },
  }
}

function fits(kind: Kind<unknown>, { data }: Setting): boolean {
  if (kind.name.startsWith('list')) return isList(data)
  return kind.fields ? data instanceof Map : isScalarData(data)
}

/**
 * A kind with a further condition.
 * @param test answers what would be right where the value is wrong, else undefined
 */
export function checked<Value>(inner: Kind<Value>, test: (value: Value) => string | undefined): Kind<Value> {
  return {
    ...inner,
    read: (setting, findings) => {
      const value = inner.read(setting, findings)
      const advice = test(value)
      if (advice !== undefined) throw new ConfigFault(setting.path, setting.file, setting.line, 'The value is not acceptable.', advice)
      return value
    },
  }
}

/** A kind whose value takes another form in the program. */
export function shaped<Value, Shape>(inner: Kind<Value>, shape: (value: Value) => Shape): Kind<Shape> {
  return { ...inner, read: (setting, findings) => shape(inner.read(setting, findings)) }
}

/** A token bucket. */
export interface RateLimit {
  /** Actions that flow back per second. */
  readonly perSecond: number
  /** Actions that may come at once. */
  readonly burstCount: number
}

/** A rate limit; a part that is not written has the given value. */
export function rateLimit(perSecond: number, burstCount: number): Kind<RateLimit> {
  const expected = 'a mapping with per_second and burst_count'
  return {
    name: 'rate limit',
    expected,
    read: (setting, findings) => {
      const { data } = setting
      if (!(data instanceof Map)) throw mismatch(setting, expected, `Write {per_second: ${perSecond}, burst_count: ${burstCount}}.`)
      const part = (name: string, fallback: number): number => {
        const entry: Setting | undefined = data.get(name)
        if (!entry || entry.data === null) return fallback
        const value = readNumber(entry)
        if (value === undefined || value < 0) throw mismatch(entry, 'a number that is not negative, without quotes')
        return value
      }
      for (const [key, entry] of data) {
        if (key !== 'per_second' && key !== 'burst_count') findings.warn(entry, `Unknown option ${entry.path} is ignored; a rate limit has per_second and burst_count.`)
      }
      return { perSecond: part('per_second', perSecond), burstCount: part('burst_count', burstCount) }
    },
  }
}
