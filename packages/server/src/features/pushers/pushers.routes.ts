/** Endpoints of pushers. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import type { Pusher, Pushers } from './pushers.ts'

type Needs = { pushers: Pushers }

const shared = { base: 'client', versions: ['v3', 'r0', 'api/v1', 'unstable'], auth: 'user', limit: 'none', role: 'main' } as const

function shown(pusher: Pusher): object {
  return {
    pushkey: pusher.pushkey, kind: pusher.kind, app_id: pusher.appId, app_display_name: pusher.appDisplayName,
    device_display_name: pusher.deviceDisplayName, profile_tag: pusher.profileTag, lang: pusher.lang, data: pusher.data,
  }
}

const getPushers = endpoint({
  ...shared, id: 'getPushers', servlet: 'PushersRestServlet', method: 'GET', path: '/pushers',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers',
  errors: [],
  handler: async ({ pushers }: Needs, { requester }) => ({ pushers: (await pushers.ofUser(requester.userId)).map(shown) }),
})

const postPusher = endpoint({
  ...shared, id: 'postPusher', servlet: 'PushersSetRestServlet', method: 'POST', path: '/pushers/set',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset',
  body: Type.Object({
    kind: Type.Union([Type.String(), Type.Null()]), app_id: Type.String(), pushkey: Type.String(), app_display_name: Type.Optional(Type.String()),
    device_display_name: Type.Optional(Type.String()), profile_tag: Type.Optional(Type.String()), lang: Type.Optional(Type.String()),
    data: Type.Optional(JsonObjectSchema), append: Type.Optional(Type.Boolean()),
  }),
  errors: ['M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_BAD_JSON', 'M_NOT_JSON', 'M_THREEPID_NOT_FOUND', 'M_TOO_LARGE'],
  handler: async ({ pushers }: Needs, { requester, body }) => {
    const { kind, app_id: appId, pushkey, app_display_name: appDisplayName, device_display_name: deviceDisplayName, lang, data } = body
    if (kind === null) {
      await pushers.delete(requester.userId, appId, pushkey)
      return {}
    }
    if (appDisplayName === undefined || deviceDisplayName === undefined || lang === undefined || data === undefined) {
      throw refuse('M_MISSING_PARAM', 'A pusher needs app_display_name, device_display_name, lang and data.')
    }
    const rest = { profileTag: body.profile_tag ?? '', append: body.append ?? false }
    await pushers.set(requester, { kind, appId, pushkey, appDisplayName, deviceDisplayName, lang, data, ...rest })
    return {}
  },
})

export const pushersRoutes = [getPushers, postPusher]
