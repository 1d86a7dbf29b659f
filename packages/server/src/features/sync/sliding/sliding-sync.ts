/**
 * Simplified sliding sync: what happened to a user in the rooms that a client asks about, told as far as the client does not know it.
 *
 * Spec: MSC4186.
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { RoomActivity } from '#engine/room-activity.ts'
import { nextTurn } from '../next-turn.ts'
import type { Poll } from '../polls.ts'
import type { SyncSources } from '../sources.ts'
import type { Moment, SyncParts } from '../sync-parts.ts'
import { notBeyond, samePosition, type SyncPosition } from '../sync-token.ts'
import { ConnectionState, upToDate } from './connection-state.ts'
import { formatPos, type ClientPosition, type Connections } from './connections.ts'
import { Draft } from './draft.ts'
import { Extensions, type ToldRoom } from './extensions.ts'
import { RoomFactsReader } from './room-facts.ts'
import { RoomLists, type WantedRooms } from './room-lists.ts'
import { RoomMarks } from './room-marks.ts'
import { RoomResults } from './room-results.ts'
import type { SlidingRequest } from './sliding-request.ts'
import { ToldRooms, type RoomTask, type TaskContext } from './told-rooms.ts'

/** A computed answer. */
interface Answer {
  readonly hasNews: boolean
  readonly upTo: SyncPosition
  /** Members of the answer but `pos`. */
  readonly members: readonly string[]
  readonly draft: Draft
  /** To be called with the answer's token. */
  readonly given: (pos: string) => void
}

/** What was answered last at a position: a request for the same finds nothing new while the streams stand still. */
interface LastAnswer {
  readonly fingerprint: string
  readonly moment: SyncPosition
  /** `"lists":{…}` of that answer. */
  readonly lists: string
}

interface Needs {
  readonly parts: SyncParts
  readonly connections: Connections
  readonly activity: RoomActivity
}

/** Rooms that are worked on before other requests get their turn. */
const roomsPerTurn = 20
/** Nobody waits longer. */
const longestTimeoutMs = 5 * 60_000

export class SlidingSync {
  readonly #parts: SyncParts
  readonly #sources: SyncSources
  readonly #connections: Connections
  readonly #activity: RoomActivity
  readonly #marks: RoomMarks
  readonly #lists: RoomLists
  readonly #toldRooms: ToldRooms
  readonly #results: RoomResults
  readonly #extensions: Extensions
  readonly #lastAnswers: ReturnType<typeof lastAnswers>

  constructor({ parts, connections, activity }: Needs) {
    const { sources } = parts
    this.#parts = parts
    this.#sources = sources
    this.#connections = connections
    this.#activity = activity
    this.#marks = new RoomMarks(sources)
    this.#lists = new RoomLists({ sources, activity, marks: this.#marks, facts: new RoomFactsReader(sources) })
    this.#toldRooms = new ToldRooms(sources, parts.news)
    this.#results = new RoomResults(parts)
    this.#extensions = new Extensions(parts)
    this.#lastAnswers = lastAnswers(sources)
  }

  /** The most events of a timeline, whatever is asked for. */
  get mostEvents(): number {
    return this.#parts.mostEvents
  }

  /**
   * Answers a request, waiting for news where it allows to.
   * @param signal ends the wait: the client is gone, or the server stops
   * @returns the body, JSON text
   * @throws M_UNKNOWN_POS where the connection has expired, M_INVALID_PARAM, M_UNKNOWN_TOKEN once the device is gone
   */
  async sync(request: SlidingRequest, signal: AbortSignal): Promise<string> {
    const { userId, deviceId, connectionId, pos } = request
    const owner = { userId, deviceId, connectionId }
    const known = pos === undefined || pos === '' ? undefined : await this.#connections.require(owner, pos)
    const client = known && { ...known, since: notBeyond(known.since, this.#parts.position()) }
    await this.#extensions.acknowledge(request)
    const present = await this.#sources.presence.syncing(userId, deviceId, request.setPresence)
    const poll = this.#parts.polls.open({ userId, deviceId, timeoutMs: client ? Math.min(request.timeoutMs, longestTimeoutMs) : 0, signal })
    try {
      const answer = await this.#wait(request, client, poll)
      const position = !client ? await this.#connections.begin(owner, answer.draft)
        : answer.draft.isChange ? await this.#connections.advance(client.position, answer.draft) : client.position
      const next = formatPos(position, answer.upTo)
      answer.given(next)
      return `{${[`"pos":"${next}"`, ...(request.transactionId === undefined ? [] : [`"txn_id":${JSON.stringify(request.transactionId)}`]), ...answer.members].join(',')}}`
    } finally {
      poll[Symbol.dispose]()
      present[Symbol.dispose]()
    }
  }

  async #wait(request: SlidingRequest, client: ClientPosition | undefined, poll: Poll): Promise<Answer> {
    for (;;) {
      const wait = poll.listen()
      try {
        const isOver = poll.isOver
        const answer = (client && (await this.#quiet(request, client))) ?? (await this.#compute(request, client))
        if (answer.hasNews || isOver || !client) return answer
        await wait.woken
      } finally {
        wait.cancel()
      }
    }
  }

  /** The answer without news, where a look at the streams shows that there is none. */
  async #quiet(request: SlidingRequest, { since }: ClientPosition): Promise<Answer | undefined> {
    const last = this.#lastAnswers.get(request.pos ?? '')
    if (!last || last.fingerprint !== request.fingerprint || !samePosition(last.moment, this.#parts.position()) || !samePosition(last.moment, since)) return undefined
    const draft = new Draft(ConnectionState.empty)
    const context = {
      request, since, upTo: since, memberships: new Map(), events: new Map(), wanted: new Map(), told: new Map(), ignored: new Set<string>(), draft,
    }
    const extensions = await this.#extensions.ofDevice(context)
    return {
      hasNews: extensions.hasNews, upTo: since, draft, members: [last.lists, '"rooms":{}', `"extensions":{${extensions.members.join(',')}}`],
      given: () => undefined,
    }
  }

  async #compute(request: SlidingRequest, client: ClientPosition | undefined): Promise<Answer> {
    const { userId } = request
    const state = client?.position.state ?? ConnectionState.empty
    const since = client?.since
    const ignored = await this.#sources.accountData.ignoredBy(userId)
    const direct = await this.#marks.directOf(userId)
    const moment = await this.#parts.moment(userId)
    const { memberships, upTo } = moment
    const events = since && (await this.#parts.news.between(since.events, upTo.events, (nid) => memberships.has(nid)))
    const wanted = await this.#lists.of({ request, memberships, ignored, state, since: since?.events })
    const draft = new Draft(state)
    const tasks: TaskContext = { since: since?.events, events, read: since ? this.#readSince(userId, since, upTo) : new Set(), direct }
    const sent = this.#parts.lazyMembers.begin(`${userId} ${request.deviceId ?? ''} sliding ${request.connectionId}`, request.pos)
    const { texts, told } = await this.#rooms({ request, moment, since, ignored, wanted, draft, tasks, sent })
    if (since) this.#markMissed(tasks, wanted, draft, since.events)
    const extensions = await this.#extensions.of({ request, since, upTo, memberships, events, wanted: wanted.rooms, told, ignored, draft })
    const lists = `"lists":{${[...wanted.counts].map(([name, count]) => `${JSON.stringify(name)}:{"count":${count}}`).join(',')}}`
    return {
      hasNews: texts.length > 0 || extensions.hasNews, upTo, draft,
      members: [lists, `"rooms":{${texts.join(',')}}`, `"extensions":{${extensions.members.join(',')}}`],
      given: (pos) => {
        sent.commit(pos)
        // A room that is over leaves the lists with this answer.
        if (draft.removed.size === 0) this.#lastAnswers.set(pos, { fingerprint: request.fingerprint, moment: upTo, lists })
      },
    }
  }

  async #rooms(work: {
    readonly request: SlidingRequest; readonly moment: Moment; readonly since: SyncPosition | undefined; readonly ignored: ReadonlySet<string>
    readonly wanted: WantedRooms; readonly draft: Draft; readonly tasks: TaskContext; readonly sent: ReturnType<SyncParts['lazyMembers']['begin']>
  }): Promise<{ readonly texts: readonly string[]; readonly told: ReadonlyMap<number, ToldRoom> }> {
    const { request, moment, since, ignored, wanted, draft, tasks, sent } = work
    const list: RoomTask[] = []
    for (const [nid, room] of wanted.rooms) {
      const task = await this.#toldRooms.taskOf(tasks, room, draft.get(nid))
      if (task) list.push(task)
    }
    const bumps = list.length === 0 ? new Map<number, number>()
      : await this.#activity.bumpsOf(list.filter(({ view }) => view === 'member').map((task) => task.wanted.membership.room.nid))
    const context = {
      userId: request.userId, deviceId: request.deviceId, since: since?.events, upTo: moment.upTo.events, ignored, sent, read: tasks.read, bumps,
    }
    const texts: string[] = []
    const told = new Map<number, ToldRoom>()
    for (const [index, task] of list.entries()) {
      if (index > 0 && index % roomsPerTurn === 0) await nextTurn()
      const { room } = task.wanted.membership
      const result = await this.#results.of(context, task)
      draft.set(room.nid, result.record)
      if (result.text === undefined) continue
      texts.push(`${JSON.stringify(room.id)}:${result.text}`)
      told.set(room.nid, { before: task.record, timeline: task.since === undefined || task.isExpanded ? result.timeline : [] })
    }
    return { texts, told }
  }

  /** Rooms that the client knows and that are not told now: where something happened, the client has them up to its token only. */
  #markMissed(tasks: TaskContext, wanted: WantedRooms, draft: Draft, since: number): void {
    for (const nid of tasks.events?.keys() ?? [...draft.known()]) {
      const record = wanted.rooms.has(nid) ? undefined : draft.get(nid)
      if (record?.events === upToDate && this.#toldRooms.mayHaveNews(tasks, nid)) draft.set(nid, { ...record, events: since })
    }
  }

  /** Rooms in which the user has read something, so that their counts may have changed. */
  #readSince(userId: UserId, since: SyncPosition, upTo: SyncPosition): Set<number> {
    const rows = since.receipts < upTo.receipts ? this.#sources.receipts.stream.since(since.receipts) : []
    return new Set(rows?.filter(({ id, row }) => id <= upTo.receipts && row.userId === userId).map(({ row }) => row.roomNid))
  }
}

function lastAnswers({ caches }: SyncSources) {
  return caches.cache<string, LastAnswer>('sliding_sync_answers', (last) => 300 + last.fingerprint.length + last.lists.length)
}
