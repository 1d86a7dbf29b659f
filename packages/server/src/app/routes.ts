/** All endpoints of the server, list by list. */
import { federationAdminRoutes } from '#features/federation/federation.admin.routes.ts'
import { federationRoutes } from '#features/federation/federation.routes.ts'
import { remoteRoomsRoutes } from '#features/remote-rooms/remote-rooms.routes.ts'
import { transactionsRoutes } from '#features/transactions/transactions.routes.ts'
import { serverKeysRoutes } from '#features/server-keys/server-keys.routes.ts'
import { keyBackupRoutes } from '#features/key-backup/key-backup.routes.ts'
import { dehydratedDevicesRoutes } from '#features/keys/dehydrated-devices.routes.ts'
import { keysRoutes } from '#features/keys/keys.routes.ts'
import { toDeviceRoutes } from '#features/to-device/to-device.routes.ts'
import { directoryRoutes } from '#features/directory/directory.routes.ts'
import { relationsRoutes } from '#features/relations/relations.routes.ts'
import { spacesRoutes } from '#features/spaces/spaces.routes.ts'
import { upgradesRoutes } from '#features/upgrades/upgrades.routes.ts'
import { userDirectoryRoutes } from '#features/user-directory/user-directory.routes.ts'
import { mediaFederationRoutes } from '#features/media/media.federation.routes.ts'
import { mediaEndpoints } from '#features/media/media.routes.ts'
import { registrationEndpoints } from '#features/registration/registration.routes.ts'
import { sessionsEndpoints } from '#features/sessions/sessions.routes.ts'
import { accountDataRoutes } from '#features/account-data/account-data.routes.ts'
import { healthRoutes } from '#features/discovery/health.routes.ts'
import { filtersRoutes } from '#features/filters/filters.routes.ts'
import { landingRoutes } from '#features/discovery/landing.routes.ts'
import { membershipRoutes } from '#features/membership/membership.routes.ts'
import { historyRoutes } from '#features/messages/history.routes.ts'
import { messagesRoutes } from '#features/messages/messages.routes.ts'
import { noticesRoutes } from '#features/notices/notices.routes.ts'
import { notificationsRoutes } from '#features/notifications/notifications.routes.ts'
import { presenceRoutes } from '#features/presence/presence.routes.ts'
import { pushRulesRoutes } from '#features/push-rules/push-rules.routes.ts'
import { pushersRoutes } from '#features/pushers/pushers.routes.ts'
import { receiptsRoutes } from '#features/receipts/receipts.routes.ts'
import { reportsRoutes } from '#features/reports/reports.routes.ts'
import { roomReadingRoutes } from '#features/rooms/room-reading.routes.ts'
import { roomsRoutes } from '#features/rooms/rooms.routes.ts'
import { slidingSyncRoutes } from '#features/sync/sliding/sliding-sync.routes.ts'
import { searchRoutes } from '#features/search/search.routes.ts'
import { syncRoutes } from '#features/sync/sync.routes.ts'
import { consentRoutes } from '#features/consent/consent.routes.ts'
import { delayedEventsRoutes } from '#features/delayed-events/delayed-events.routes.ts'
import { retentionRoutes } from '#features/retention/retention.routes.ts'
import { plainRendezvousRoutes } from '#features/rendezvous/rendezvous.msc4108.routes.ts'
import { rendezvousRoutes } from '#features/rendezvous/rendezvous.routes.ts'
import { rtcRoutes } from '#features/rtc/rtc.routes.ts'
import { thirdPartyInvitesRoutes } from '#features/third-party-invites/third-party-invites.routes.ts'
import { threadSubscriptionsRoutes } from '#features/thread-subscriptions/thread-subscriptions.routes.ts'
import { thirdPartyRoutes } from '#features/third-party/third-party.routes.ts'
import { typingRoutes } from '#features/typing/typing.routes.ts'
import { voipRoutes } from '#features/voip/voip.routes.ts'
import { accountsEndpoints } from '#features/accounts/accounts.routes.ts'
import { moderationRoutes } from '#features/accounts/moderation.routes.ts'
import { devicesEndpoints } from '#features/devices/devices.routes.ts'
import { discoveryEndpoints } from '#features/discovery/discovery.routes.ts'
import { openidEndpoints } from '#features/openid/openid.routes.ts'
import { profilesEndpoints } from '#features/profiles/profiles.routes.ts'
import { uiaEndpoints } from '#features/uia/uia.routes.ts'
import { registrationAdminEndpoints } from '#features/registration/registration.admin.routes.ts'

export const endpoints = [
  ...federationRoutes,
  ...federationAdminRoutes,
  ...serverKeysRoutes,
  ...remoteRoomsRoutes,
  ...transactionsRoutes,
  ...accountsEndpoints,
  ...moderationRoutes,
  ...devicesEndpoints,
  ...discoveryEndpoints,
  ...openidEndpoints,
  ...profilesEndpoints,
  ...uiaEndpoints,
  ...registrationAdminEndpoints,
  ...accountDataRoutes,
  ...filtersRoutes,
  ...healthRoutes,
  ...historyRoutes,
  ...landingRoutes,
  ...membershipRoutes,
  ...messagesRoutes,
  ...noticesRoutes,
  ...notificationsRoutes,
  ...presenceRoutes,
  ...pushRulesRoutes,
  ...pushersRoutes,
  ...receiptsRoutes,
  ...reportsRoutes,
  ...roomReadingRoutes,
  ...roomsRoutes,
  ...searchRoutes,
  ...syncRoutes,
  ...slidingSyncRoutes,
  ...thirdPartyRoutes,
  ...consentRoutes,
  ...delayedEventsRoutes,
  ...retentionRoutes,
  ...plainRendezvousRoutes,
  ...rendezvousRoutes,
  ...rtcRoutes,
  ...thirdPartyInvitesRoutes,
  ...threadSubscriptionsRoutes,
  ...typingRoutes,
  ...voipRoutes,
  ...registrationEndpoints,
  ...sessionsEndpoints,
  ...keysRoutes,
  ...dehydratedDevicesRoutes,
  ...keyBackupRoutes,
  ...toDeviceRoutes,
  ...directoryRoutes,
  ...relationsRoutes,
  ...spacesRoutes,
  ...upgradesRoutes,
  ...userDirectoryRoutes,
  ...mediaEndpoints,
  ...mediaFederationRoutes,
] as const
