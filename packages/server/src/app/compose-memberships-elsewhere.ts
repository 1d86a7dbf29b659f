/** Builds what joins, leaves and invites over federation. */
import { randomBytes } from 'node:crypto'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import type { Federation } from '#features/federation/federation.ts'
import type { InvitePermission } from '#features/membership/invite-permission.ts'
import type { PrejoinState } from '#features/membership/prejoin-state.ts'
import { Invites } from '#features/remote-rooms/invites.ts'
import { RemoteMemberships } from '#features/remote-rooms/remote-memberships.ts'
import type { Clock } from '#platform/clock.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'

interface Inputs {
  readonly config: Config
  readonly clock: Clock
  readonly limits: RateLimits
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly signer: EventSigner
  readonly federation: Federation
  readonly accounts: Accounts
  readonly inviteFilter: InvitePermission
  readonly prejoinState: PrejoinState
}

/** Memberships of rooms that this server is not in, and invites of users that are not its own. */
export function composeMembershipsElsewhere(inputs: Inputs) {
  const { config, engine, prejoinState: strippedStates } = inputs
  const shared = { ...inputs, ...engine, strippedStates }
  const remoteMemberships = new RemoteMemberships({
    ...shared, logger: inputs.logger('synapse.federation.federation_client'), randomId: () => randomBytes(18).toString('base64url'),
  })
  const invites = new Invites({ ...shared, areBlocked: config.block_non_admin_invites })
  return { remoteMemberships, invites }
}
