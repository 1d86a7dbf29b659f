/** Time as an argument, so that tests and simulations own it. */

/** A scheduled call that can be taken back. */
export interface Timer {
  /** Takes the call back; without effect once it has run. */
  cancel(): void
}

/** Where the server reads the time and what wakes it later. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls once after `delayMs`. It does not keep the process alive. */
  after(delayMs: number, call: () => void): Timer
  /** Calls again and again, `intervalMs` apart. It does not keep the process alive. */
  every(intervalMs: number, call: () => void): Timer
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
}

/** `sleep` on top of `after`. */
export function sleepOn(clock: Pick<Clock, 'after'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const aborted = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    })
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** Longest delay that the runtime's timers take; longer ones would fire at once. */
const longestDelayMs = 2 ** 31 - 1

/** The machine's clock. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }

  after(delayMs: number, call: () => void): Timer {
    const timer = setTimeout(call, Math.min(delayMs, longestDelayMs)).unref()
    return { cancel: () => clearTimeout(timer) }
  }

  every(intervalMs: number, call: () => void): Timer {
    const timer = setInterval(call, Math.min(intervalMs, longestDelayMs)).unref()
    return { cancel: () => clearInterval(timer) }
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal)
  }
}
