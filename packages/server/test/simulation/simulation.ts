/**
 * Several servers in one process, on virtual time, with faults that a seed decides. When the faults end, all servers must come to the same state and
 * have the same events, and nothing that was acknowledged may be lost.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { MatrixError } from '@myelin/protocol/errors.ts'
import type { EventId, RoomId } from '@myelin/protocol/ids/ids.ts'
import { getRoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { StorageError } from '#platform/db/database.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { FederationRefusal } from '#features/federation/federation.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import { TestClock } from '../kit/test-clock.ts'
import { Network } from './network.ts'
import { Node } from './node.ts'
import { Chance } from './random.ts'

/** The clock of a server that goes wrong by a constant. */
class SkewedClock implements Clock {
  readonly #clock: TestClock
  readonly #skewMs: number

  constructor(clock: TestClock, skewMs: number) {
    this.#clock = clock
    this.#skewMs = skewMs
  }

  now(): number {
    return this.#clock.now() + this.#skewMs
  }

  after(delayMs: number, call: () => void): Timer {
    return this.#clock.after(delayMs, call)
  }

  every(intervalMs: number, call: () => void): Timer {
    return this.#clock.every(intervalMs, call)
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return this.#clock.sleep(delayMs, signal)
  }
}

const roomVersions = ['6', '9', '10', '11', '12']
const operations = 40

/** Runs one seed. @throws AssertionError where the servers do not come together */
export async function simulate(seed: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-simulation-'))
  const run = new Simulation(seed, folder)
  try {
    await run.all()
  } finally {
    await run.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

class Simulation {
  readonly #chance: Chance
  readonly #clock = new TestClock()
  readonly #network: Network
  readonly #nodes: Node[] = []
  readonly #trouble: string[] = []
  /** Events that were acknowledged, by the server that did. */
  readonly #acknowledged: { readonly node: Node; readonly eventId: EventId }[] = []
  readonly #partitions: [Node, Node][] = []
  readonly #version: string
  #roomId = '' as RoomId
  #count = 0
  /** The last event of all. */
  #last = '' as EventId

  constructor(seed: number, folder: string) {
    this.#chance = new Chance(seed)
    this.#network = new Network(this.#chance)
    this.#version = this.#chance.pick(roomVersions)
    const keys = new Map<string, SigningKey>()
    const size = 3 + this.#chance.below(5)
    for (let index = 0; index < size; index++) {
      const clock = new SkewedClock(this.#clock, this.#chance.percent(30) ? this.#chance.below(600_000) - 300_000 : 0)
      this.#nodes.push(new Node({ index, folder, network: this.#network, clock, keys, trouble: this.#trouble }))
    }
  }

  async all(): Promise<void> {
    await this.#begin()
    this.#network.faults = { lost: this.#chance.below(20), answerLost: this.#chance.below(15), repeated: this.#chance.below(15) }
    for (let operation = 0; operation < operations; operation++) {
      await this.#disturb()
      await this.#act(this.#chance.pick(this.#nodes))
      if (this.#chance.percent(30)) await this.#pass(this.#chance.below(90_000))
    }
    await this.#heal()
    await this.#check()
  }

  async end(): Promise<void> {
    for (const node of this.#nodes) await node.die()
  }

  get #first(): Node {
    return this.#nodes[0] ?? this.#chance.pick(this.#nodes)
  }

  /** The first server's user makes a public room, and all others come. */
  async #begin(): Promise<void> {
    for (const node of this.#nodes) await node.start()
    const first = this.#first
    const version = getRoomVersion(this.#version)
    assert.ok(version)
    const { user } = first
    const create = { room_version: version.id, ...(version.creatorField ? { creator: user } : {}) }
    const moderators = Object.fromEntries(this.#nodes.slice(1, 3).map((node) => [node.user, 50]))
    const { room } = await first.life.engine.writer.createRoom(version, user, create, () => [
      { type: 'm.room.member', stateKey: user, sender: user, content: { membership: 'join' } },
      { type: 'm.room.power_levels', stateKey: '', sender: user, content: { users: { ...moderators, ...(version.privilegedCreators ? {} : { [user]: 100 }) } } },
      { type: 'm.room.join_rules', stateKey: '', sender: user, content: { join_rule: 'public' } },
      { type: 'm.room.history_visibility', stateKey: '', sender: user, content: { history_visibility: 'shared' } },
    ])
    this.#roomId = room.id
    for (const node of this.#nodes.slice(1)) await node.join(room.id, [first.name])
    await this.#settle()
  }

  /** Breaks something, or mends it. */
  async #disturb(): Promise<void> {
    if (this.#chance.percent(15)) {
      const pair: [Node, Node] = [this.#chance.pick(this.#nodes), this.#chance.pick(this.#nodes)]
      this.#network.setApart(pair[0].name, pair[1].name, true)
      this.#partitions.push(pair)
    }
    if (this.#chance.percent(15)) {
      const pair = this.#partitions.pop()
      if (pair) this.#network.setApart(pair[0].name, pair[1].name, false)
    }
    for (const node of this.#nodes) if (node.hasDied) await this.#restart(node)
    if (this.#chance.percent(6)) this.#chance.pick(this.#nodes).life.database.arm('kill', 1 + this.#chance.below(40), '')
  }

  async #restart(node: Node): Promise<void> {
    await node.die()
    await node.start()
  }

  async #act(node: Node): Promise<void> {
    try {
      const eventId = await this.#change(node)
      if (eventId !== undefined) this.#acknowledged.push({ node, eventId })
    } catch (error) {
      // A refusal by the rules, a failing network and a server that dies are part of the game.
      if (error instanceof MatrixError || error instanceof FederationRefusal || error instanceof RemoteError || error instanceof StorageError) return
      throw error
    }
  }

  async #change(node: Node): Promise<EventId | undefined> {
    const { user } = node
    const number = ++this.#count
    const target = this.#chance.pick(this.#nodes.slice(1))
    const propose = (type: string, content: object, stateKey?: string): Promise<EventId> =>
      node.propose(this.#roomId, { type, sender: user, content: JSON.parse(JSON.stringify(content)), ...(stateKey === undefined ? {} : { stateKey }) })
    if (!(await node.isJoined(this.#roomId))) {
      await node.join(this.#roomId, this.#nodes.filter((other) => other !== node).map((other) => other.name))
      return undefined
    }
    switch (this.#chance.below(10)) {
      case 0: return propose('m.room.topic', { topic: `${number}` }, '')
      case 1: return propose('m.room.name', { name: `${number}` }, '')
      case 2: return node === this.#first ? undefined : propose('m.room.member', { membership: 'leave' }, user)
      case 3: return propose('m.room.member', { membership: this.#chance.pick(['ban', 'leave']) }, target.user)
      case 4: return propose('m.room.power_levels', this.#levels(), '')
      case 5: return propose('org.example.state', { number }, `${number % 3}`)
      default: return propose('m.room.message', { body: `${number}` })
    }
  }

  /** The first user stays the highest. */
  #levels(): object {
    const others = Object.fromEntries(this.#nodes.slice(1).filter(() => this.#chance.percent(50)).map((node) => [node.user, this.#chance.pick([0, 50])]))
    return { users: { ...others, ...(this.#version === '12' ? {} : { [this.#first.user]: 100 }) } }
  }

  async #pass(durationMs: number): Promise<void> {
    await this.#clock.advanceSlowly(durationMs)
  }

  async #settle(): Promise<void> {
    for (let round = 0; round < 4; round++) for (const node of this.#nodes) await node.settle()
  }

  /** The faults end; everybody says something, the first user last. */
  async #heal(): Promise<void> {
    this.#network.heal()
    for (const node of this.#nodes) {
      if (node.hasDied) await this.#restart(node)
      node.life.database.disarm()
    }
    for (let round = 0; round < 3; round++) {
      await this.#pass(120_000)
      await this.#settle()
      for (const node of [...this.#nodes].reverse()) {
        if (await node.isJoined(this.#roomId)) await this.#act(node)
        await this.#settle()
      }
      this.#last = await together(this.#first, this.#roomId)
      await this.#settle()
    }
  }

  /** Everything that the last event rests on: what was said in a branch that nobody named, or was soft-failed, is no part of the room's history. */
  #historyOf(timelines: readonly ReadonlyMap<EventId, StoredEvent>[]): Set<EventId> {
    const history = new Set<EventId>()
    const open = [this.#last]
    for (let eventId = open.pop(); eventId !== undefined; eventId = open.pop()) {
      if (history.has(eventId)) continue
      history.add(eventId)
      open.push(...(timelines.map((timeline) => timeline.get(eventId)).find((event) => event !== undefined)?.event.prevEventIds ?? []))
    }
    return history
  }

  async #check(): Promise<void> {
    assert.deepEqual(this.#trouble, [])
    const joined: Node[] = []
    // A server whose user has left, by what the others know, is told nothing more, whatever it believes itself.
    for (const node of this.#nodes) if ((await node.isJoined(this.#roomId)) && (await this.#first.hasJoined(this.#roomId, node.user))) joined.push(node)
    const state = await this.#first.state(this.#roomId)
    for (const node of joined) assert.deepEqual(await node.state(this.#roomId), state, `the state at ${node.name} is that of the others`)
    const timelines = await Promise.all(joined.map((node) => node.timeline(this.#roomId)))
    const history = this.#historyOf(timelines)
    joined.forEach((node, index) => {
      const missing = [...history].filter((eventId) => !timelines[index]?.has(eventId))
      assert.deepEqual(missing, [], `no event is missing at ${node.name}`)
    })
    for (const { node, eventId } of this.#acknowledged) {
      const room = await node.room(this.#roomId)
      assert.ok(room && (await node.life.engine.events.get(room, eventId)), `${node.name} still has what it acknowledged`)
    }
  }
}

function together(node: Node, roomId: RoomId): Promise<EventId> {
  return node.propose(roomId, { type: 'm.room.message', sender: node.user, content: { body: 'together' } })
}
