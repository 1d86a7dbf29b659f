/**
 * Tags that a user puts on rooms, kept as the room's account data `m.tag`.
 *
 * Spec: client-server API, "Room Tagging".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { storedObject, type AccountData } from './account-data.ts'

const tagType = 'm.tag'
const tagLimitBytes = 255
/** A room has at most this many tags of one user. */
const tagsLimit = 200

export class Tags {
  readonly #accountData: AccountData

  constructor(needs: { readonly accountData: AccountData }) {
    this.#accountData = needs.accountData
  }

  /** The tags of a room by name. */
  async of(userId: UserId, roomId: RoomId): Promise<JsonObject> {
    return tagsOf(await this.#accountData.getStored(userId, roomId, tagType))
  }

  /** Adds or replaces a tag. @throws M_INVALID_PARAM, M_TOO_LARGE */
  async put(userId: UserId, roomId: RoomId, tag: string, content: JsonObject): Promise<void> {
    if (Buffer.byteLength(tag) > tagLimitBytes) throw refuse('M_INVALID_PARAM', `A tag's name has at most ${tagLimitBytes} bytes.`)
    await this.#accountData.change(userId, roomId, tagType, (stored) => {
      const tags = new Map(Object.entries(tagsOf(stored)))
      tags.set(tag, content)
      if (tags.size > tagsLimit) throw refuse('M_TOO_LARGE', `A room has at most ${tagsLimit} tags; remove one first.`)
      return JSON.stringify({ tags: Object.fromEntries(tags) })
    })
  }

  /** Removes a tag; one that is not there is no error. */
  async delete(userId: UserId, roomId: RoomId, tag: string): Promise<void> {
    await this.#accountData.change(userId, roomId, tagType, (stored) => {
      const tags = new Map(Object.entries(tagsOf(stored)))
      return tags.delete(tag) ? JSON.stringify({ tags: Object.fromEntries(tags) }) : undefined
    })
  }
}

function tagsOf(stored: string | undefined): JsonObject {
  const tags = own(storedObject(stored), 'tags')
  return isObject(tags) ? tags : {}
}
