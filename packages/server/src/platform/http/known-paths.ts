/** Tells a wrong method on a known path from an unknown path. */

/** The segments of a path in the router's syntax; parameters begin with a colon. */
export type PathPattern = readonly string[]

/** The paths of all mounted endpoints, whatever their methods. */
export class KnownPaths {
  /** Patterns by the number of their segments. */
  readonly #patterns = new Map<number, PathPattern[]>()

  /** Adds a path in the router's syntax, such as `/rooms/:roomId/send`. */
  add(path: string): void {
    const segments = path.split('/')
    const patterns = this.#patterns.get(segments.length)
    if (patterns === undefined) this.#patterns.set(segments.length, [segments])
    else patterns.push(segments)
  }

  /** Whether some endpoint has this path. */
  has(path: string): boolean {
    const segments = path.split('/')
    return this.#patterns.get(segments.length)?.some((pattern) => fitsPattern(pattern, segments)) ?? false
  }
}

/** Whether a path of as many segments as a pattern fits it; a parameter takes any segment that is not empty. */
export function fitsPattern(pattern: PathPattern, segments: readonly string[]): boolean {
  return pattern.every((segment, i) => (segment.startsWith(':') ? segments[i] !== '' : segment === segments[i]))
}
