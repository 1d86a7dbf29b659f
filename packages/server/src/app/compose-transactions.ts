/** Builds what exchanges events with other servers: what comes in, what goes out, what is asked and answered. */
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Federation } from '#features/federation/federation.ts'
import type { RestrictedJoins } from '#features/membership/restricted-joins.ts'
import { EndedMemberships } from '#features/remote-rooms/ended-memberships.ts'
import { Handshakes } from '#features/remote-rooms/handshakes.ts'
import { remoteRooms } from '#features/remote-rooms/remote-rooms.ts'
import { RoomAnswers } from '#features/remote-rooms/room-answers.ts'
import { ServerVisibility } from '#features/remote-rooms/server-visibility.ts'
import type { DurableEdus } from '#features/transactions/destination-queue.ts'
import { Outbox } from '#features/transactions/outbox.ts'
import { Transactions } from '#features/transactions/transactions.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'

interface Inputs {
  readonly database: Database
  readonly clock: Clock
  readonly limits: RateLimits
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly signer: EventSigner
  readonly serverName: ServerName
  readonly federation: Federation
  readonly restrictedJoins: RestrictedJoins
  readonly durable: readonly DurableEdus[]
  readonly stack: AsyncDisposableStack
}

const hourMs = 3_600_000

/** The traffic of rooms between servers. */
export async function composeTransactions(inputs: Inputs) {
  const { engine, federation, restrictedJoins, clock, stack } = inputs
  const shared = { ...inputs, ...engine }
  const remote = remoteRooms(federation)
  engine.ancestry.use(remote)
  engine.backfill.use(remote)
  const roomAnswers = new RoomAnswers({ ...engine, visibility: new ServerVisibility(engine) })
  const outbox = await Outbox.open({ ...shared, logger: inputs.logger('synapse.federation.sender'), durable: inputs.durable })
  stack.defer(() => outbox.stop())
  const handshakes = new Handshakes({ ...shared, forwarding: outbox, vouching: restrictedJoins })
  const logger = inputs.logger('synapse.federation.federation_server')
  const endedMemberships = new EndedMemberships(engine)
  const transactions = await Transactions.open({ ...shared, logger, endedMemberships })
  stack.defer(() => transactions.stop())
  for (const participant of [outbox, transactions]) engine.roomPurging.addParticipant(participant)
  await transactions.resume()
  const timer = clock.every(hourMs, () => {
    transactions.expire().catch((error: unknown) => logger.error('Old transactions of other servers could not be forgotten.', { error }))
  })
  stack.defer(() => timer.cancel())
  return { roomAnswers, outbox, handshakes, endedMemberships, transactions }
}
