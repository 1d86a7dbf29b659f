/** Builds the slices of rooms: making them, being in them, writing to them, reading them. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { AccountData } from '#features/account-data/account-data.ts'
import { InvitePermission } from '#features/membership/invite-permission.ts'
import { MembershipConsequences, type InviteAcceptance } from '#features/membership/membership.consumer.ts'
import { Membership, type NoticeRoomsOfUsers } from '#features/membership/membership.ts'
import type { AliasResolver } from '#features/membership/membership.routes.ts'
import { RestrictedJoins } from '#features/membership/restricted-joins.ts'
import { composeMembershipsElsewhere } from './compose-memberships-elsewhere.ts'
import { PrejoinState, type PrejoinType } from '#features/membership/prejoin-state.ts'
import { History, type RelatedEvents } from '#features/messages/history.ts'
import type { HistoryRules } from '#features/messages/history.routes.ts'
import { Messages, type Activity, type RelationPolicy } from '#features/messages/messages.ts'
import { TransactionIds } from '#features/messages/transaction-ids.ts'
import type { PushRules } from '#features/push-rules/push-rules.ts'
import type { Profiles } from '#features/profiles/profiles.ts'
import { RoomCreation } from '#features/rooms/rooms.ts'
import { assertRetention, retentionType } from '#features/retention/room-retention.ts'
import type { RoomAliases } from '#features/rooms/room-aliases.ts'
import { RoomReading } from '#features/rooms/room-reading.ts'
import { IdentityServers } from '#features/third-party-invites/identity-server.ts'
import { ThirdPartyInvites } from '#features/third-party-invites/third-party-invites.ts'
import { CarriedSettings, type DirectoryMoves } from '#features/upgrades/carried-settings.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { GuardedClient } from '#platform/fetch/guarded-client.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import type { Federation } from '#features/federation/federation.ts'
import { strippedStateTypes } from '@myelin/protocol/events/stripped-state.ts'
import { EventsConsumer } from '#engine/events-consumer.ts'
import { requireRoomPoint } from '#engine/room-point.ts'
import type { Room } from '#engine/room.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'
import { isExperimental } from './experimental.ts'

interface Inputs {
  readonly config: Config
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly limits: RateLimits
  readonly outbound: GuardedClient
  readonly engine: Engine
  readonly signer: EventSigner
  readonly federation: Federation
  readonly noticeRooms: NoticeRoomsOfUsers
  readonly accountData: AccountData
  readonly pushRules: PushRules
  readonly profiles: Profiles
  readonly accounts: Accounts
  readonly logger: (name: string) => Logger
  readonly activity: Activity
  readonly aliases: RoomAliases & AliasResolver & DirectoryMoves
  readonly relations: RelationPolicy & RelatedEvents
  /** Place in the events stream of a token of `/sync`. */
  readonly syncPosition: (token: string) => number | undefined
  readonly stack: AsyncDisposableStack
}

/** Services of rooms. */
export async function composeRooms(inputs: Inputs) {
  const { config, engine, limits, accountData, profiles, aliases, relations, stack, syncPosition } = inputs
  const { memberships, writer, rooms, events, clientEvents, states } = engine
  const invitePermission = new InvitePermission({ settings: accountData, isLocal: (userId) => memberships.isLocal(userId) })
  const carriedSettings = new CarriedSettings({ ...engine, database: inputs.database, directory: aliases, accountData, pushRules: inputs.pushRules })
  const prejoinState = new PrejoinState({ database: inputs.database, states, clientEvents, types: prejoinTypes(config) })
  engine.purging.addParticipant(prejoinState)
  const restrictedJoins = new RestrictedJoins(engine)
  const elsewhere = composeMembershipsElsewhere({ ...inputs, inviteFilter: invitePermission, prejoinState })
  const membership = new Membership({
    database: inputs.database, rooms, memberships, writer, profiles, limits, restrictedJoins, prejoinState,
    roomServers: engine.roomServers, elsewhere: elsewhere.remoteMemberships, invitesElsewhere: elsewhere.invites,
    inviteFilter: invitePermission,
    succession: carriedSettings,
    noticeRooms: inputs.noticeRooms,
    blockNonAdminInvites: config.block_non_admin_invites,
    includeProfileOnInvite: config.include_profile_data_on_invite,
    forgetOnLeave: config.forget_rooms_on_leave,
    perRoomProfiles: config.allow_per_room_profiles,
  })
  const transactions = stack.use(new TransactionIds(inputs))
  clientEvents.addSource(transactions)
  const messages = new Messages({
    rooms, events, writer, limits, transactions, aliases, activity: inputs.activity, relationPolicy: relations, memberPolicy: membership, stateContents: new Map([[retentionType, assertRetention]]), adminRedactionLimited: config.rc_admin_redaction !== null,
    redactsRelations: isExperimental(config, 'msc3912_enabled'),
  })
  const history = new History({
    ...engine, ignoredUsers: accountData, relatedTo: relations, originals: engine.pruning, syncPosition, position: () => engine.eventsStream.position,
  })
  const historyRules: HistoryRules = {
    relationTypeFilters: isExperimental(config, 'msc3874_enabled'), showsRedacted: isExperimental(config, 'msc2815_enabled'),
  }
  const thirdPartyInvites = new ThirdPartyInvites({
    ...engine, membership, profiles, limits, identityServers: new IdentityServers({ http: inputs.outbound }), isEnabled: config.enable_3pid_lookup,
  })
  const roomCreation = new RoomCreation({
    writer, aliases, limits, memberships, inviting: membership, thirdPartyInvites,
    defaultVersion: config.default_room_version,
    encryptionDefault: config.encryption_enabled_by_default_for_room_type,
    powerLevelOverrides: config.default_power_level_content_override,
  })
  const roomReading = new RoomReading({ ...engine, rootAt: (room, token) => rootAt(engine, syncPosition, room, token) })
  const consequences = await EventsConsumer.open({
    ...engine, name: 'membership', begin: 'next', database: inputs.database, stream: engine.eventsStream, clock: inputs.clock, logger: inputs.logger('synapse.handlers.room_member'),
    work: new MembershipConsequences({
      memberships, writer, membership, accounts: inputs.accounts, acceptance: acceptanceOf(config), logger: inputs.logger('synapse.handlers.room_member'),
    }),
  })
  stack.defer(() => consequences.stop())
  return { membership, restrictedJoins, invites: elsewhere.invites, carriedSettings, membershipConsequences: consequences, invitePermission, prejoinState, messages, transactionIds: transactions, history, historyRules, thirdPartyInvites, roomCreation, roomReading, aliasResolver: aliases }
}

function acceptanceOf({ auto_accept_invites: options }: Config): InviteAcceptance {
  return { isEnabled: options.enabled, onlyForDirectMessages: options.only_for_direct_messages, onlyFromLocalUsers: options.only_from_local_users }
}

/** Types of state that invites show: the configured ones, or those of the deprecated option where it is set. */
function prejoinTypes(config: Config): PrejoinType[] {
  const { disable_default_event_types: disabled, additional_event_types: additional } = config.room_prejoin_state
  const defaults = disabled ? [] : (config.room_invite_state_types ?? strippedStateTypes)
  const more = additional.map((item): PrejoinType => (typeof item === 'string' ? item : [item[0] ?? '', item[1] ?? '']))
  return [...defaults, ...more]
}

/** Root of a room's state at a token: after the last event that the token covers. */
async function rootAt(engine: Engine, syncPosition: Inputs['syncPosition'], room: Room, token: string): Promise<number> {
  const stream = syncPosition(token) ?? requireRoomPoint(token).stream
  const [last] = (await engine.events.roomTail(room, Number.MIN_SAFE_INTEGER, stream, 1)).slice(-1)
  const root = last && (await engine.states.rootAfter(last))
  if (root === undefined) throw refuse('M_INVALID_PARAM', 'The token is from before the room was made.')
  return root
}
