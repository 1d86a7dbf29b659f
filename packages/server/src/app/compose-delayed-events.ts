/** Builds what sends events later. */
import type { Accounts } from '#features/accounts/accounts.ts'
import { DelayedEvents } from '#features/delayed-events/delayed-events.ts'
import { DelayedEventsStore } from '#features/delayed-events/delayed-events.store.ts'
import { DelayedSending } from '#features/delayed-events/delayed-sending.ts'
import { DelayedStates } from '#features/delayed-events/delayed-states.ts'
import type { Messages } from '#features/messages/messages.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'

interface Inputs {
  readonly config: Config
  readonly database: Database
  readonly clock: Clock
  readonly limits: RateLimits
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly accounts: Accounts
  readonly messages: Messages
  readonly stack: AsyncDisposableStack
}

const hourMs = 3_600_000

/** Services of delayed events; from now on what is due is sent. */
export async function composeDelayedEvents(inputs: Inputs) {
  const { config, database, clock, engine, stack } = inputs
  const logger = inputs.logger('synapse.handlers.delayed_events')
  const store = new DelayedEventsStore(database)
  const states = new DelayedStates({ store, clock, scheduled: await store.scheduledStates() })
  engine.persister.addParticipant(states)
  const delayedSending = new DelayedSending({ ...inputs, ...engine, logger, store, states })
  const delayedEvents = new DelayedEvents({ ...inputs, ...engine, store, states, sending: delayedSending, longestMs: config.max_event_delay_duration })
  engine.roomPurging.addParticipant(delayedEvents)
  inputs.accounts.onDeactivated((tx, userId) => delayedEvents.cancelOf(tx, userId))
  const timer = clock.every(hourMs, () => {
    delayedEvents.forget().catch((error: unknown) => logger.error('Could not forget delayed events of long ago.', { error }))
  })
  stack.defer(() => timer.cancel())
  stack.defer(() => delayedSending.stop())
  delayedSending.start()
  return { delayedEvents, delayedSending }
}
