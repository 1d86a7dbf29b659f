/** All endpoints of the server, list by list. */
import { mediaEndpoints } from '#features/media/media.routes.ts'
import { registrationEndpoints } from '#features/registration/registration.routes.ts'
import { sessionsEndpoints } from '#features/sessions/sessions.routes.ts'
import { accountDataRoutes } from '#features/account-data/account-data.routes.ts'
import { filtersRoutes } from '#features/filters/filters.routes.ts'
import { notificationsRoutes } from '#features/notifications/notifications.routes.ts'
import { presenceRoutes } from '#features/presence/presence.routes.ts'
import { pushRulesRoutes } from '#features/push-rules/push-rules.routes.ts'
import { pushersRoutes } from '#features/pushers/pushers.routes.ts'
import { receiptsRoutes } from '#features/receipts/receipts.routes.ts'
import { reportsRoutes } from '#features/reports/reports.routes.ts'
import { thirdPartyRoutes } from '#features/third-party/third-party.routes.ts'
import { typingRoutes } from '#features/typing/typing.routes.ts'
import { voipRoutes } from '#features/voip/voip.routes.ts'

export const endpoints = [
  ...accountDataRoutes,
  ...filtersRoutes,
  ...notificationsRoutes,
  ...presenceRoutes,
  ...pushRulesRoutes,
  ...pushersRoutes,
  ...receiptsRoutes,
  ...reportsRoutes,
  ...thirdPartyRoutes,
  ...typingRoutes,
  ...voipRoutes,
  ...registrationEndpoints,
  ...sessionsEndpoints,
  ...mediaEndpoints,
] as const
