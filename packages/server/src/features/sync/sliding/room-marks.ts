/**
 * Which rooms a user has marked: direct chats and tags, from account data.
 *
 * Spec: client-server API, "Direct Messaging", "Room Tagging".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import type { Cache } from '#platform/cache/cache.ts'
import type { SyncSources } from '../sources.ts'

const directType = 'm.direct'
const tagType = 'm.tag'

export class RoomMarks {
  readonly #accountData: SyncSources['accountData']
  /** With the text from which they were read. */
  readonly #direct: Cache<string, { readonly text: string; readonly rooms: ReadonlySet<string> }>
  readonly #tags: Cache<string, ReadonlyMap<string, ReadonlySet<string>>>

  constructor({ caches, accountData }: Pick<SyncSources, 'caches' | 'accountData'>) {
    this.#accountData = accountData
    this.#direct = caches.cache('direct_rooms', ({ rooms }) => 100 + rooms.size * 100)
    this.#tags = caches.cache('room_tags', (tags) => 100 + tags.size * 200)
    accountData.stream.onAdvance((entries) => {
      for (const { row } of entries) if (row.type === tagType) this.#tags.delete(row.userId)
    })
  }

  /** Ids of the rooms that the user calls direct chats. */
  async directOf(userId: UserId): Promise<ReadonlySet<string>> {
    const text = (await this.#accountData.globalFor(userId)).get(directType) ?? ''
    const known = this.#direct.get(userId)
    if (known?.text === text) return known.rooms
    const rooms = new Set<string>()
    const content: unknown = text === '' ? {} : JSON.parse(text)
    for (const list of isObject(content) ? Object.values(content) : []) {
      if (Array.isArray(list)) for (const roomId of list) if (typeof roomId === 'string') rooms.add(roomId)
    }
    this.#direct.set(userId, { text, rooms })
    return rooms
  }

  /** Tags of the user's rooms, by room id. */
  async tagsOf(userId: UserId): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const known = this.#tags.get(userId)
    if (known) return known
    const before = this.#accountData.stream.position
    const tags = new Map<string, ReadonlySet<string>>()
    for (const { scope, content } of await this.#accountData.ofTypeInRooms(userId, tagType)) {
      const value: unknown = JSON.parse(content)
      const names = isObject(value) ? own(value, 'tags') : undefined
      if (isObject(names)) tags.set(scope, new Set(Object.keys(names)))
    }
    if (before === this.#accountData.stream.position) this.#tags.set(userId, tags)
    return tags
  }
}
