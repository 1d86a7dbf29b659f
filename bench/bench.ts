/** `npm run bench`: Myelin beside Synapse in the same run, on SQLite and PostgreSQL; prints one Markdown table with ratios. */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Client } from './client.ts'
import { launchOf, type PostgresServer } from './launches.ts'
import { startPostgres } from './postgres.ts'
import { delivery, devices, prepare, sending, state, syncing, type Figures } from './scenarios.ts'
import { Server } from './server.ts'
import { renderTable } from './table.ts'

const { values } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true, default: ['sqlite', 'postgres'] },
    server: { type: 'string', multiple: true, default: ['synapse', 'myelin'] },
    count: { type: 'string', default: '500' },
    profile: { type: 'boolean', default: false },
  },
})

async function run(kind: 'synapse' | 'myelin', engine: 'sqlite' | 'postgres', folder: string, postgres: PostgresServer | undefined, port: number): Promise<Figures> {
  const server = await Server.start(launchOf(kind, engine, folder, postgres, port), values.profile && kind === 'myelin' ? profiles : undefined)
  try {
    const count = Number(values.count) * (kind === 'myelin' ? 4 : 1)
    const bench = await prepare(server, new Client(port))
    for (const scenario of [() => sending(bench, count), () => delivery(bench, 100), () => syncing(bench), () => state(bench, 2000), () => devices(bench)]) await scenario()
    bench.figures.set('memory loaded, MiB', server.memoryMib())
    return bench.figures
  } finally {
    await server.stop()
  }
}

/** Where `--profile` puts CPU profiles, one for each figure. */
const profiles = join(process.cwd(), '.cache/profiles')
const folder = mkdtempSync(join(tmpdir(), 'myelin-bench-'))
const results = new Map<string, Figures>()
try {
  let port = 18008
  for (const engine of ['sqlite', 'postgres'] as const) {
    if (!values.engine.includes(engine)) continue
    const postgres = engine === 'postgres' ? startPostgres(join(folder, 'postgres')) : undefined
    try {
      for (const kind of ['synapse', 'myelin'] as const) {
        if (!values.server.includes(kind)) continue
        console.error(`running ${kind} on ${engine}`)
        results.set(`${kind} ${engine}`, await run(kind, engine, join(folder, `${kind}-${engine}`), postgres, port++))
      }
    } finally {
      postgres?.stop()
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}\n`)
console.log(renderTable(results))
