/**
 * A value of a configuration file that still knows where it was written, so that every message can name file and line.
 *
 * Spec: none; the files are YAML 1.1, as operators of Synapse write them.
 */
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument, type Document, type Node } from 'yaml'
import { ConfigFault } from './fault.ts'

export type Scalar = string | number | boolean | null
/** A value without its place, as options are given by code. */
export type Plain = Scalar | readonly Plain[] | { readonly [key: string]: Plain }

/** One value of a file with its place. */
export interface Setting {
  /** Dotted path from the top of the file, list items as `<item 0>`. */
  readonly path: string
  readonly file: string
  /** First line is 1; 0 where the value was not written in a file. */
  readonly line: number
  readonly data: Scalar | readonly Setting[] | ReadonlyMap<string, Setting>
  /** A scalar as it was written, without quotes. */
  readonly source: string
}

/** The path of a child of `parent`. */
export function childPath(parent: string, key: string | number): string {
  const step = typeof key === 'number' ? `<item ${key}>` : key
  return parent === '' ? step : `${parent}.${step}`
}

/** Gives a plain value the shape of a setting. */
export function settingOf(value: Plain, path: string, file = ''): Setting {
  const at = { path, file, line: 0 }
  if (Array.isArray(value)) {
    return { ...at, source: '', data: value.map((item: Plain, index) => settingOf(item, childPath(path, index), file)) }
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => [key, settingOf(item, childPath(path, key), file)] as const)
    return { ...at, source: '', data: new Map(entries) }
  }
  const scalar: Scalar = typeof value === 'object' ? null : value
  return { ...at, source: String(scalar), data: scalar }
}

/** The value without its places; objects have no prototype, so that any key is plain data. */
export function plainOf(setting: Setting): Plain {
  const { data } = setting
  if (isList(data)) return data.map(plainOf)
  if (data instanceof Map) {
    const object: Record<string, Plain> = Object.create(null)
    for (const [key, item] of data) object[key] = plainOf(item)
    return object
  }
  return isScalarData(data) ? data : null
}

export function isList(data: Setting['data']): data is readonly Setting[] {
  return Array.isArray(data)
}

export function isScalarData(data: Setting['data']): data is Scalar {
  return data === null || typeof data !== 'object'
}

/** What a message calls a value: its kind and, where short and harmless, the value itself. */
export function describe(setting: Setting): string {
  const { data } = setting
  if (data === null) return 'nothing'
  if (isList(data)) return 'a list'
  if (data instanceof Map) return 'a mapping'
  if (typeof data === 'string') return data === '' ? 'an empty text' : 'a text'
  return `${typeof data === 'number' ? 'the number' : 'the value'} ${setting.source}`
}

/**
 * Reads one YAML text; its top must be a mapping, an empty text is an empty one.
 * @param file name for messages
 * @param duplicate is told of each key that is written twice; the later one counts, as in Synapse
 * @throws ConfigFault with the line of the first mistake of syntax
 */
export function parseSettings(
  text: string,
  file: string,
  duplicate: (setting: Setting) => void = () => undefined,
): ReadonlyMap<string, Setting> {
  const lines = new LineCounter()
  const document = parseDocument(text, { version: '1.1', lineCounter: lines, uniqueKeys: false, merge: true, prettyErrors: false })
  const [mistake] = document.errors
  if (mistake) {
    const line = lines.linePos(mistake.pos[0]).line
    const advice = 'Correct the syntax; indent with spaces, and quote texts that contain ": " or " #".'
    throw new ConfigFault('', file, line, `This is not valid YAML: ${mistake.message}`, advice)
  }
  if (!document.contents) return new Map()
  const top = read(document.contents, '', { document, file, lines, duplicate })
  if (top.data === null) return new Map()
  if (isScalarData(top.data) || isList(top.data)) {
    throw new ConfigFault('', file, top.line, `The file holds ${describe(top)}, not options.`, 'Write one option per line, as in "server_name: example.org".')
  }
  return top.data
}

interface Source {
  readonly document: Document.Parsed
  readonly file: string
  readonly lines: LineCounter
  readonly duplicate: (setting: Setting) => void
}

function read(node: Node, path: string, from: Source): Setting {
  const line = node.range ? from.lines.linePos(node.range[0]).line : 0
  const at = { path, file: from.file, line }
  if (isAlias(node)) {
    const target = node.resolve(from.document)
    if (target) return { ...read(target, path, from), line }
    throw new ConfigFault(path, from.file, line, `The anchor *${node.source} is not defined.`, `Define it before its use: &${node.source} value.`)
  }
  if (isSeq<Node>(node)) return { ...at, source: '', data: node.items.map((item, index) => read(item, childPath(path, index), from)) }
  if (isMap<Node, Node | null>(node)) return { ...at, source: '', data: readMap(node.items, path, from, line) }
  if (!isScalar(node)) return { ...at, source: '', data: null }
  const { value } = node
  const source = node.source ?? String(value)
  const plain = value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return { ...at, source, data: plain ? value : source }
}

function readMap(pairs: readonly { key: Node; value: Node | null }[], path: string, from: Source, line: number): ReadonlyMap<string, Setting> {
  const written = new Map<string, Setting>()
  const merged = new Map<string, Setting>()
  for (const { key, value } of pairs) {
    const name = isScalar(key) ? (typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))) : ''
    const keyLine = key.range ? from.lines.linePos(key.range[0]).line : line
    const child = childPath(path, name)
    const empty: Setting = { path: child, file: from.file, line: keyLine, source: '', data: null }
    const setting = value ? { ...read(value, child, from), line: keyLine } : empty
    if (name === '<<') {
      for (const source of isList(setting.data) ? setting.data : [setting]) {
        if (source.data instanceof Map) for (const [inner, item] of source.data) if (!merged.has(inner)) merged.set(inner, item)
      }
      continue
    }
    if (written.has(name)) from.duplicate(setting)
    written.set(name, setting)
  }
  return new Map([...merged, ...written])
}
