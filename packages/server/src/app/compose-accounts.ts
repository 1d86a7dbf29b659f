/** Builds the slices of identity: who has an account, who is logged in, with what, and what others see of them. */
import { refuse } from '@myelin/protocol/errors.ts'
import { Accounts } from '#features/accounts/accounts.ts'
import type { ErasedUsers } from '#features/accounts/erased-users.ts'
import { Devices } from '#features/devices/devices.ts'
import { wellKnownClient, type WellKnownRules } from '#features/discovery/well-known.ts'
import type { CapabilityRules } from '#features/discovery/discovery.routes.ts'
import type { FeatureRules } from '#features/discovery/unstable-features.ts'
import { Openid } from '#features/openid/openid.ts'
import type { ProfileRules } from '#features/profiles/profiles.routes.ts'
import { Profiles } from '#features/profiles/profiles.ts'
import { ProfilePropagation } from '#features/profiles/propagation.ts'
import { Captcha } from '#features/registration/captcha.ts'
import { Registration, type RegistrationRules } from '#features/registration/registration.ts'
import { Logins } from '#features/sessions/logins.ts'
import { Sessions } from '#features/sessions/sessions.ts'
import { Uia, UiaMismatch } from '#features/uia/uia.ts'
import type { NoticeRooms } from '#features/notices/notices.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { GuardedClient } from '#platform/fetch/guarded-client.ts'
import type { Authenticator } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import { composeConsent } from './compose-consent.ts'
import type { Config } from './config.ts'
import { delegationOf } from './compose-rendezvous.ts'
import { isExperimental } from './experimental.ts'
import { serverVersion } from './version.ts'

interface Inputs {
  readonly config: Config
  readonly database: Database
  readonly clock: Clock
  readonly caches: CacheBudget
  readonly limits: RateLimits
  readonly logger: (name: string) => Logger
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly rooms: Rooms
  readonly noticeRooms: NoticeRooms
  readonly outbound: GuardedClient
  readonly serverName: string
  readonly erasedUsers: ErasedUsers
  readonly stack: AsyncDisposableStack
}

/** How often sightings of devices are written. */
const flushMs = 5000
const hourMs = 3_600_000

/** Services of identity, in the order of their needs. */
export function composeAccounts(inputs: Inputs) {
  const { config, database, clock, caches, limits, serverName, memberships, writer, stack } = inputs
  const logger = inputs.logger('synapse.accounts')
  const passwords = config.password_config
  const uia = new Uia({ database, clock, limits, secret: config.macaroon_secret_key, sessionTimeoutMs: config.ui_auth.session_timeout })
  const accounts = new Accounts({
    database, caches, clock, serverName, logger, erased: inputs.erasedUsers,
    pepper: passwords.pepper ?? '',
    policy: passwords.policy,
    allowUnderscorePrefix: config.allow_underscore_prefixed_registration,
  })
  uia.addStage('m.login.password', {
    check: async (auth, { userId }) => {
      if (userId === undefined) throw refuse('M_FORBIDDEN', 'Only somebody who is logged in can confirm with a password.')
      if (!(await accounts.confirmPassword(auth, userId))) throw new UiaMismatch()
      return { result: userId }
    },
  })
  const consent = composeConsent({ ...inputs, accounts })
  const devices = new Devices({
    database, clock, deleteStaleAfterMs: config.delete_stale_devices_after, sightingsMaxAgeMs: config.user_ips_max_age,
  })
  devices.onDeleted((tx, userId, deviceIds) => uia.drop(tx, userId, deviceIds))
  accounts.onDeactivated((tx, userId) => uia.drop(tx, userId))
  const sessions = new Sessions({
    database, caches, clock, accounts, devices, logger,
    lifetimes: {
      accessTokenMs: config.session_lifetime ?? config.nonrefreshable_access_token_lifetime,
      refreshableAccessTokenMs: config.refreshable_access_token_lifetime,
      refreshTokenMs: config.refresh_token_lifetime,
      sessionMs: config.session_lifetime,
    },
    trackPuppetedUsers: config.track_puppeted_user_ips,
  })
  const loginTokenRules = {
    enabled: config.login_via_existing_session.enabled,
    requireUiAuth: config.login_via_existing_session.require_ui_auth,
    lifetimeMs: config.login_via_existing_session.token_timeout,
  }
  const logins = new Logins({
    limits, accounts, sessions, loginTokens: loginTokenRules.enabled, passwords: passwords.enabled === true && passwords.localdb_enabled,
  })
  const profilePropagation = new ProfilePropagation({ memberships, writer, logger })
  const profiles = new Profiles({
    database, caches, accounts, memberships, propagation: profilePropagation,
    onlyForSharedRooms: config.limit_profile_requests_to_users_who_share_rooms,
    onlyForUsers: config.require_auth_for_profile_requests,
    avatarRules: { maxBytes: config.max_avatar_size, types: config.allowed_avatar_mimetypes },
  })
  const registration = new Registration({
    database, clock, limits, accounts, profiles, sessions, uia, consent, serverName, rules: registrationRules(config),
    captcha: captchaOf(config, inputs.outbound, inputs.logger('synapse.handlers.ui_auth.checkers')),
  })

  const background = (what: string, work: () => Promise<void>) => (): void => {
    work().catch((error: unknown) => logger.error(`Could not ${what}.`, { error }))
  }
  const timers = [
    clock.every(flushMs, () => void sessions.flush()),
    clock.every(hourMs, background('end old authentication sessions', () => uia.expire())),
    clock.every(hourMs, background('remove what is known of old devices', () => devices.expire())),
  ]
  stack.defer(async () => {
    for (const timer of timers) timer.cancel()
    await profilePropagation.settled()
    await accounts.settled()
    await sessions.flush()
  })
  const openid = new Openid({ database, clock, accounts })
  return {
    passwordPolicy: passwords.policy,
    openid, ...announcedRules(config), serverVersion,
    landing: { webClientLocation: config.web_client_location },
    uia, accounts, consent, devices, sessions, logins, loginTokenRules, profilePropagation, profiles, registration,
    authenticate: config.hs_disabled ? refuseEverybody(config) : sessions.authenticate,
  }
}

/** The answer to everybody while the operator has closed the server. */
function refuseEverybody(config: Config): Authenticator {
  return () => {
    const contact = config.admin_contact === null ? {} : { admin_contact: config.admin_contact }
    throw refuse('M_RESOURCE_LIMIT_EXCEEDED', config.hs_disabled_message, { limit_type: 'hs_disabled', ...contact })
  }
}

/** The captcha of registration; undefined where there is none. */
function captchaOf(config: Config, http: GuardedClient, logger: Logger): Captcha | undefined {
  const { enable_registration_captcha: isEnabled, recaptcha_public_key: publicKey, recaptcha_private_key: privateKey, recaptcha_siteverify_api: verifyUrl } = config
  // The checks of the configuration have assured that an enabled captcha has its keys.
  return isEnabled && publicKey && privateKey ? new Captcha({ rules: { publicKey, privateKey, verifyUrl }, http, logger }) : undefined
}

function registrationRules(config: Config): RegistrationRules {
  return {
    enabled: config.enable_registration,
    requiresToken: config.registration_requires_token,
    guests: config.allow_guest_access,
    unmetDemand: config.registrations_require_3pid.length > 0 ? 'it needs a verified address (registrations_require_3pid), which this server cannot check yet' : undefined,
    inhibitUserInUseError: config.inhibit_user_in_use_error,
    sharedSecret: config.registration_shared_secret,
    defaultUserType: config.user_types.default_user_type,
    userTypes: ['bot', 'support', ...config.user_types.extra_user_types],
  }
}

/** What the server tells clients about itself. */
function announcedRules(config: Config) {
  const passwords = config.password_config
  const wellKnownRules: WellKnownRules = {
    serverName: config.server_name,
    publicBaseurl: config.public_baseurl,
    identityServer: config.default_identity_server,
    extraClientContent: config.extra_well_known_client_content,
    serveServer: config.serve_server_wellknown,
  }
  const encryption = config.encryption_enabled_by_default_for_room_type
  const featureRules: FeatureRules = {
    loginTokens: config.login_via_existing_session.enabled,
    delayedEvents: config.max_event_delay_duration !== null,
    plainRendezvous: isExperimental(config, 'msc4108_enabled') || delegationOf(config) !== undefined,
    isExperimental: (flag) => isExperimental(config, flag),
    encryptedPresets: encryption === 'off' ? [] : ['private_chat', 'trusted_private_chat', ...(encryption === 'all' ? ['public_chat'] : [])],
  }
  const capabilityRules: CapabilityRules = {
    defaultRoomVersion: config.default_room_version,
    changePassword: passwords.enabled === true && passwords.localdb_enabled,
    setDisplayname: config.enable_set_displayname,
    setAvatarUrl: config.enable_set_avatar_url,
    changeThreepids: config.enable_3pid_changes,
    getLoginToken: config.login_via_existing_session.enabled,
    forgetOnLeave: config.forget_rooms_on_leave,
  }
  const profileRules: ProfileRules = { displaynameFixed: !config.enable_set_displayname, avatarUrlFixed: !config.enable_set_avatar_url, isShownToServers: config.allow_profile_lookup_over_federation }
  const tellsAccountStatus = isExperimental(config, 'msc3720_enabled')
  return { wellKnownRules, tellsAccountStatus, wellKnownClient: wellKnownClient(wellKnownRules), featureRules, capabilityRules, profileRules }
}
