/** All endpoints of the server, list by list. */
import { mediaEndpoints } from '#features/media/media.routes.ts'
import { registrationEndpoints } from '#features/registration/registration.routes.ts'
import { sessionsEndpoints } from '#features/sessions/sessions.routes.ts'

export const endpoints = [
  ...registrationEndpoints,
  ...sessionsEndpoints,
  ...mediaEndpoints,
] as const
