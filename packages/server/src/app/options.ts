/** Every option that the server knows, from the slices that read them. */
import { cachesOptions } from '#platform/config/process/caches.config.ts'
import { databaseOptions } from '#platform/config/process/database.config.ts'
import { listenersOptions } from '#platform/config/process/listeners.config.ts'
import { mailOptions } from '#platform/config/process/mail.config.ts'
import { modulesOptions } from '#platform/config/process/modules.config.ts'
import { observabilityOptions } from '#platform/config/process/observability.config.ts'
import { outboundOptions } from '#platform/config/process/outbound.config.ts'
import { serverOptions } from '#platform/config/process/server.config.ts'
import { workersOptions } from '#platform/config/process/workers.config.ts'
import { accountsOptions } from '#features/accounts/accounts.config.ts'
import { appservicesOptions } from '#features/appservices/appservices.config.ts'
import { consentOptions } from '#features/consent/consent.config.ts'
import { devicesOptions } from '#features/devices/devices.config.ts'
import { directoryOptions } from '#features/directory/directory.config.ts'
import { discoveryOptions } from '#features/discovery/discovery.config.ts'
import { federationOptions } from '#features/federation/federation.config.ts'
import { mediaOptions } from '#features/media/media.config.ts'
import { membershipOptions } from '#features/membership/membership.config.ts'
import { messagesOptions } from '#features/messages/messages.config.ts'
import { noticesOptions } from '#features/notices/notices.config.ts'
import { oauthOptions } from '#features/oauth/oauth.config.ts'
import { presenceOptions } from '#features/presence/presence.config.ts'
import { previewsOptions } from '#features/previews/previews.config.ts'
import { profilesOptions } from '#features/profiles/profiles.config.ts'
import { pushersOptions } from '#features/pushers/pushers.config.ts'
import { registrationOptions } from '#features/registration/registration.config.ts'
import { reportsOptions } from '#features/reports/reports.config.ts'
import { retentionOptions } from '#features/retention/retention.config.ts'
import { roomsOptions } from '#features/rooms/rooms.config.ts'
import { rtcOptions } from '#features/rtc/rtc.config.ts'
import { searchOptions } from '#features/search/search.config.ts'
import { serverKeysOptions } from '#features/server-keys/server-keys.config.ts'
import { sessionsOptions } from '#features/sessions/sessions.config.ts'
import { ssoOptions } from '#features/sso/sso.config.ts'
import { statisticsOptions } from '#features/statistics/statistics.config.ts'
import { syncOptions } from '#features/sync/sync.config.ts'
import { uiaOptions } from '#features/uia/uia.config.ts'
import { userDirectoryOptions } from '#features/user-directory/user-directory.config.ts'

/** All options by name. */
export const allOptions = {
  ...cachesOptions,
  ...databaseOptions,
  ...listenersOptions,
  ...mailOptions,
  ...modulesOptions,
  ...observabilityOptions,
  ...outboundOptions,
  ...serverOptions,
  ...workersOptions,
  ...accountsOptions,
  ...appservicesOptions,
  ...consentOptions,
  ...devicesOptions,
  ...directoryOptions,
  ...discoveryOptions,
  ...federationOptions,
  ...mediaOptions,
  ...membershipOptions,
  ...messagesOptions,
  ...noticesOptions,
  ...oauthOptions,
  ...presenceOptions,
  ...previewsOptions,
  ...profilesOptions,
  ...pushersOptions,
  ...registrationOptions,
  ...reportsOptions,
  ...retentionOptions,
  ...roomsOptions,
  ...rtcOptions,
  ...searchOptions,
  ...serverKeysOptions,
  ...sessionsOptions,
  ...ssoOptions,
  ...statisticsOptions,
  ...syncOptions,
  ...uiaOptions,
  ...userDirectoryOptions,
}
