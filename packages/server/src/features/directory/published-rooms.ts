/**
 * The published rooms in the order of the directory, kept in memory: a page costs the page, not the directory. What happens in a room makes its entry
 * stale, and the next request reads the stale ones anew.
 */
import type { RoomSummaries, RoomSummary } from '#features/room-summaries/room-summaries.ts'
import type { Room } from '#engine/room.ts'
import type { EventsRow } from '#engine/stored-event.ts'
import type { Stream } from '#platform/streams/stream.ts'
import { comparePlaces } from './listed-place.ts'
import { ListedTexts } from './listed-texts.ts'

/** Published rooms in the order of the directory. */
export interface Listed {
  readonly rooms: readonly RoomSummary[]
  /** Their names, topics and aliases in lower case. */
  readonly texts: ListedTexts
}

/** Which rooms are published where. */
export interface Publications {
  /** Changes whenever a room is published or withdrawn. */
  readonly revision: number
  /** Rooms on a network's list, or on any where it is undefined. */
  published(network: string | undefined): Promise<Room[]>
}

interface Needs {
  readonly publications: Publications
  readonly summaries: RoomSummaries
  readonly eventsStream: Stream<EventsRow>
}

/** One network's list. */
interface List {
  /** Of the publications that it was read from; undefined where it must be read anew. */
  revision: number | undefined
  readonly rooms: Map<number, RoomSummary>
  listed: Listed
  /** Numbers of rooms whose entries may no longer hold. */
  stale: Set<number>
  /** A refresh that is under way: those who ask meanwhile wait for it. */
  refreshing: Promise<void> | undefined
}

/** Lists that are kept; the one that nobody has asked for longest is dropped first. */
const keptNetworks = 50

export class PublishedRooms {
  readonly #needs: Needs
  readonly #lists = new Map<string | undefined, List>()

  constructor(needs: Needs) {
    this.#needs = needs
    needs.eventsStream.onAdvance((entries) => {
      if (this.#lists.size === 0) return
      for (const { row: { event, changed } } of entries) {
        if (changed.types.size === 0 && event.event.type !== 'm.room.redaction') continue
        for (const list of this.#lists.values()) list.stale.add(event.room.nid)
      }
    })
  }

  /**
   * Published rooms with at least one member, largest first.
   * @param network undefined for all networks
   */
  async of(network: string | undefined): Promise<Listed> {
    const list = this.#list(network)
    while (list.refreshing) await list.refreshing
    list.refreshing = this.#refresh(network, list).finally(() => { list.refreshing = undefined })
    await list.refreshing
    return list.listed
  }

  #list(network: string | undefined): List {
    const list = this.#lists.get(network) ?? { revision: undefined, rooms: new Map(), listed: listedOf([]), stale: new Set(), refreshing: undefined }
    this.#lists.delete(network)
    this.#lists.set(network, list)
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size <= keptNetworks) break
      this.#lists.delete(oldest)
    }
    return list
  }

  async #refresh(network: string | undefined, list: List): Promise<void> {
    const { publications, summaries } = this.#needs
    const { revision } = publications
    const isReadAnew = list.revision !== revision
    const { stale } = list
    list.stale = new Set()
    // Where this fails half-way, the next request begins anew.
    list.revision = undefined
    const affected = isReadAnew ? await this.#reread(network, list, stale) : [...stale].flatMap((nid) => list.rooms.get(nid)?.room ?? [])
    for (const room of affected) list.rooms.set(room.nid, await summaries.of(room))
    if (isReadAnew || affected.length > 0) list.listed = listedOf([...list.rooms.values()].filter((summary) => summary.joinedMembers > 0).sort(inOrder))
    list.revision = revision
  }

  /** Drops what is no longer published. @returns rooms whose entries are missing or stale */
  async #reread(network: string | undefined, list: List, stale: ReadonlySet<number>): Promise<Room[]> {
    const published = await this.#needs.publications.published(network)
    const nids = new Set(published.map((room) => room.nid))
    for (const nid of list.rooms.keys()) if (!nids.has(nid) || stale.has(nid)) list.rooms.delete(nid)
    return published.filter((room) => !list.rooms.has(room.nid))
  }
}

function listedOf(rooms: readonly RoomSummary[]): Listed {
  const text = ({ name, topic, canonicalAlias }: RoomSummary): string => [name, topic, canonicalAlias].map((part) => (part ?? '').replaceAll('\0', ' ')).join('\n').toLowerCase()
  return { rooms, texts: new ListedTexts(rooms.map(text)) }
}

function inOrder(a: RoomSummary, b: RoomSummary): number {
  return comparePlaces({ joinedMembers: a.joinedMembers, roomId: a.room.id }, { joinedMembers: b.joinedMembers, roomId: b.room.id })
}
