/** Which endpoints of the reference the server declares: `node tools/coverage.ts` prints the table, `--write` stores it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { endpoints } from '../packages/server/src/app/routes.ts'
import { pathsOf } from '../packages/server/src/platform/http/endpoint.ts'

const root = join(import.meta.dirname, '..')
const reference = join(root, '../shared/reference/endpoints.yaml')

/** Why the reference cannot be read, or false when it can. */
export const referenceIsAbsent = existsSync(reference) ? false : '../shared is absent'

/** Parts of the reference that this server answers; in the others it is the client, or they are gone. */
const served = ['client_server', 'federation', 'federation_extra', 'synapse_admin', 'synapse_client', 'synapse_mas', 'unstable_msc']

/** What the server answers beyond the reference, with the reason. */
export const extraPaths: ReadonlyMap<string, string> = new Map([
  ['GET /health', 'health check of load balancers'],
  ['GET /_matrix/static/client/login/', 'one row of the reference, /_matrix/static/*'],
  ['POST /_matrix/federation/v1/3pid/onbind', 'the form that identity servers send (matrix-spec issue 524)'],
  ['POST /_matrix/client/v1/refresh', 'name of the endpoint before it was specified; old clients call it'],
  ...['r0', 'unstable'].flatMap((version) => [
    [`GET /_matrix/client/${version}/password_policy`, 'MSC2000, older versions'],
    [`GET /_matrix/client/${version}/auth/:authType/fallback/web`, 'older versions of the fallback pages'],
    [`POST /_matrix/client/${version}/auth/:authType/fallback/web`, 'older versions of the fallback pages'],
  ] as const),
  ...['v3', 'r0', 'unstable', 'api/v1'].map((version) => [`GET /_matrix/client/${version}/pushrules/:scope/:kind/`, 'all rules of one kind, as Synapse answers'] as const),
  ...['v3', 'r0', 'unstable', 'api/v1'].flatMap((version) => [
    ...['join', 'leave', 'invite', 'kick', 'ban', 'unban', 'forget'].map((verb) =>
      [`PUT /_matrix/client/${version}/rooms/:roomId/${verb}/:txnId`, 'one row of the reference, {join|leave|…}, in every version'] as const),
    ...['PUT /createRoom/:txnId', 'PUT /join/:roomIdOrAlias/:txnId', 'POST /rooms/:roomId/send/:eventType', 'POST /rooms/:roomId/redact/:eventId'].map((path) =>
      [path.replace('/', `/_matrix/client/${version}/`), 'other versions of a form without or with a transaction id'] as const),
  ]),
  ...['GET', 'PUT', 'DELETE'].map((method) => [`${method} /_synapse/client/rendezvous/:id`, 'one row of the reference, with ANY method'] as const),
  ['GET /_matrix/client/unstable/org.matrix.msc3231/register/m.login.registration_token/validity', 'before it was specified'],
  ['GET /_matrix/client/unstable/uk.tcpip.msc4133/profile/:userId', 'before it was specified'],
  ['POST /_matrix/client/unstable/org.matrix.msc4151/rooms/:roomId/report', 'before it was specified'],
  ['POST /_matrix/client/unstable/org.matrix.msc4260/users/:userId/report', 'before it was specified'],
])

interface ReferenceRow {
  readonly section: string
  readonly method: string
  readonly path: string
  /** The path and what it is called under other versions. */
  readonly paths: readonly string[]
}

interface RawRow {
  readonly m: string
  readonly p: string
  readonly al?: readonly string[]
}

/** Whether a declared path serves a path of the reference: its parameters stand for whatever is there. */
function serves(declared: string, wanted: string): boolean {
  const [own, other] = [segmentsOf(declared), segmentsOf(wanted)]
  return own.length === other.length && own.every((segment, i) => segment.startsWith(':') || segment === other[i])
}

function segmentsOf(path: string): string[] {
  return path.replace(/(.)\/$/, '$1').split('/')
}

/** Every row of the reference that the server should answer. */
export function referenceRows(): ReferenceRow[] {
  const sections: Readonly<Record<string, unknown>> = parse(readFileSync(reference, 'utf8'))
  return served.flatMap((section) => {
    const rows = sections[section]
    if (!Array.isArray(rows)) return []
    return rows.map(({ m, p, al = [] }: RawRow) => {
      const others = al.map((version) => p.replace(/^(\/_matrix\/(?:client|media))\/v\d\//, `$1/${version}/`))
      return { section, method: m, path: p, paths: [p, ...others] }
    })
  })
}

interface Declared {
  readonly method: string
  /** Every spelling of one path: with and without an optional last parameter. */
  readonly spellings: readonly string[]
}

/** Every declared path. */
function declaredPaths(): Declared[] {
  return endpoints.flatMap((endpoint) => pathsOf(endpoint).map((path) => ({
    method: endpoint.method,
    spellings: path.endsWith('?') ? [path.slice(0, -1), path.slice(0, path.lastIndexOf('/'))] : [path],
  })))
}

/** Declared paths that neither the reference nor `extraPaths` knows. */
export function unknownDeclarations(): string[] {
  const rows = referenceRows()
  const isKnown = ({ method, spellings }: Declared): boolean =>
    spellings.some((path) => extraPaths.has(`${method} ${path}`) || rows.some((row) => row.method === method && row.paths.some((wanted) => serves(path, wanted))))
  return declaredPaths().filter((each) => !isKnown(each)).map(({ method, spellings }) => `${method} ${spellings[0] ?? ''}`).sort()
}

/** The table in Markdown: first the counts, then every endpoint. */
export function renderCoverage(): string {
  const declared = declaredPaths()
  const isServed = (method: string, path: string): boolean =>
    declared.some((each) => each.method === method && each.spellings.some((spelling) => serves(spelling, path)))
  const rows = referenceRows().map((row) => ({ ...row, missing: row.paths.filter((path) => !isServed(row.method, path)) }))
  const counts = served.map((section) => {
    const own = rows.filter((row) => row.section === section)
    return `| ${section} | ${own.filter((row) => !row.missing.includes(row.path)).length} | ${own.length} |`
  })
  const total = rows.filter((row) => !row.missing.includes(row.path)).length
  const lines = rows.map((row) => {
    const state = row.missing.includes(row.path) ? 'no' : row.missing.length === 0 ? 'yes' : `yes, not as ${row.missing.join(', ')}`
    return `| ${row.method} | \`${row.path}\` | ${state} |`
  })
  return [
    '# Coverage of the HTTP surface', '', 'Printed by `node tools/coverage.ts --write` from the declarations and the list of endpoints; do not edit.', '',
    `${total} of ${rows.length} endpoints are served.`, '', '| part | served | listed |', '| --- | --- | --- |', ...counts, '',
    '| method | path | served |', '| --- | --- | --- |', ...lines, '',
  ].join('\n')
}

if (import.meta.main) {
  if (referenceIsAbsent !== false) {
    console.log(referenceIsAbsent)
  } else if (process.argv.includes('--write')) {
    const target = join(root, 'docs/reference.gen/coverage.md')
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, renderCoverage())
    console.log(`wrote docs/reference.gen/coverage.md: ${/\d+ of \d+/.exec(renderCoverage())?.[0] ?? ''}`)
  } else {
    console.log(renderCoverage())
  }
}
