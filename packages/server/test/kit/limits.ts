/** The rate limits among the options. */
import type { Fields } from '#platform/config/option.ts'

/** Names of the rate limits that the server acts on; the parts of nested ones are joined by a dot. */
export function limitsIn(fields: Fields, prefix = '', outer = false): string[] {
  return Object.entries(fields).flatMap(([name, { kind, effective = outer }]) => {
    if (kind.fields) return limitsIn(kind.fields, `${prefix}${name}.`, effective)
    return kind.name === 'rate limit' && effective ? [prefix + name] : []
  })
}
