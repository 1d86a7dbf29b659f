/**
 * Validates what the server answers in tests against the specification's OpenAPI description.
 *
 * Spec: the repository's `data/api`; client-server API, "Standard error response".
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { noteRefusal } from './observed.ts'
import type { Observed } from '../kit/test-client.ts'
import { child, isNode, Specification, type Node, type Operation } from './specification.ts'

/** Answers that HTTP itself defines; the description leaves them out. */
const statusesOfHttp = new Set([204, 206, 304])
/** Where the 401 of interactive authentication is described. */
const interactiveAuthentication = {
  file: 'api/client-server/account_deactivation.yaml',
  pointer: ['paths', '/account/deactivate', 'post', 'responses', '401', 'content', 'application/json', 'schema'],
}

/** The check over one specification; schemas are compiled when they are first needed. */
export class Contract {
  readonly #specification: Specification
  readonly #ajv = new Ajv2020({ strict: false, validateSchema: false, validateFormats: false, unicodeRegExp: false, allErrors: true, logger: false })
  readonly #validators = new Map<string, ValidateFunction>()
  readonly #added = new Set<string>()

  constructor(specification: Specification) {
    this.#specification = specification
  }

  /** What is wrong with an exchange; undefined when it is as described, or not described at all. */
  fault(exchange: Observed): string | undefined {
    const operation = this.#specification.find(exchange.method, exchange.path)
    if (operation === undefined) return undefined
    const fault = exchange.status >= 400 ? this.#errorFault(operation, exchange) : this.#replyFault(operation, exchange)
    return fault === undefined ? undefined : `${exchange.method} ${exchange.path} answered ${exchange.status}, ${fault} (${operation.file}): ${JSON.stringify(exchange.body).slice(0, 1000)}`
  }

  #replyFault(operation: Operation, exchange: Observed): string | undefined {
    const found = this.#specification.at(operation.file, [...operation.pointer, 'responses', String(exchange.status)])
    if (found.node === undefined) return statusesOfHttp.has(exchange.status) ? undefined : 'which is not a documented status'
    const content = child(found.node, 'content')
    if (child(content, 'application/json') === undefined) return undefined
    if (!exchange.contentType.startsWith('application/json')) return `with the content type '${exchange.contentType}' in place of JSON`
    return this.#schemaFault(found.file, [...found.pointer, 'content', 'application/json', 'schema'], exchange.body)
  }

  /** An error has the standard shape; only what is documented otherwise (user-interactive authentication) may differ. */
  #errorFault(operation: Operation, exchange: Observed): string | undefined {
    if (!exchange.contentType.startsWith('application/json')) return exchange.contentType.startsWith('text/html') ? undefined : 'which is no JSON'
    const errcode = child(exchange.body, 'errcode')
    const isStandard = typeof errcode === 'string' && typeof child(exchange.body, 'error') === 'string'
    const isLimit = exchange.status === 429
    if (isStandard && !isLimit) return undefined
    const found = this.#specification.at(operation.file, [...operation.pointer, 'responses', String(exchange.status)])
    const pointer = [...found.pointer, 'content', 'application/json', 'schema']
    if (child(child(child(found.node, 'content'), 'application/json'), 'schema') === undefined) {
      // The document of cross-signing has interactive authentication in its prose alone.
      if (exchange.status === 401 && Array.isArray(child(exchange.body, 'flows'))) return this.#schemaFault(interactiveAuthentication.file, interactiveAuthentication.pointer, exchange.body)
      return isStandard ? undefined : 'without errcode and error'
    }
    return this.#schemaFault(found.file, pointer, exchange.body)
  }

  #schemaFault(file: string, pointer: readonly string[], body: unknown): string | undefined {
    if (this.#specification.at(file, pointer).node === undefined) return undefined
    const validate = this.#validator(`${idOf(file)}#/${pointer.map(escaped).join('/')}`, file)
    if (validate(body) === true) return undefined
    return `which is not as described: ${this.#ajv.errorsText(validate.errors, { dataVar: 'body' })}`
  }

  /** Adds the files that a schema refers to as the compiler misses them. */
  #validator(reference: string, file: string): ValidateFunction {
    const known = this.#validators.get(reference)
    if (known !== undefined) return known
    this.#add(file)
    for (;;) {
      try {
        const validate = this.#ajv.compile({ $ref: reference })
        this.#validators.set(reference, validate)
        return validate
      } catch (error) {
        const missing: unknown = isNode(error) || error instanceof Error ? Reflect.get(error, 'missingSchema') : undefined
        if (typeof missing !== 'string' || !this.#add(fileOf(missing))) throw error
      }
    }
  }

  /** Makes a file known to the compiler; false when it was or does not exist. */
  #add(file: string): boolean {
    const document = this.#specification.file(file)
    if (this.#added.has(file) || !isNode(document)) return false
    this.#added.add(file)
    this.#ajv.addSchema(withAbsoluteReferences(document, idOf(file)), idOf(file))
    return true
  }
}

const origin = 'https://specification/'

function idOf(file: string): string {
  return origin + file
}

/** The compiler loses the base of relative references where it inlines a schema; absolute ones need none. */
function withAbsoluteReferences(document: Node, base: string): Node {
  const rewrite = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(rewrite)
    if (!isNode(value)) return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) =>
      [key, key === '$ref' && typeof inner === 'string' ? new URL(inner, base).href : rewrite(inner)]))
  }
  return Object.fromEntries(Object.entries(document).map(([key, value]) => [key, rewrite(value)]))
}

function fileOf(id: string): string {
  return id.slice(origin.length).split('#', 1)[0] ?? ''
}

function escaped(key: string): string {
  return encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))
}

/** Parameters of extensions with which an endpoint answers something else than the specification describes. */
const extensions = ['org.matrix.msc4140.delay']

let contract: Contract | undefined
let isLoaded = false

/** Checks one exchange. @throws Error where the reply is not what the specification describes */
export function checkContract(exchange: Observed): void {
  noteRefusal(exchange)
  if (exchange.status === 500) throw new Error(`${exchange.method} ${exchange.path} answered 500: ${JSON.stringify(exchange.body)}`)
  if (extensions.some((name) => exchange.path.includes(`${name}=`))) return
  if (!isLoaded) {
    isLoaded = true
    const specification = Specification.load()
    contract = specification === undefined ? undefined : new Contract(specification)
  }
  const fault = contract?.fault(exchange)
  if (fault !== undefined) throw new Error(`Not as the specification says: ${fault}`)
}
