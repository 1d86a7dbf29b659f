/**
 * Bundled aggregations: what `unsigned` of an event tells of its children.
 *
 * Spec: client-server API, "Aggregations of child events", "Server-side aggregation of m.replace", "… m.thread", "… m.reference".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { ClientEvents, Reader, UnsignedSource } from '#engine/client-events.ts'
import type { Events } from '#engine/events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Visibility, VisibleEvent } from '#engine/visibility.ts'
import { isLater, replacementKey, type Child, type Children, type ChildrenCache } from './children.ts'
import { relationTypeOf } from './relation.ts'

/** Users whose events a user does not want to see. */
export interface IgnoredUsers {
  ignoredBy(userId: UserId): Promise<ReadonlySet<string>>
}

/** A thread as one reader sees it. */
export interface ThreadSummary {
  readonly count: number
  readonly latest: Child
  readonly participated: boolean
}

interface Needs {
  readonly events: Events
  readonly memberships: Memberships
  readonly visibility: Visibility
  readonly clientEvents: ClientEvents
  readonly ignoredUsers: IgnoredUsers
  readonly children: ChildrenCache
}

/** What is to be bundled with one event. */
interface Bundle {
  readonly parent: StoredEvent
  readonly replacement: Child | undefined
  readonly thread: ThreadSummary | undefined
  readonly references: readonly Child[]
}

export class Aggregations implements UnsignedSource {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async collect(reader: Reader, events: readonly StoredEvent[]): Promise<ReadonlyMap<number, readonly string[]>> {
    const collected = new Map<number, readonly string[]>()
    for (const [room, parents] of byRoom(events)) {
      const children = await this.#needs.children.of(room, parents)
      if (children.size === 0) continue
      const ignored = await this.#needs.ignoredUsers.ignoredBy(reader.userId)
      const bundles = parents.flatMap((parent) => {
        const own = children.get(parent.event.eventId)
        return own ? [bundleOf(parent, own, reader.userId, ignored)] : []
      })
      for (const [nid, text] of await this.#write(reader, room, bundles)) collected.set(nid, [text])
    }
    return collected
  }

  async #write(reader: Reader, room: Room, bundles: readonly Bundle[]): Promise<Map<number, string>> {
    const { events, memberships, visibility, clientEvents } = this.#needs
    const seesAll = await memberships.isJoined(room, reader.userId)
    const shown = bundles.flatMap(({ replacement, thread }) => [replacement, thread?.latest]).filter((child) => child !== undefined)
    const asked = seesAll ? shown : [...shown, ...bundles.flatMap((bundle) => bundle.references)]
    const loaded = await events.byNids([...new Set(asked.map((child) => child.nid))])
    const visible = new Map((await visibility.filter(reader.userId, [...loaded.values()])).map((item) => [item.event.nid, item]))
    const toFormat = [...new Set(shown.map((child) => child.nid))].map((nid) => visible.get(nid)).filter((item): item is VisibleEvent => item !== undefined)
    const texts = await clientEvents.format(reader, toFormat)
    const textOf = new Map(toFormat.map((item, index) => [item.event.nid, texts[index] ?? '{}']))
    const written = new Map<number, string>()
    for (const bundle of bundles) {
      const members = [
        ...threadMember(bundle.thread, textOf),
        ...replacementMember(bundle.replacement, textOf),
        ...referenceMember(bundle.references.filter((child) => seesAll || visible.has(child.nid))),
      ]
      if (members.length > 0) written.set(bundle.parent.nid, `"m.relations":{${members.join(',')}}`)
    }
    return written
  }
}

/** State events get no aggregations. */
function byRoom(events: readonly StoredEvent[]): Map<Room, StoredEvent[]> {
  const rooms = new Map<Room, StoredEvent[]>()
  for (const event of events) {
    if (event.isState) continue
    const list = rooms.get(event.room)
    if (list) list.push(event)
    else rooms.set(event.room, [event])
  }
  return rooms
}

/** An event that relates to another one is no root of a thread, and a replacement cannot be replaced; so bundles never go in circles. */
function bundleOf(parent: StoredEvent, children: Children, userId: string, ignored: ReadonlySet<string>): Bundle {
  const { sender, type, content } = parent.event
  const relationType = relationTypeOf(content)
  const isReplaceable = !parent.redactedBecause && relationType !== 'm.replace' && !ignored.has(sender)
  return {
    parent,
    replacement: isReplaceable ? children.replacements.get(replacementKey(sender, type)) : undefined,
    thread: relationType === undefined ? threadSummary(parent, children, userId, ignored) : undefined,
    references: children.references.filter((child) => !ignored.has(child.sender)),
  }
}

/** The thread below an event without what ignored users wrote; undefined where nothing is left. */
export function threadSummary(root: StoredEvent, children: Children, userId: string, ignored: ReadonlySet<string>): ThreadSummary | undefined {
  let count = 0
  let latest: Child | undefined
  for (const [sender, part] of children.thread) {
    if (ignored.has(sender)) continue
    count += part.count
    if (!latest || isLater(part.latest, latest)) latest = part.latest
  }
  return latest && { count, latest, participated: root.event.sender === userId || children.thread.has(userId) }
}

function threadMember(thread: ThreadSummary | undefined, textOf: ReadonlyMap<number, string>): string[] {
  const text = thread && textOf.get(thread.latest.nid)
  return thread && text !== undefined
    ? [`"m.thread":{"latest_event":${text},"count":${thread.count},"current_user_participated":${thread.participated}}`]
    : []
}

function replacementMember(replacement: Child | undefined, textOf: ReadonlyMap<number, string>): string[] {
  const text = replacement && textOf.get(replacement.nid)
  return text === undefined ? [] : [`"m.replace":${text}`]
}

function referenceMember(references: readonly Child[]): string[] {
  if (references.length === 0) return []
  return [`"m.reference":{"chunk":[${references.map((child) => `{"event_id":${JSON.stringify(child.eventId)}}`).join(',')}]}`]
}
