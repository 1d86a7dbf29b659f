/** The specification's OpenAPI description, found by the request that an operation serves. */
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

const repository = join(import.meta.dirname, '../../../..')
/** Material that is shared between the projects: the specification's data and checklists. */
export const sharedFolder = join(repository, '../shared')
const specFolder = join(sharedFolder, 'spec')
const cacheFolder = join(repository, 'node_modules/.cache/myelin')

/** Why a test that needs the specification cannot run, or false when it can. */
export const specificationIsAbsent = existsSync(specFolder) ? false : '../shared is absent'

/** A value as YAML gives it. */
export type Node = { readonly [key: string]: unknown }

/** One documented operation. */
export interface Operation {
  readonly file: string
  /** Keys from the file's root to the operation. */
  readonly pointer: readonly string[]
  /** Path segments with the base path; `{…}` stands for one segment of any text. */
  readonly segments: readonly string[]
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The child of a node; undefined when there is none. */
export function child(node: unknown, key: string): unknown {
  return isNode(node) && Object.hasOwn(node, key) ? node[key] : undefined
}

/** All files of the description, parsed, by their path below the specification's folder. */
export class Specification {
  readonly #files: ReadonlyMap<string, unknown>
  readonly #operations = new Map<string, Operation[]>()

  private constructor(files: ReadonlyMap<string, unknown>) {
    this.#files = files
    for (const [file, document] of files) if (isNode(child(document, 'paths'))) this.#index(file, document)
  }

  /** Reads it; undefined when it is absent. The parsed form is cached, because parsing takes seconds. */
  static load(): Specification | undefined {
    if (specificationIsAbsent !== false) return undefined
    const names = [...globSync('{api,event-schemas/schema,schemas}/**/*.yaml', { cwd: specFolder })].sort()
    const hash = createHash('sha256')
    for (const name of names) {
      const { mtimeMs, size } = statSync(join(specFolder, name))
      hash.update(`${name} ${mtimeMs} ${size}\n`)
    }
    const cache = join(cacheFolder, `specification-${hash.digest('hex').slice(0, 16)}.json`)
    if (!existsSync(cache)) writeCache(cache, names)
    const parsed: unknown = JSON.parse(readFileSync(cache, 'utf8'))
    return new Specification(new Map(isNode(parsed) ? Object.entries(parsed) : []))
  }

  get fileNames(): readonly string[] {
    return [...this.#files.keys()]
  }

  file(name: string): unknown {
    return this.#files.get(name)
  }

  /** The documented operation for a request's method and path, also where it came through an older version's path. */
  find(method: string, path: string): Operation | undefined {
    const operations = this.#operations.get(method) ?? []
    for (const spelling of spellings(path)) {
      const segments = spelling.split('/').map(decoded)
      const found = operations.find((operation) => matches(operation.segments, segments))
      if (found !== undefined) return found
    }
    return undefined
  }

  /** What a pointer in a file leads to, through one reference. */
  at(file: string, pointer: readonly string[]): { readonly file: string; readonly pointer: readonly string[]; readonly node: unknown } {
    let node: unknown = this.file(file)
    for (const key of pointer) node = child(node, key)
    const reference = child(node, '$ref')
    if (typeof reference !== 'string') return { file, pointer, node }
    const [target = '', fragment = ''] = reference.split('#')
    return this.at(target === '' ? file : join(file, '..', target), fragment.split('/').slice(1).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')))
  }

  #index(file: string, document: unknown): void {
    const servers = child(document, 'servers')
    const basePath = child(child(child(Array.isArray(servers) ? servers[0] : undefined, 'variables'), 'basePath'), 'default')
    const paths = child(document, 'paths')
    if (!isNode(paths)) return
    for (const [path, methods] of Object.entries(paths)) {
      if (!isNode(methods)) continue
      for (const method of Object.keys(methods)) {
        const list = this.#operations.get(method.toUpperCase()) ?? []
        list.push({ file, pointer: ['paths', path, method], segments: `${typeof basePath === 'string' ? basePath : ''}${path}`.split('/') })
        // Literal segments before parameters.
        list.sort((a, b) => parameters(a) - parameters(b))
        this.#operations.set(method.toUpperCase(), list)
      }
    }
  }
}

function writeCache(cache: string, names: readonly string[]): void {
  mkdirSync(cacheFolder, { recursive: true })
  const files = Object.fromEntries(names.map((name) => [name, parse(readFileSync(join(specFolder, name), 'utf8')) as unknown]))
  writeFileSync(`${cache}.${process.pid}`, JSON.stringify(files))
  renameSync(`${cache}.${process.pid}`, cache)
}

function parameters({ segments }: Operation): number {
  return segments.filter((segment) => segment.startsWith('{')).length
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return pattern.length === segments.length && pattern.every((each, i) => (each.startsWith('{') ? segments[i] !== '' : each === segments[i]))
}

/** A path and what it is called in the present version. */
function spellings(path: string): string[] {
  const [plain = ''] = path.split('?', 1)
  return [plain, plain.replace(/^\/_matrix\/(client|media)\/(r0|v1|api\/v1|unstable)\//, '/_matrix/$1/v3/')]
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
