/** Work on a room waits its turn: one after the other in each room, rooms beside each other. */
export class RoomTurns {
  readonly #last = new Map<number, Promise<unknown>>()
  readonly #closed = new Map<number, () => Error>()

  /** Nothing is done in a room any more: what waits, and whatever comes, fails. */
  close(roomNid: number, reason: () => Error): void {
    this.#closed.set(roomNid, reason)
  }

  /** Runs work when all earlier work of the room is done. @throws the reason where the room was closed */
  async run<Result>(roomNid: number, work: () => Promise<Result>): Promise<Result> {
    const previous = this.#last.get(roomNid)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last.set(roomNid, promise)
    if (previous) await previous
    try {
      const reason = this.#closed.get(roomNid)
      if (reason) throw reason()
      return await work()
    } finally {
      resolve()
      if (this.#last.get(roomNid) === promise) this.#last.delete(roomNid)
    }
  }
}
