/**
 * How a record becomes a line: Python's `%(name)s` formats, and JSON as Synapse's two structured formatters write it.
 *
 * Spec: none; Python's "LogRecord attributes" and Synapse's structured logging manual.
 */
import { errorText, isSecretName, redactValue } from './redact.ts'
import { levels, type LogRecord } from './record.ts'

/** Makes one line, with its line feed. */
export type Formatter = (record: LogRecord) => string

type Part = string | ((record: LogRecord) => string)

/** The format that is used where none is configured. */
export const preciseFormat = '%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s'

const fieldPattern = /%%|%\((\w+)\)([-#0 +]*)(\d*)(?:\.(\d+))?([sdifrx])/g

/**
 * Compiles a Python format.
 * @param dateFormat `strftime` format of `%(asctime)s`
 */
export function textFormatter(format: string, dateFormat?: string): Formatter {
  const parts: Part[] = []
  let end = 0
  for (const match of format.matchAll(fieldPattern)) {
    parts.push(format.slice(end, match.index))
    end = match.index + match[0].length
    parts.push(match[0] === '%%' ? '%' : field(match[1] ?? '', match[2] ?? '', Number(match[3] ?? 0), match[4], match[5] ?? 's', dateFormat))
  }
  parts.push(format.slice(end))
  return (record) => {
    let line = ''
    for (const part of parts) line += typeof part === 'string' ? part : part(record)
    return `${line}${details(record)}\n`
  }
}

function field(name: string, flags: string, width: number, precision: string | undefined, type: string, dateFormat: string | undefined): Part {
  const read = attribute(name, dateFormat)
  return (record) => {
    const value = read(record)
    let text = String(value)
    if (type === 'f' && typeof value === 'number') text = value.toFixed(Number(precision ?? 6))
    else if (type === 'd' && typeof value === 'number') text = String(Math.trunc(value))
    else if (precision !== undefined) text = text.slice(0, Number(precision))
    if (flags.includes('-')) return text.padEnd(width)
    return text.padStart(width, flags.includes('0') && type !== 's' ? '0' : ' ')
  }
}

/** The value of an attribute of Python's records; what has no meaning here is empty or 0. */
function attribute(name: string, dateFormat: string | undefined): (record: LogRecord) => string | number {
  switch (name) {
    case 'asctime':
      return ({ time }) => (dateFormat === undefined ? isoTime(time) : formatDate(new Date(time), dateFormat))
    case 'created':
      return ({ time }) => time / 1000
    case 'msecs':
      return ({ time }) => time % 1000
    case 'relativeCreated':
      return ({ time }) => time - performance.timeOrigin
    case 'levelname':
      return ({ level }) => level
    case 'levelno':
      return ({ level }) => levels[level]
    case 'process':
      return () => process.pid
    case 'processName':
      return () => process.title
    case 'threadName':
      return () => 'MainThread'
    case 'lineno':
    case 'thread':
      return () => 0
    case 'name':
      return (record) => record.name
    case 'message':
      return (record) => record.message
    case 'request':
      return ({ request }) => request || 'sentinel'
    case 'requester':
      return ({ requester }) => requester ?? ''
    default:
      return ({ fields }) => (fields && Object.hasOwn(fields, name) && !isSecretName(name) ? String(redactValue(fields[name])) : '')
  }
}

/** Fields that the format does not name, and the stack of an error. */
function details({ fields }: LogRecord): string {
  if (!fields) return ''
  let errors = ''
  const rest: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) errors += `\n${errorText(value)}`
    else if (name !== 'request' && name !== 'requester' && value !== undefined) rest[name] = value
  }
  return Object.keys(rest).length > 0 ? ` ${JSON.stringify(redactValue(rest))}${errors}` : errors
}

/** `TerseJsonFormatter` (with the time) or `JsonFormatter` (without). */
export function jsonFormatter(withTime: boolean): Formatter {
  return ({ time, name, level, message, request, requester, fields }) => {
    const line: Record<string, unknown> = { log: message, namespace: name, level }
    if (withTime) line['time'] = Math.round(time / 10) / 100
    if (request !== '') line['request'] = request
    if (requester !== undefined) line['requester'] = requester
    for (const [key, value] of Object.entries(fields ?? {})) {
      if (!Object.hasOwn(line, key) && key !== '__proto__') line[key] = isSecretName(key) ? '<redacted>' : redactValue(value)
    }
    return `${JSON.stringify(line)}\n`
  }
}

let secondOfCache = -1
let cachedSecond = ''

/** `2026-01-31 12:00:00,123` in local time; the part up to seconds is kept, since most lines share it. */
function isoTime(time: number): string {
  const second = Math.floor(time / 1000)
  if (second !== secondOfCache) {
    secondOfCache = second
    cachedSecond = formatDate(new Date(time), '%Y-%m-%d %H:%M:%S')
  }
  return `${cachedSecond},${two(Math.floor(time % 1000), 3)}`
}

/** A date in local time (or UTC) in the commoner codes of `strftime`. */
export function formatDate(date: Date, format: string, utc = false): string {
  const at = utc ? new Date(date.getTime() + date.getTimezoneOffset() * 60_000) : date
  const offset = utc ? 0 : -date.getTimezoneOffset()
  return format.replaceAll(/%([a-zA-Z%])/g, (code, letter: string) => {
    switch (letter) {
      case 'Y': return String(at.getFullYear())
      case 'y': return two(at.getFullYear() % 100)
      case 'm': return two(at.getMonth() + 1)
      case 'd': return two(at.getDate())
      case 'H': return two(at.getHours())
      case 'M': return two(at.getMinutes())
      case 'S': return two(at.getSeconds())
      case 'f': return two(at.getMilliseconds(), 3).padEnd(6, '0')
      case 'j': return two(Math.round((Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()) - Date.UTC(at.getFullYear(), 0, 0)) / 86_400_000), 3)
      case 'b': return at.toLocaleString('en', { month: 'short' })
      case 'a': return at.toLocaleString('en', { weekday: 'short' })
      case 's': return String(Math.floor(date.getTime() / 1000))
      case 'z': return `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`
      case 'F': return formatDate(date, '%Y-%m-%d', utc)
      case 'T': return formatDate(date, '%H:%M:%S', utc)
      case '%': return '%'
      default: return code
    }
  })
}

function two(value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}
