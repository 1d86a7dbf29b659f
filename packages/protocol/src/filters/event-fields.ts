/**
 * Cuts events down to the fields that a client wants.
 *
 * Spec: client-server API, "Filtering", `event_fields`; appendices, "Dot-separated property paths".
 */
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'

/**
 * A copy of an event with the named fields alone; fields that it lacks are left out.
 *
 * @param fields paths as `SyncFilter.eventFields` has them
 */
export function projectFields(event: JsonObject, fields: readonly (readonly string[])[]): JsonObject {
  const root = new Map<string, Branch>()
  for (const names of fields) addPath(root, names)
  return project(event, root)
}

/** The fields below a field that are wanted, or `whole` for all of them. */
type Branch = Map<string, Branch> | 'whole'

function addPath(root: Map<string, Branch>, names: readonly string[]): void {
  let branch = root
  for (const [index, name] of names.entries()) {
    const next = branch.get(name)
    if (next === 'whole') return
    if (index === names.length - 1) {
      branch.set(name, 'whole')
    } else {
      const inner: Map<string, Branch> = next ?? new Map()
      branch.set(name, inner)
      branch = inner
    }
  }
}

function project(object: JsonObject, wanted: ReadonlyMap<string, Branch>): JsonObject {
  const entries: [string, JsonValue][] = []
  for (const [name, branch] of wanted) {
    const value = own(object, name)
    if (value === undefined) continue
    if (branch === 'whole') {
      entries.push([name, value])
    } else if (isObject(value)) {
      const inner = project(value, branch)
      if (Object.keys(inner).length > 0) entries.push([name, inner])
    }
  }
  return Object.fromEntries(entries)
}
