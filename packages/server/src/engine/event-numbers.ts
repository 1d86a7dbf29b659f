/** Numbers of events, given out once each. */
export class EventNumbers {
  #last: number

  /** @param last highest number in the database */
  constructor(last: number) {
    this.#last = last
  }

  next(): number {
    return ++this.#last
  }
}
