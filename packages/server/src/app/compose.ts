/** Builds the whole server, top to bottom = bottom storey to top; this function is the architecture diagram. */
import { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { RequestMetrics } from '#platform/fetch/request-metrics.ts'
import { RepeatedRequests } from '#platform/http/repeated-requests.ts'
import { RateLimits, type Rate } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Metrics } from '#platform/metrics/metrics.ts'
import { BackgroundUpdates } from '#schema/background-updates.ts'
import { backgroundUpdates as declaredUpdates } from '#schema/migrations.ts'
import { remoteDirectory } from '#features/directory/remote-directory.ts'
import { remoteSpaces } from '#features/spaces/remote-spaces.ts'
import { remoteKeys } from '#features/keys/remote-keys.ts'
import { remoteBytesLimit } from '#features/media/remote-media.ts'
import { PolicyServers } from '#features/policy-servers/policy-servers.ts'
import { remoteProfiles } from '#features/profiles/remote-profiles.ts'
import { ErasedUsers } from '#features/accounts/erased-users.ts'
import { composeAccounts } from './compose-accounts.ts'
import { composeConsentNotices } from './compose-consent.ts'
import { composeDelayedEvents } from './compose-delayed-events.ts'
import { composeDirectory } from './compose-directory.ts'
import { composeEdus } from './compose-edus.ts'
import { composeEncryption } from './compose-encryption.ts'
import { composeEngine } from './compose-engine.ts'
import { composeFederation } from './compose-federation.ts'
import { composeMedia } from './compose-media.ts'
import { composeNoticeRooms, composeNotices } from './compose-notices.ts'
import { composeOutbound } from './compose-outbound.ts'
import { composePersonal } from './compose-personal.ts'
import { composeRendezvous } from './compose-rendezvous.ts'
import { composeRetention } from './compose-retention.ts'
import { composeRooms } from './compose-rooms.ts'
import { composeSearch } from './compose-search.ts'
import { composeTransactions } from './compose-transactions.ts'
import { composeStickyEvents } from './compose-sticky-events.ts'
import { composeSync } from './compose-sync.ts'
import { AutoJoin, type AutoJoinRules } from '#features/registration/auto-join.ts'
import { parsePos, parseSyncToken } from '#features/sync/sync.ts'
import { Upgrades } from '#features/upgrades/upgrades.ts'
import type { Config, LoadedConfig } from './config.ts'
import { eventSignerOf } from './signer.ts'

/** What the outside gives: everything that a test may want to replace. */
export interface ComposeInputs {
  readonly loaded: Pick<LoadedConfig, 'config' | 'signingKeys' | 'notaryKeys' | 'federationAuthorities'>
  /** A database with this program's schema. */
  readonly database: Database
  readonly clock: Clock
  readonly logger: (name: string) => Logger
  readonly metrics: Metrics
}

/** Every service by name; an endpoint's `Needs` picks from it. */
export type Services = Awaited<ReturnType<typeof compose>>

/** Bytes for all caches at a factor of 1. */
const cacheBytes = 96 * 1024 * 1024

/** Builds every service of the server on an open database. */
export async function compose({ loaded, ...outside }: ComposeInputs) {
  const { config } = loaded
  const { database, clock } = outside
  const signer = eventSignerOf(loaded)
  const inputs = { ...outside, config }
  const serverName = config.server_name
  const stack = new AsyncDisposableStack()

  // Platform
  const caches = new CacheBudget(cacheBytes * config.caches.global_factor)
  const limits = new RateLimits({ clock, rates: ratesOf(config) })
  const backgroundUpdates = new BackgroundUpdates({
    database, clock, logger: inputs.logger('synapse.storage.background_updates'), updates: declaredUpdates, options: config.background_updates,
  })
  stack.defer(() => backgroundUpdates.stop())

  const outbound = composeOutbound({ config, stack }, { metrics: new RequestMetrics(outside.metrics, 'synapse_http_client') })

  // Engine
  const federating = await composeFederation({ ...inputs, loaded, caches, signer, stack })
  const engine = await composeEngine({
    database, caches, clock, signer, serverName, stack, logger: inputs.logger, keyRing: federating.keyRing, redactionRetentionMs: config.redaction_retention_period,
  })

  engine.policy.use(new PolicyServers({ ...federating, clock }))

  // Features
  const erasedUsers = await ErasedUsers.open(database)
  engine.erasure.use(erasedUsers)
  const noticeRooms = composeNoticeRooms(config, engine)
  const identity = composeAccounts({
    ...inputs, erasedUsers, caches, limits, serverName, stack, memberships: engine.memberships, writer: engine.writer, rooms: engine.rooms, noticeRooms, outbound,
  })
  const { media, mediaRetention } = composeMedia({
    ...inputs, serverName, stack, logger: inputs.logger('synapse.media.media_repository'), fetching: { federation: federating.federation, outbound, limits },
  })
  identity.profiles.useAvatarMedia(media)
  identity.profiles.useRemote(remoteProfiles(federating.federation))
  const encryption = await composeEncryption({ ...inputs, ...identity, caches, remote: remoteKeys(federating.federation), memberships: engine.memberships, roomServers: engine.roomServers, stack })
  const personal = await composePersonal({ ...inputs, caches, engine, accounts: identity.accounts, devices: identity.devices, stack })
  const syncPosition = (token: string): number | undefined => (parseSyncToken(token) ?? parsePos(token)?.moment)?.events
  const finding = composeDirectory({ ...inputs, ...identity, caches, remote: remoteDirectory(federating.federation), remoteSpaces: remoteSpaces(federating.federation, clock, serverName), engine, serverName, accountData: personal.accountData, syncPosition, stack })
  const roomSlices = await composeRooms({
    ...inputs, ...federating, caches, limits, engine, signer, outbound, noticeRooms, stack,
    accountData: personal.accountData, pushRules: personal.pushRules, activity: personal.presence, profiles: identity.profiles, accounts: identity.accounts,
    aliases: finding.directory, relations: finding.relations, syncPosition,
  })
  const exchanging = await composeTransactions({
    ...inputs, ...federating, ...roomSlices, limits, engine, signer, serverName, durable: [encryption.toDeviceEdus, encryption.deviceListEdus], stack,
  })
  await composeEdus({ ...inputs, ...personal, ...encryption, ...exchanging, engine, serverName, stack })
  const retaining = composeRetention({ ...inputs, caches, engine, stack })
  const delayed = await composeDelayedEvents({ ...inputs, limits, engine, stack, accounts: identity.accounts, messages: roomSlices.messages })
  const searching = await composeSearch({
    ...inputs, engine, stack, accountData: personal.accountData, relations: finding.relations, history: roomSlices.history,
  })
  const upgrades = new Upgrades({ ...engine, directory: finding.directory, membership: roomSlices.membership, settings: roomSlices.carriedSettings, limits, position: () => engine.eventsStream.position })
  const serverNotices = await composeNotices({
    ...inputs, ...engine, ...identity, ...roomSlices, noticeRooms, tags: personal.tags, logger: inputs.logger('synapse.server_notices'),
  })
  const consentNotices = composeConsentNotices({
    ...inputs, ...identity, notices: serverNotices, presence: personal.presence, logger: inputs.logger('synapse.server_notices.consent_server_notices'), stack,
  })
  const autoJoin = new AutoJoin({
    ...engine, ...roomSlices, serverName, aliases: finding.directory, rules: autoJoinRules(config), logger: inputs.logger('synapse.handlers.register'),
  })
  // Who may not join rooms yet joins these once consent is given.
  identity.registration.onRegistered(async (user) => {
    if (!(await identity.consent.isBlocked(user.userId))) await autoJoin.registered(user)
  })
  identity.consent.onFirstGiven((account) => autoJoin.consented(account))
  identity.accounts.afterDeactivation((userId) => roomSlices.membership.leaveAll(userId))
  await identity.accounts.resume()
  const stickyEvents = await composeStickyEvents({ ...inputs, engine, stack })
  const syncs = await composeSync({
    ...inputs, caches, stack, stickyEvents, logger: inputs.logger('synapse.handlers.sync'), ...engine, ...identity, ...encryption, ...personal, ...roomSlices,
    related: finding.relations, isPublished: (room) => finding.directory.isPublished(room.id),
  })

  return {
    config, database, clock, serverName, caches, limits, backgroundUpdates,
    repeatedRequests: new RepeatedRequests({ clock }),
    ...engine,
    ...federating,
    ...identity,
    ...encryption,
    ...personal,
    ...finding,
    ...roomSlices,
    ...exchanging,
    ...retaining,
    ...delayed,
    ...searching,
    upgrades,
    serverNotices,
    consentNotices,
    ...syncs,
    stickyEvents,
    media,
    mediaRetention,
    ...composeRendezvous(inputs),
    dispose: () => stack.disposeAsync(),
  }
}

function autoJoinRules(config: Config): AutoJoinRules {
  return {
    aliases: config.auto_join_rooms,
    createsRooms: config.autocreate_auto_join_rooms,
    isFederated: config.autocreate_auto_join_rooms_federated,
    preset: config.autocreate_auto_join_room_preset,
    creatorLocalpart: config.auto_join_mxid_localpart,
    guests: config.auto_join_rooms_for_guests,
  }
}

/** The configured rate limits by name; nested ones are joined by a dot, `rc_login.address`. */
function ratesOf(config: Config): ReadonlyMap<string, Rate> {
  const rates = new Map<string, Rate>()
  const collect = (name: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if ('perSecond' in value && 'burstCount' in value && typeof value.perSecond === 'number' && typeof value.burstCount === 'number') {
      rates.set(name, { perSecond: value.perSecond, burstCount: value.burstCount })
      return
    }
    for (const [key, inner] of Object.entries(value)) collect(`${name}.${key}`, inner)
  }
  for (const [name, value] of Object.entries(config)) if (name.startsWith('rc_')) collect(name, value)
  rates.set(remoteBytesLimit, { perSecond: config.remote_media_download_per_second, burstCount: config.remote_media_download_burst_count })
  return rates
}
