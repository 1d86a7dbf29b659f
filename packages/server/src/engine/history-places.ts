/** Places in the stream of events that are older than this server's presence in their room: they go downwards from below zero. */
export class HistoryPlaces {
  #lowest: number

  /** @param lowest lowest place in the database; above zero where there is no such event */
  constructor(lowest: number) {
    this.#lowest = Math.min(0, lowest)
  }

  next(): number {
    return --this.#lowest
  }
}
