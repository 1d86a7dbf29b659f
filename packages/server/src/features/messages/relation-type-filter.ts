/**
 * Which events a client wants by the way in which they relate to others.
 *
 * Spec: MSC3874.
 */
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { refuse } from '@myelin/protocol/errors.ts'

export class RelationTypeFilter {
  readonly #wanted: readonly string[] | undefined
  readonly #unwanted: readonly string[]

  private constructor(wanted: readonly string[] | undefined, unwanted: readonly string[]) {
    this.#wanted = wanted
    this.#unwanted = unwanted
  }

  /** Reads what a room event filter says of relation types; undefined where it says nothing. @throws M_BAD_JSON */
  static of(filter: JsonObject): RelationTypeFilter | undefined {
    const [wanted, unwanted] = [typesOf(filter, 'org.matrix.msc3874.rel_types'), typesOf(filter, 'org.matrix.msc3874.not_rel_types')]
    return wanted === undefined && unwanted === undefined ? undefined : new RelationTypeFilter(wanted, unwanted ?? [])
  }

  matches(content: JsonObject): boolean {
    const type = relationTypeIn(content)
    if (type === undefined) return this.#wanted === undefined
    return (this.#wanted === undefined || this.#wanted.includes(type)) && !this.#unwanted.includes(type)
  }
}

function relationTypeIn(content: JsonObject): string | undefined {
  const relation = own(content, 'm.relates_to')
  const type: JsonValue | undefined = isObject(relation) ? own(relation, 'rel_type') : undefined
  return typeof type === 'string' ? type : undefined
}

function typesOf(filter: JsonObject, name: string): readonly string[] | undefined {
  const value = own(filter, name)
  if (value === undefined) return undefined
  if (!Array.isArray(value) || !value.every((type): type is string => typeof type === 'string')) throw refuse('M_BAD_JSON', `"${name}" of the filter must be a list of relation types.`)
  return value
}
