/** Work on a room waits its turn: one after the other in each room, rooms beside each other. */
export class RoomTurns {
  readonly #last = new Map<number, Promise<unknown>>()

  /** Runs work when all earlier work of the room is done. */
  async run<Result>(roomNid: number, work: () => Promise<Result>): Promise<Result> {
    const previous = this.#last.get(roomNid)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last.set(roomNid, promise)
    if (previous) await previous
    try {
      return await work()
    } finally {
      resolve()
      if (this.#last.get(roomNid) === promise) this.#last.delete(roomNid)
    }
  }
}
