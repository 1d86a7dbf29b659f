/** All endpoints of the server, list by list. */
import { mediaEndpoints } from '#features/media/media.routes.ts'

export const endpoints = [
  ...mediaEndpoints,
] as const
