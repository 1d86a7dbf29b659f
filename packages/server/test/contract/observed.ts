/**
 * Which refusals the tests have seen at which endpoint. Each test process writes what it saw into a folder; `tools/shown-errors.ts` holds it against what
 * the endpoints declare.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { endpointsAt } from '../kit/endpoint-paths.ts'
import type { Observed } from '../kit/test-client.ts'

const folder = process.env['MYELIN_TEST_OBSERVED']
const seen = new Set<string>()

/** Notes a refusal, once for each endpoint and code. */
export function noteRefusal({ method, path, status, body }: Observed): void {
  if (folder === undefined || status < 400 || typeof body !== 'object' || body === null || !('errcode' in body)) return
  const id = endpointsAt(path).find((each) => each.method === method)?.id
  const line = `${id} ${String(body.errcode)}`
  if (id === undefined || seen.has(line)) return
  seen.add(line)
  appendFileSync(join(folder, `${process.pid}`), `${line}\n`)
}
