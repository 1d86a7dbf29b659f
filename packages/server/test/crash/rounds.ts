/** Rounds of: load, kill at a random moment, start again, hold the journal against what is there. */
import { setTimeout as pause } from 'node:timers/promises'
import { KilledServer, type Engine } from './killed-server.ts'
import { Load } from './load.ts'

/** Totals of a run. */
export interface Outcome {
  readonly rounds: number
  readonly acknowledged: number
  readonly unanswered: number
  /** Acknowledged messages that stand in the history twice. */
  readonly doubled: number
  /** From the start of the program after a kill until it listens, at worst. */
  readonly longestRestartMs: number
}

const hands = 8
const longestLoadMs = 1500

/**
 * Runs rounds.
 * @param options.postgresEvery on PostgreSQL, every n-th round kills the database instead of the server
 * @throws Error with the first fact that does not hold after a restart
 */
export async function runRounds(engine: Engine, rounds: number, options: {
  readonly postgresEvery: number
  readonly report?: (line: string) => void
  readonly prelude?: string
}): Promise<Outcome> {
  const server = await KilledServer.start(engine, { ...(options.prelude === undefined ? {} : { prelude: options.prelude }) })
  try {
    const load = await Load.open(() => server.url)
    load.syncs = (await fetch(`${server.url}/_matrix/client/v3/sync`)).status !== 404
    let longestRestartMs = 0
    for (let round = 1; round <= rounds; round += 1) {
      const kills = engine === 'postgres' && round % options.postgresEvery === 0 ? 'PostgreSQL' : 'the server'
      longestRestartMs = Math.max(longestRestartMs, await oneRound(server, load, kills))
      options.report?.(`${engine}, round ${round}: killed ${kills}; ${load.journal.acknowledged} acknowledged, ${load.journal.unanswered} unanswered, all there`)
    }
    await load.journal.check(Number.POSITIVE_INFINITY)
    return { rounds, acknowledged: load.journal.acknowledged, unanswered: load.journal.unanswered, doubled: await load.doubled(), longestRestartMs }
  } catch (error) {
    options.report?.(server.output.split('\n').filter((line) => / (WARNING|ERROR|CRITICAL) - |^\s+at |Error/.test(line)).slice(-40).join('\n'))
    throw error
  } finally {
    await server.remove()
  }
}

/** @returns milliseconds that the restart took */
async function oneRound(server: KilledServer, load: Load, kills: 'PostgreSQL' | 'the server'): Promise<number> {
  const writing = load.run(hands)
  writing.catch(() => undefined)
  // The moment of the kill is the point of the test, not a wait for something.
  await pause(Math.random() * longestLoadMs)
  if (kills === 'PostgreSQL') {
    server.restartPostgres()
    await recovery(server)
    await server.kill()
  } else {
    await server.kill()
  }
  await writing
  const began = performance.now()
  await server.run()
  const restartMs = performance.now() - began
  await load.journal.check()
  await load.checkWhole()
  return restartMs
}

/** After a restart of PostgreSQL, /health becomes green again without anybody's help. */
async function recovery(server: KilledServer): Promise<void> {
  const deadline = performance.now() + 60_000
  while ((await fetch(`${server.url}/health`)).status !== 200) {
    if (performance.now() > deadline) throw new Error('/health stayed red after PostgreSQL was back')
    await pause(50)
  }
}
