/**
 * Which refusals the tests have seen at which endpoint. Each test process writes what it saw into a folder; `tools/shown-errors.ts` holds it against what
 * the endpoints declare.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { endpoints } from '#app/routes.ts'
import { pathsOf } from '#platform/http/endpoint.ts'
import type { Observed } from '../kit/test-client.ts'

const folder = process.env['MYELIN_TEST_OBSERVED']
const seen = new Set<string>()

/** Patterns of all paths, those with fewer parameters first. */
const patterns = endpoints.flatMap((endpoint) => pathsOf(endpoint).map((path) => ({ id: endpoint.id, method: endpoint.method, segments: path.split('/') })))
  .sort((a, b) => parameters(a.segments) - parameters(b.segments))

function parameters(segments: readonly string[]): number {
  return segments.filter((segment) => segment.startsWith(':')).length
}

/** The endpoint that answers a request. */
function endpointOf(method: string, path: string): string | undefined {
  const segments = (path.split('?', 1)[0] ?? '').split('/')
  return patterns.find((pattern) => pattern.method === method && pattern.segments.length === segments.length &&
    pattern.segments.every((segment, index) => segment.startsWith(':') || segment === segments[index]))?.id
}

/** Notes a refusal, once for each endpoint and code. */
export function noteRefusal({ method, path, status, body }: Observed): void {
  if (folder === undefined || status < 400 || typeof body !== 'object' || body === null || !('errcode' in body)) return
  const id = endpointOf(method, path)
  const line = `${id} ${String(body.errcode)}`
  if (id === undefined || seen.has(line)) return
  seen.add(line)
  appendFileSync(join(folder, `${process.pid}`), `${line}\n`)
}
