/** Which rooms are for notices of the server: those that the user of `server_notices` has made, and nobody else can act as that user. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Names } from '#engine/names.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'

interface Needs {
  readonly names: Pick<Names, 'find'>
  readonly rooms: Pick<Rooms, 'createdBy'>
  readonly memberships: Pick<Memberships, 'ofUser'>
  /** In whose name the server speaks; undefined where it sends no notices. */
  readonly sender: UserId | undefined
}

export class NoticeRooms {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Whether a room is one of them. */
  async has(room: Room): Promise<boolean> {
    return (await this.#among([room])).length > 0
  }

  /** The room of a user who is joined to it or invited; the newest where there are several. */
  async of(userId: UserId): Promise<Room | undefined> {
    const { sender, memberships } = this.#needs
    if (sender === undefined) return undefined
    const present = [...(await memberships.ofUser(userId)).values()].filter(({ membership }) => membership === 'join' || membership === 'invite')
    return (await this.#among(present.map(({ room }) => room))).at(-1)
  }

  async #among(rooms: readonly Room[]): Promise<Room[]> {
    const { sender, names } = this.#needs
    const senderNid = sender === undefined ? undefined : await names.find(sender)
    return senderNid === undefined ? [] : this.#needs.rooms.createdBy(senderNid, rooms)
  }
}
