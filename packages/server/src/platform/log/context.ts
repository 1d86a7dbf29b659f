/** What a line of the log belongs to: follows asynchronous calls, so that no service passes a request id along. */
import { AsyncLocalStorage } from 'node:async_hooks'

/** The context of log lines. */
export interface LogContext {
  /** Request id such as `GET-12`, or the name of a background job such as `purge-3`. */
  readonly request: string
  /** Who asks: a user id or the name of a server. */
  readonly requester?: string
}

const contexts = new AsyncLocalStorage<LogContext>()

/** Runs `work`, and whatever it starts, with `context` in its log lines. */
export function runWithLogContext<Result>(context: LogContext, work: () => Result): Result {
  return contexts.run(context, work)
}

/** The context of the running call, undefined outside of any. */
export function logContext(): LogContext | undefined {
  return contexts.getStore()
}
