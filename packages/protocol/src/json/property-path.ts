/**
 * Dot-separated paths to a property, such as `content.m\.relates_to.rel_type`.
 *
 * Spec: appendices, "Dot-separated property paths".
 */
import type { JsonObject, JsonValue } from './json.ts'
import { isObject, own } from './json.ts'

/** The property names of a path. A backslash before anything but a dot or a backslash stands for itself. */
export function parsePropertyPath(path: string): readonly string[] {
  const names: string[] = []
  let name = ''
  for (let index = 0; index < path.length; index++) {
    const character = path.charAt(index)
    const next = path.charAt(index + 1)
    if (character === '\\' && (next === '.' || next === '\\')) {
      name += next
      index++
    } else if (character === '.') {
      names.push(name)
      name = ''
    } else {
      name += character
    }
  }
  names.push(name)
  return names
}

/** The path of property names. */
export function formatPropertyPath(names: readonly string[]): string {
  return names.map((name) => name.replace(/[.\\]/g, '\\$&')).join('.')
}

/** The value at a path of names, or undefined where it is absent. Lists have no properties. */
export function valueAt(object: JsonObject, names: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = object
  for (const name of names) {
    if (!isObject(value)) return undefined
    value = own(value, name)
  }
  return value
}
