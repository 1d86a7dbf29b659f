/** Builds what delivers sticky events. */
import { StickyEvents } from '#features/sticky-events/sticky-events.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'
import { isExperimental } from './experimental.ts'

interface Inputs {
  readonly config: Config
  readonly database: Database
  readonly clock: Clock
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly stack: AsyncDisposableStack
}

const minuteMs = 60_000

/** Sticky events. */
export async function composeStickyEvents({ config, database, clock, logger, engine, stack }: Inputs): Promise<StickyEvents> {
  const stickyEvents = await StickyEvents.open({ database, clock, enabled: isExperimental(config, 'msc4354_enabled') })
  engine.persister.addParticipant(stickyEvents)
  engine.purging.addParticipant(stickyEvents)
  engine.clientEvents.addSource(stickyEvents)
  const timer = clock.every(minuteMs, () => {
    stickyEvents.expire().catch((error: unknown) => logger('synapse.storage.databases.main.sticky_events').error('Events that are no longer sticky could not be forgotten.', { error }))
  })
  stack.defer(() => timer.cancel())
  return stickyEvents
}
