/**
 * Rooms with branches for tests: a populated one, and random ones whose events the auth rules allow.
 *
 * Spec: rooms, "State resolution".
 */
import fc from 'fast-check'
import { checkAuth } from '../auth/check.ts'
import { alice, bob, carol, FixtureRoom } from '../auth/fixture-room.ts'
import type { Branch } from '../auth/fixture-room.ts'
import { resolve } from './resolve.ts'

export const dan = '@dan:d.example'

/** A public room of alice, who rules, and bob, a moderator of level 50, and carol. */
export function populated(versionId: string): FixtureRoom {
  const room = new FixtureRoom(versionId)
  const { main } = room
  main.powerLevels({ users: room.version.privilegedCreators ? { [bob]: 50 } : { [alice]: 100, [bob]: 50 } })
  main.joinRule('public')
  main.member(bob, 'join')
  main.member(carol, 'join')
  return room
}
const users = [alice, bob, carol, dan] as const
export interface Step { readonly branch: number; readonly kind: number; readonly sender: number; readonly target: number; readonly ts: number }
export const steps = fc.array(
  fc.record({ branch: fc.nat(3), kind: fc.nat(8), sender: fc.nat(3), target: fc.nat(3), ts: fc.integer({ min: 0, max: 20 }) }),
  { maxLength: 30 },
)

/** Takes a step on its branch if the auth rules allow it there; kind 8 merges all branches. */
export function take(room: FixtureRoom, branches: Branch[], step: Step): void {
  const branch = branches[step.branch % branches.length]
  const sender = users[step.sender]
  const target = users[step.target]
  if (branch === undefined || sender === undefined || target === undefined) return
  if (step.kind === 0) {
    branches.push(branch.fork())
    return
  }
  if (step.kind === 8) {
    const merged = resolve(room.version, branches.map(({ state }) => state), { event: room.lookup })
    branch.state.clear()
    for (const [key, id] of merged) branch.state.set(key, id)
    return
  }
  const member = (membership: string) => ({ type: 'm.room.member', stateKey: target, sender, content: { membership }, ts: step.ts })
  const draft = [
    member('join'), member('join'), member('leave'), member('ban'), member('invite'),
    { type: 'm.room.join_rules', stateKey: '', sender, content: { join_rule: step.ts % 2 ? 'public' : 'invite' }, ts: step.ts },
    { type: 'm.room.power_levels', stateKey: '', sender, content: { users: room.version.privilegedCreators ? { [bob]: 50 } : { [alice]: 100, [target]: 50 } }, ts: step.ts },
    { type: 'm.room.topic', stateKey: '', sender, ts: step.ts },
  ][step.kind]
  if (draft !== undefined && checkAuth(room.version, branch.draft(draft), branch.authState).allowed) branch.send(draft)
}

