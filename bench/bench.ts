/**
 * `npm run bench`: Myelin beside Synapse in the same run, on SQLite and PostgreSQL; prints one Markdown table with ratios.
 * `--growth` and `--soak 10m` run Myelin alone; `--profile` adds CPU profiles and the event loop's worst delays.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Client } from './client.ts'
import { launchOf, type PostgresServer } from './launches.ts'
import { growth, renderGrowth } from './growth.ts'
import { hierarchy, keyBackup, publicRooms, wideAccount } from './large-accounts.ts'
import { startPostgres } from './postgres.ts'
import { delivery, devices, prepare, searching, sending, state, syncing, type Bench, type Figures } from './scenarios.ts'
import { Server } from './server.ts'
import { durationMs, soak } from './soak.ts'
import { renderTable } from './table.ts'

const { values } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true, default: ['sqlite', 'postgres'] },
    server: { type: 'string', multiple: true, default: ['synapse', 'myelin'] },
    count: { type: 'string', default: '500' },
    profile: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
    soak: { type: 'string' },
    messages: { type: 'string', default: '5000' },
    rooms: { type: 'string', default: '2000' },
    only: { type: 'string' },
  },
})

async function run(kind: 'synapse' | 'myelin', engine: 'sqlite' | 'postgres', folder: string, postgres: PostgresServer | undefined, port: number): Promise<Figures> {
  const server = await Server.start(launchOf(kind, engine, folder, postgres, port), values.profile && kind === 'myelin' ? profiles : undefined)
  try {
    const count = Number(values.count) * (kind === 'myelin' ? 4 : 1)
    const bench = await prepare(server, new Client(port))
    const scenarios: Readonly<Record<string, () => Promise<void>>> = {
      sending: () => sending(bench, count), delivery: () => delivery(bench, 100), syncing: () => syncing(bench), state: () => state(bench, 2000),
      devices: () => devices(bench), keyBackup: () => keyBackup(bench), large: () => large(bench), searching: () => searching(bench, Number(values.messages)),
    }
    for (const [name, scenario] of Object.entries(scenarios)) if (values.only === undefined || values.only === name) await scenario()
    bench.figures.set('memory loaded, MiB', server.memoryMib())
    return bench.figures
  } finally {
    await server.stop()
  }
}

/** A thousand rooms of one account, which are also children of a space and the first of the directory. */
async function large(bench: Bench): Promise<void> {
  const rooms = await wideAccount(bench)
  await hierarchy(bench, rooms)
  await publicRooms(bench, rooms.length, Number(values.rooms))
}

/** Where `--profile` puts CPU profiles, one for each figure. */
const profiles = join(process.cwd(), '.cache/profiles')
const folder = mkdtempSync(join(tmpdir(), 'myelin-bench-'))
/** Runs side by side do not meet. */
let port = 18008 + (process.pid % 1000) * 8

/** Runs `work` on each engine that was asked for, with a PostgreSQL server where it needs one. */
async function onEngines(work: (engine: 'sqlite' | 'postgres', postgres: PostgresServer | undefined) => Promise<void>): Promise<void> {
  for (const engine of ['sqlite', 'postgres'] as const) {
    if (!values.engine.includes(engine)) continue
    const postgres = engine === 'postgres' ? startPostgres(join(folder, 'postgres')) : undefined
    try {
      await work(engine, postgres)
    } finally {
      postgres?.stop()
    }
  }
}

async function beside(): Promise<void> {
  const results = new Map<string, Figures>()
  await onEngines(async (engine, postgres) => {
    for (const kind of ['synapse', 'myelin'] as const) {
      if (!values.server.includes(kind)) continue
      console.error(`running ${kind} on ${engine}`)
      results.set(`${kind} ${engine}`, await run(kind, engine, join(folder, `${kind}-${engine}`), postgres, port++))
    }
  })
  console.log(renderTable(results))
}

/** Runs Myelin alone. */
async function alone(title: string, work: (server: Server, client: Client, engine: string) => Promise<string>): Promise<void> {
  await onEngines(async (engine, postgres) => {
    const server = await Server.start(launchOf('myelin', engine, join(folder, `${title}-${engine}`), postgres, port))
    try {
      console.log(await work(server, new Client(port++), engine))
    } finally {
      await server.stop()
    }
  })
}

console.log(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}\n`)
try {
  const { soak: length } = values
  if (length !== undefined) await alone('soak', async (server, client, engine) => `### Soak of ${length} on ${engine}\n\n${await soak(server, client, durationMs(length))}`)
  else if (values.growth) await alone('growth', async (server, client, engine) => renderGrowth(engine, await growth(server, client)))
  else await beside()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
