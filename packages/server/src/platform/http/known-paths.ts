/** Tells a wrong method on a known path from an unknown path. */

/** The paths of all mounted endpoints, whatever their methods. */
export class KnownPaths {
  /** Patterns as lists of segments, by their number. */
  readonly #patterns = new Map<number, (readonly string[])[]>()

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
    return this.#patterns.get(segments.length)?.some((pattern) => matches(pattern, segments)) ?? false
  }
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return pattern.every((segment, i) => (segment.startsWith(':') ? segments[i] !== '' : segment === segments[i]))
}
