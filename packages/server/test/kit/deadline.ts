/** Waiting for what a running program or client reports, never longer than a deadline. */
import { clearTimeout, setTimeout } from 'node:timers'

/** What can be listened to: an EventEmitter, a client of matrix-js-sdk. */
interface Emitter {
  on(event: string, listener: () => void): unknown
  off(event: string, listener: () => void): unknown
}

/** What there is to be seen, if anything yet. */
export type Outcome<T> = T | undefined | false

/** Seconds that a test waits for something which takes milliseconds on an idle machine. */
const patience = 30

/**
 * The result of a promise, or a failure that names what was awaited.
 * @param seconds after which it fails
 */
export async function within<T>(what: string, promise: PromiseLike<T>, seconds: number = patience): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  // The stack of the caller, taken before anything is awaited.
  const error = new Error(`Waited ${seconds} s in vain for ${what}`)
  const timer = setTimeout(() => reject(error), seconds * 1000)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Looks now, and again after each of the events, until there is something to be seen.
 * @param check gives undefined or false as long as there is not
 */
export async function until<T>(
  emitter: Emitter, events: readonly string[], what: string, check: () => Outcome<T> | Promise<Outcome<T>>, seconds: number = patience,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const look = (): void => {
    Promise.try(check).then((found) => {
      if (found !== undefined && found !== false) resolve(found)
    }, reject)
  }
  for (const event of events) emitter.on(event, look)
  look()
  try {
    return await within(what, promise, seconds)
  } finally {
    for (const event of events) emitter.off(event, look)
  }
}
