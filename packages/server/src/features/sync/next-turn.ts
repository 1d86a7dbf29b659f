/** Cuts long work into slices. */

/** Resolves when requests that wait have had their turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
