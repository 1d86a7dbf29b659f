/** Lets changes to one user's keys happen one after the other, so that what was read is still true when it is written. */

export class UserQueue {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `work` once all earlier work for the user has ended. */
  async run<Result>(userId: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(userId) ?? Promise.resolve()
    const mine = before.then(work, work)
    this.#last.set(userId, mine)
    try {
      return await mine
    } finally {
      if (this.#last.get(userId) === mine) this.#last.delete(userId)
    }
  }
}
