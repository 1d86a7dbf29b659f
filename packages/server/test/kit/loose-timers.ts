/** For the libraries of clients: they leave timers behind, of up to 100 s with every request and of some seconds where a sync has failed. */

/** From now on no timer keeps the process of a test alive. */
export function loosenTimers(): void {
  const { setTimeout: setReferencedTimeout } = globalThis
  globalThis.setTimeout = Object.assign(
    (...args: Parameters<typeof setReferencedTimeout>) => setReferencedTimeout(...args).unref(),
    { __promisify__: setReferencedTimeout.__promisify__ },
  )
}
