/** The declared endpoints by their paths: which ones a request may mean, and paths that are filled in. */
import { endpoints } from '#app/routes.ts'
import { pathsOf } from '#platform/http/endpoint.ts'
import { fitsPattern, type PathPattern } from '#platform/http/known-paths.ts'

/** One path of an endpoint. */
interface EndpointPath {
  readonly id: string
  readonly method: string
  readonly segments: PathPattern
}

/** All paths of all endpoints, those with fewer parameters first. */
const endpointPaths: readonly EndpointPath[] = endpoints
  .flatMap((endpoint) => pathsOf(endpoint).flatMap(spellings).map((path) => ({ id: endpoint.id, method: endpoint.method, segments: path.split('/') })))
  .sort((a, b) => parameters(a.segments) - parameters(b.segments))

/** A path without and with its last parameter, where that may be absent; a slash at the end is as none. */
function spellings(path: string): string[] {
  return path.endsWith('?') ? [path.slice(0, path.lastIndexOf('/')), path.slice(0, -1)] : [withoutSlash(path)]
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

function parameters(segments: PathPattern): number {
  return segments.filter((segment) => segment.startsWith(':')).length
}

/** The paths of endpoints that a request's path fits, whatever its method; the one that answers a method stands before others of that method. */
export function endpointsAt(path: string): readonly EndpointPath[] {
  const segments = withoutSlash(path.split('?', 1)[0] ?? '').split('/')
  return endpointPaths.filter((each) => each.segments.length === segments.length && fitsPattern(each.segments, segments))
}

/** A path in the router's syntax with values in place of its parameters. @param values by name; what has none takes `otherwise` */
export function filledPath(path: string, values: Readonly<Record<string, string>>, otherwise: string): string {
  return path.split('/').map((segment) => {
    const name = segment.startsWith(':') ? segment.slice(1).replace('?', '') : undefined
    return name === undefined ? segment : encodeURIComponent(values[name] ?? otherwise)
  }).join('/')
}
