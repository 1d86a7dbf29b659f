/** A binary heap: gives the smallest of its items in logarithmic time. */
export class Heap<Item> {
  readonly #items: Item[] = []
  readonly #isLess: (a: Item, b: Item) => boolean

  constructor(isLess: (a: Item, b: Item) => boolean) {
    this.#isLess = isLess
  }

  push(item: Item): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = items[parentAt]
      if (parent === undefined || !this.#isLess(item, parent)) break
      items[at] = parent
      at = parentAt
    }
    items[at] = item
  }

  /** Takes the smallest item out; undefined when the heap is empty. */
  pop(): Item | undefined {
    const items = this.#items
    const smallest = items[0]
    const last = items.pop()
    if (last === undefined || items.length === 0) return smallest
    let at = 0
    for (;;) {
      let childAt = 2 * at + 1
      let child = items[childAt]
      if (child === undefined) break
      const right = items[childAt + 1]
      if (right !== undefined && this.#isLess(right, child)) {
        child = right
        childAt += 1
      }
      if (!this.#isLess(child, last)) break
      items[at] = child
      at = childAt
    }
    items[at] = last
    return smallest
  }
}
