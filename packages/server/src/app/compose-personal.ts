/** Builds the slices of what users keep for themselves and tell each other beside events. */
import type { Accounts } from '#features/accounts/accounts.ts'
import { AccountData } from '#features/account-data/account-data.ts'
import { Tags } from '#features/account-data/tags.ts'
import type { Devices } from '#features/devices/devices.ts'
import { Filters } from '#features/filters/filters.ts'
import { NotificationList } from '#features/notifications/notification-list.ts'
import { Notifications } from '#features/notifications/notifications.ts'
import { Presence } from '#features/presence/presence.ts'
import { PushRules } from '#features/push-rules/push-rules.ts'
import { Pushers } from '#features/pushers/pushers.ts'
import { Receipts } from '#features/receipts/receipts.ts'
import { Reports } from '#features/reports/reports.ts'
import { ThirdParty } from '#features/third-party/third-party.ts'
import { ThreadSubscriptions } from '#features/thread-subscriptions/thread-subscriptions.ts'
import { Typing } from '#features/typing/typing.ts'
import { Voip } from '#features/voip/voip.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'
import { isExperimental } from './experimental.ts'

interface PersonalInputs {
  readonly config: Config
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly accounts: Accounts
  readonly devices: Devices
  readonly stack: AsyncDisposableStack
}

/** Account data, push rules and counts, receipts, typing, presence, and what needs little more than a table. */
export async function composePersonal({ config, database, caches, clock, logger, engine, accounts, devices, stack }: PersonalInputs) {
  const needs = { database, caches, clock, ...engine }
  const accountData = await AccountData.open({ ...needs, deletesEmpty: isExperimental(config, 'msc3391_enabled') })
  const tags = new Tags({ accountData })
  const filters = new Filters(needs)
  const followsThreads = isExperimental(config, 'msc4306_enabled')
  const pushRules = new PushRules({ accountData, caches, followsThreads })
  const pushers = new Pushers({
    ...needs,
    addresses: {
      hasAddress: async (userId, address) =>
        (await accounts.threepids(userId)).some((threepid) => threepid.medium === 'email' && threepid.address === address.toLowerCase()),
    },
  })
  devices.onDeleted((tx, userId, deviceIds) => pushers.deleteOfDevices(tx, userId, deviceIds))
  accounts.onDeactivated(async (tx, userId) => {
    await pushers.deleteOfUser(tx, userId)
    await accountData.deleteOf(tx, userId)
  })
  const receipts = await Receipts.open({ ...needs, accountData })
  const typing = new Typing(needs)
  const presence = stack.use(await Presence.open({ ...needs, ...presenceSettings(config), logger: logger('synapse.handlers.presence') }))
  const threadSubscriptions = await ThreadSubscriptions.open({ ...needs, threads: receipts, enabled: followsThreads })
  accounts.onDeactivated((tx, userId) => threadSubscriptions.deleteOf(tx, userId))
  const notifications = new Notifications({ ...needs, accountData, pushRules, threadSubscriptions, receipts })
  for (const participant of [accountData, receipts, threadSubscriptions, notifications]) engine.roomPurging.addParticipant(participant)
  const notificationList = new NotificationList({ ...needs, receipts, notifications })
  const voip = new Voip({ clock, turn: turnOptions(config) })
  const rtcTransports = isExperimental(config, 'msc4143_enabled') ? config.matrix_rtc.transports : undefined
  const reports = await Reports.open(needs)
  const thirdParty = new ThirdParty()
  return { accountData, tags, filters, pushRules, pushers, receipts, typing, presence, threadSubscriptions, notifications, notificationList, voip, rtcTransports, reports, thirdParty }
}

function presenceSettings(config: Config) {
  const { presence } = config
  return {
    enabled: (config.use_presence ?? presence.enabled) === true,
    busyEnabled: isExperimental(config, 'msc3026_enabled'),
    times: {
      syncOnlineTimeoutMs: presence.sync_online_timeout, idleTimeoutMs: presence.idle_timeout, lastActiveGranularityMs: presence.last_active_granularity,
    },
    excludedRooms: new Set(config.exclude_rooms_from_presence),
  }
}

function turnOptions(config: Config) {
  return {
    uris: config.turn_uris, sharedSecret: config.turn_shared_secret ?? undefined, username: config.turn_username ?? undefined,
    password: config.turn_password ?? undefined,
    userLifetimeMs: config.turn_user_lifetime, allowGuests: config.turn_allow_guests,
  }
}
