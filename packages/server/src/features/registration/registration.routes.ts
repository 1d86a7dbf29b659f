/** Endpoints of registration. */
import { Type } from 'typebox'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { addressKey } from '#platform/limits/address-key.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import { tokensBody } from '#features/sessions/sessions.ts'
import type { Registered, Registration } from './registration.ts'

type Needs = { readonly registration: Registration; readonly limits: RateLimits; readonly serverName: string }

/** The reply to whoever has just made an account. */
export function registeredBody({ userId, session }: Registered, serverName: string) {
  const tokens = session === undefined ? {} : { ...tokensBody(session), device_id: session.deviceId }
  return { user_id: userId, home_server: serverName, ...tokens }
}

const optionalText = Type.Optional(Type.Union([Type.String(), Type.Null()]))

const register = endpoint({
  id: 'register',
  servlet: 'RegisterRestServlet',
  method: 'POST', base: 'client', path: '/register', versions: ['v3', 'r0', 'unstable'],
  spec: 'client-server-api/#post_matrixclientv3register',
  auth: 'none', uia: true, limit: { rc: 'rc_registration', by: 'service' }, role: 'generic',
  errors: [
    'M_USER_IN_USE', 'M_INVALID_USERNAME', 'M_FORBIDDEN', 'M_GUEST_ACCESS_FORBIDDEN', 'M_WEAK_PASSWORD', 'M_MISSING_PARAM', 'M_INVALID_PARAM',
    'M_LIMIT_EXCEEDED', 'M_UNRECOGNIZED', 'M_UNKNOWN_TOKEN', 'M_CAPTCHA_NEEDED', 'M_CAPTCHA_INVALID', 'M_CONNECTION_FAILED',
  ],
  query: Type.Object({ kind: Type.Optional(Type.String()) }),
  bodyKind: 'json',
  body: Type.Object({
    type: Type.Optional(Type.String()),
    initial_device_display_name: optionalText,
    refresh_token: Type.Optional(Type.Boolean()),
  }),
  handler: async ({ registration, serverName }: Needs, request) => {
    const { body, query: { kind = 'user' }, ip } = request
    if (kind === 'guest') {
      const device = { initialDisplayName: body.initial_device_display_name ?? undefined, refreshToken: body.refresh_token }
      return registeredBody(await registration.registerGuest(ip, device), serverName)
    }
    if (kind !== 'user') throw new MatrixError(400, 'M_UNRECOGNIZED', 'Accounts are of the kind "user" or "guest".')
    if (body.type === 'm.login.application_service') {
      throw refuse('M_UNKNOWN_TOKEN', 'No application service with this token is registered on this server.', { soft_logout: false })
    }
    return registeredBody(await registration.register(request), serverName)
  },
})

const available = endpoint({
  id: 'checkUsernameAvailability',
  method: 'GET', base: 'client', path: '/register/available', versions: ['v3', 'r0', 'unstable'],
  spec: 'client-server-api/#get_matrixclientv3registeravailable',
  auth: 'none', limit: { rc: 'rc_registration', by: 'service' }, role: 'generic',
  errors: ['M_USER_IN_USE', 'M_INVALID_USERNAME', 'M_FORBIDDEN', 'M_MISSING_PARAM', 'M_LIMIT_EXCEEDED'],
  query: Type.Object({ username: Type.String() }),
  handler: async ({ registration }: Needs, { query, ip }) => {
    await registration.assertAvailable(query.username, ip)
    return { available: true }
  },
})

const tokenValidity = endpoint({
  id: 'registrationTokenValidity',
  method: 'GET', base: 'client', path: '/register/m.login.registration_token/validity',
  versions: ['v1', 'unstable/org.matrix.msc3231'],
  spec: 'client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity',
  auth: 'none', limit: { rc: 'rc_registration_token_validity', by: 'service' }, role: 'generic',
  errors: ['M_FORBIDDEN', 'M_MISSING_PARAM', 'M_LIMIT_EXCEEDED'],
  query: Type.Object({ token: Type.String() }),
  handler: async ({ registration, limits }: Needs, { query, ip }) => {
    limits.consume('rc_registration_token_validity', addressKey(ip))
    registration.assertOpen()
    return { valid: await registration.tokens.isValid(query.token) }
  },
})

export const registrationEndpoints = [register, available, tokenValidity] as const
