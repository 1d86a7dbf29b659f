/** Builds what lets messages and rooms end. */
import { ForgottenRooms } from '#features/retention/forgotten-rooms.ts'
import { RetentionJobs, type RetentionJob } from '#features/retention/retention-jobs.ts'
import { RoomRetention, type RetentionRules } from '#features/retention/room-retention.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'
import { isExperimental } from './experimental.ts'

interface Inputs {
  readonly config: Config
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly stack: AsyncDisposableStack
}

const dayMs = 24 * 3_600_000

/** Services of retention; `retentionJobs` is undefined where it is not enabled. */
export function composeRetention(inputs: Inputs) {
  const { config, engine, stack } = inputs
  const forgottenRooms = new ForgottenRooms({
    ...inputs, ...engine, logger: inputs.logger('synapse.handlers.pagination'), periodMs: config.forgotten_room_retention_period,
  })
  stack.defer(() => forgottenRooms.stop())
  const rules: RetentionRules = {
    defaultMinMs: config.retention.default_policy.min_lifetime, defaultMaxMs: config.retention.default_policy.max_lifetime,
    allowedMinMs: config.retention.allowed_lifetime_min, allowedMaxMs: config.retention.allowed_lifetime_max,
  }
  const retentionConfiguration = isExperimental(config, 'msc1763_enabled') ? rules : undefined
  if (!config.retention.enabled) return { retentionConfiguration, retentionJobs: undefined, forgottenRooms }
  const retention = new RoomRetention({ ...inputs, ...engine, rules })
  engine.visibility.useLifetimes(retention)
  const retentionJobs = new RetentionJobs({ ...inputs, ...engine, logger: inputs.logger('synapse.handlers.pagination'), retention }, jobsOf(config))
  stack.defer(() => retentionJobs.stop())
  return { retentionConfiguration, retentionJobs, forgottenRooms }
}

function jobsOf(config: Config): RetentionJob[] {
  const jobs = (config.retention.purge_jobs ?? []).map((job) => ({
    aboveMs: job.shortest_max_lifetime, upToMs: job.longest_max_lifetime, intervalMs: job.interval ?? dayMs,
  }))
  return jobs.length > 0 ? jobs : [{ aboveMs: null, upToMs: null, intervalMs: dayMs }]
}
