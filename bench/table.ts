/** The table of a run, with ratios and the floors that they must keep. */
import type { Figures } from './scenarios.ts'

/** What Myelin's figure may be at most as a share of Synapse's, on SQLite; at least where it begins with `≥`. On PostgreSQL half the advantage is enough. */
const floors: Readonly<Record<string, number>> = {
  'start to first answer, ms': 1 / 2,
  'memory idle, MiB': 1,
  'memory loaded, MiB': 1,
  'create room, CPU ms': 1 / 15,
  'send, 1 sender, CPU ms': 1 / 20,
  'send, 16 senders, CPU ms': 1 / 20,
  'send, 16 senders, per second': 12,
  'join a local room, CPU ms': 1 / 15,
  'send, 16 senders in a room of 50, CPU ms': 1 / 20,
  'delivery p50, ms': 1 / 6,
  'message to 100 waiting members, CPU ms': 1 / 20,
  'initial sync of 100 rooms, CPU ms': 1 / 8,
  'incremental sync without news, CPU ms': 1 / 10,
  'a page of 100 messages, CPU ms': 1 / 15,
  'state event, CPU ms': 1 / 30,
  'state event, bytes on disk': 1 / 3,
  'keys query of 200 devices, CPU ms': 1 / 8,
  'keys claim of 200 devices, CPU ms': 1 / 8,
  'to-device to 200 devices, CPU ms': 1 / 8,
  'first sliding sync of 1,000 rooms, CPU ms': 1 / 5,
  'sliding sync without news, 1,000 rooms, CPU ms': 1 / 5,
  'sliding sync with one message, 1,000 rooms, CPU ms': 1 / 5,
  'hierarchy of 200 rooms, CPU ms': 1 / 5,
  'key backup, upload of 10,000 sessions, CPU ms': 1 / 5,
  'key backup, download of 10,000 sessions, CPU ms': 1 / 5,
  'search, recent, CPU ms': 1 / 5,
  'search, rank, CPU ms': 1 / 5,
  'search, recent with context, CPU ms': 1 / 5,
}

/** Figures whose floor is the same on both engines. */
const onBoth = /^(search|public rooms|sliding sync|first sliding sync|hierarchy|key backup)/

function figure(value: number | undefined): string {
  if (value === undefined) return '–'
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(3)
}

/** The floor on an engine: half of an advantage on PostgreSQL, but for memory and what grows with accounts. */
function floorOf(name: string, engine: string): number | undefined {
  // Directories are named with their size.
  const floor = floors[name] ?? (name.startsWith('public rooms') ? 1 / 5 : undefined)
  if (floor === undefined || floor === 1 || engine === 'sqlite' || onBoth.test(name)) return floor
  return floor > 1 ? floor / 2 : floor * 2
}

function verdict(name: string, engine: string, ratio: number): string {
  const floor = floorOf(name, engine)
  if (floor === undefined) return ''
  const more = floor > 1
  const kept = more ? ratio >= floor : ratio <= floor
  const text = more ? `≥ ${floor}` : floor === 1 ? '≤ 1' : `≤ 1/${Math.round(1 / floor)}`
  return `${text} ${kept ? 'kept' : 'MISSED'}`
}

/** The results as Markdown, one table for each engine. */
export function renderTable(results: ReadonlyMap<string, Figures>): string {
  const parts: string[] = []
  for (const engine of ['sqlite', 'postgres']) {
    const [synapse, myelin] = [results.get(`synapse ${engine}`), results.get(`myelin ${engine}`)]
    if (!synapse && !myelin) continue
    const rows = [...(myelin ?? synapse ?? new Map<string, number>()).keys()].map((name) => {
      const [theirs, ours] = [synapse?.get(name), myelin?.get(name)]
      const ratio = theirs === undefined || ours === undefined || theirs === 0 ? undefined : ours / theirs
      const shown = ratio === undefined ? '–' : ratio >= 1 ? `${ratio.toFixed(1)} ×` : `1/${(1 / ratio).toFixed(1)}`
      return `| ${name} | ${figure(theirs)} | ${figure(ours)} | ${shown} | ${ratio === undefined ? '' : verdict(name, engine, ratio)} |`
    })
    parts.push(`### ${engine}\n\n| figure | Synapse | Myelin | ratio | floor |\n|---|---|---|---|---|\n${rows.join('\n')}\n`)
  }
  return parts.join('\n')
}
