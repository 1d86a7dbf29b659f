/**
 * Checks path, query and body against an endpoint's schemas, and says in a sentence what is wrong.
 *
 * Spec: client-server API, `M_MISSING_PARAM`, `M_INVALID_PARAM`, `M_BAD_JSON`.
 */
import { Compile } from 'typebox/compile'
import type { Validator } from 'typebox/compile'
import type { TSchema } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { Errcode } from '@myelin/protocol/errors.ts'

/** The part of the request a schema speaks of. */
export type RequestPart = 'path' | 'query' | 'body'

/** Answers the checked (and, for query and path, converted) value, or throws the refusal. */
export type Check = (value: unknown) => unknown

type QueryText = string | readonly string[] | undefined
type Convert = (text: string) => unknown

/**
 * A check that compiles its schema when it is first used, so that start-up does not pay for endpoints that nobody calls.
 *
 * @param part where the value comes from: query and path are text and are converted to what the schema asks for
 */
export function checkOf(schema: TSchema, part: RequestPart): Check {
  let validator: Validator | undefined
  const convert = part === 'body' ? undefined : converterOf(schema)
  return (value) => {
    validator ??= Compile(schema)
    const converted = convert === undefined ? value : convert(value)
    if (validator.Check(converted)) return converted
    const lenient = part === 'body' ? withoutNulls(validator, schema, converted) : undefined
    if (lenient !== undefined && validator.Check(lenient)) return lenient
    throw refusalOf(validator, schema, lenient ?? converted, part)
  }
}

/** A body without those optional fields that are `null` and may not be: many clients write an absent field so, and Synapse reads it so. */
function withoutNulls(validator: Validator, schema: SchemaView, body: unknown): Record<string, unknown> | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined
  const wrong = new Set(validator.Errors(body).map((error) => error.instancePath))
  const isSurplus = ([name, value]: [string, unknown]): boolean =>
    value === null && wrong.has(`/${escapePointer(name)}`) && !schema.required?.includes(name)
  return Object.fromEntries(Object.entries(body).filter((entry) => !isSurplus(entry)))
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** The parts of JSON Schema that conversion and messages look at. */
interface SchemaView {
  readonly type?: unknown
  readonly description?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly items?: SchemaView
  readonly anyOf?: readonly SchemaView[]
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, SchemaView>>
}

/** Turns the texts of a query or path into an object of the types that the schema names; the rest stays text. */
function converterOf(schema: SchemaView): Check {
  const properties = new Map<string, { list: boolean, convert: Convert }>()
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const list = property.items !== undefined
    properties.set(name, { list, convert: textConverter(list ? property.items ?? {} : property) })
  }
  return (value) => {
    const converted: Record<string, unknown> = Object.create(null)
    if (typeof value !== 'object' || value === null) return converted
    for (const [name, texts] of Object.entries<QueryText>({ ...value })) {
      const property = properties.get(name)
      if (property === undefined || texts === undefined) converted[name] = texts
      else if (property.list) converted[name] = (typeof texts === 'string' ? [texts] : texts).map(property.convert)
      else converted[name] = convertOne(texts, property.convert)
    }
    return converted
  }
}

/** Of a parameter that was given several times and is no list, the first counts. */
function convertOne(texts: string | readonly string[], convert: Convert): unknown {
  const text = typeof texts === 'string' ? texts : texts[0]
  return text === undefined ? undefined : convert(text)
}

const integerText = /^-?\d{1,16}$/
const numberText = /^-?\d{1,16}(\.\d+)?$/

function textConverter(schema: SchemaView): Convert {
  const types = new Set((schema.anyOf ?? [schema]).map((option) => option.type))
  const toBoolean = types.has('boolean')
  const toNumber = types.has('number') ? numberText : types.has('integer') ? integerText : undefined
  return (text) => {
    if (toBoolean && (text === 'true' || text === 'false')) return text === 'true'
    if (toNumber?.test(text)) return Number(text)
    return text
  }
}

function refusalOf(validator: Validator, schema: SchemaView, value: unknown, part: RequestPart): Error {
  const errors = validator.Errors(value)
  const error = errors.find((each) => !each.schemaPath.includes('/anyOf/')) ?? errors[0]
  if (error === undefined) return refuse('M_BAD_JSON', 'The request does not have the form that this endpoint needs.')
  const path = error.instancePath.split('/').slice(1).map(unescapePointer)
  if (error.keyword === 'required') {
    const name = [...path, error.params.requiredProperties[0] ?? ''].join('.')
    const message = part === 'body' ? `The field '${name}' is missing from the request body.` : `The ${part} parameter '${name}' is missing.`
    return refuse('M_MISSING_PARAM', message)
  }
  const errcode: Errcode = part === 'body' ? 'M_BAD_JSON' : 'M_INVALID_PARAM'
  const rule = ruleOf(schemaAt(schema, error.schemaPath), error.keyword) ?? error.message
  if (path.length === 0) return refuse(errcode, part === 'body' ? 'The request body must be a JSON object.' : `The ${part} ${rule}.`)
  const name = part === 'body' ? `field '${path.join('.')}' of the request body` : `${part} parameter '${path.join('.')}'`
  return refuse(errcode, `The ${name} ${rule}.`)
}

function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** The values that a schema of alternatives allows, or the form that a pattern asks for (its `description`), in words. */
function ruleOf(schema: SchemaView | undefined, keyword: string): string | undefined {
  if (keyword === 'pattern') return `must be ${schema?.description ?? 'of the form that the specification defines for it'}`
  const constants = schema?.anyOf?.every((option) => Object.hasOwn(option, 'const')) ? schema.anyOf.map((option) => option.const) : undefined
  const values = schema?.enum ?? constants
  return values === undefined ? undefined : `must be one of ${values.map((value) => JSON.stringify(value)).join(', ')}`
}

/** Follows a schema path such as `#/properties/preset` through properties and items; the keyword's own schema, if it is there. */
function schemaAt(schema: SchemaView, path: string): SchemaView | undefined {
  let at: SchemaView | undefined = schema
  const steps = path.split('/').slice(1)
  for (let i = 0; i < steps.length && at !== undefined; i++) {
    const step = steps[i]
    if (step === 'items') {
      at = at.items
    } else if (step === 'properties') {
      const name = unescapePointer(steps[++i] ?? '')
      at = at.properties !== undefined && Object.hasOwn(at.properties, name) ? at.properties[name] : undefined
    } else {
      return at
    }
  }
  return at
}
