/** Endpoints of sessions: login, refresh, logout. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { Database } from '#platform/db/database.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { confirmationFlows, type Uia } from '#features/uia/uia.ts'
import { loginPage } from './login-page.ts'
import type { LoggedIn, Logins } from './logins.ts'
import { tokensBody, type Sessions } from './sessions.ts'

/** What `/login/get_token` is configured to do. */
export interface LoginTokenRules {
  readonly enabled: boolean
  readonly requireUiAuth: boolean
  readonly lifetimeMs: number
}

type Needs = {
  readonly sessions: Sessions
  readonly logins: Logins
  readonly uia: Uia
  readonly database: Database
  readonly serverName: string
  readonly loginTokenRules: LoginTokenRules
  readonly wellKnownClient: JsonObject | undefined
}

const legacyVersions = ['v3', 'r0', 'api/v1', 'unstable'] as const

const tokensReply = Type.Object({
  access_token: Type.String(),
  refresh_token: Type.Optional(Type.String()),
  expires_in_ms: Type.Optional(Type.Integer()),
})

const loginFlows = endpoint({
  id: 'getLoginFlows',
  servlet: 'LoginRestServlet',
  method: 'GET', base: 'client', path: '/login', versions: legacyVersions,
  spec: 'client-server-api/#get_matrixclientv3login',
  auth: 'none', limit: 'none', role: 'generic', errors: [],
  handler: ({ logins }: Needs) => ({ flows: logins.flows() }),
})

const login = endpoint({
  id: 'login',
  servlet: 'LoginRestServlet',
  method: 'POST', base: 'client', path: '/login', versions: legacyVersions,
  spec: 'client-server-api/#post_matrixclientv3login',
  auth: 'none', limit: { rc: 'rc_login', by: 'service' }, role: 'generic',
  errors: ['M_FORBIDDEN', 'M_USER_DEACTIVATED', 'M_USER_LOCKED', 'M_UNKNOWN', 'M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_LIMIT_EXCEEDED', 'M_APPSERVICE_LOGIN_UNSUPPORTED'],
  body: Type.Object({ type: Type.String() }),
  handler: async ({ logins, serverName, wellKnownClient }: Needs, { body, ip }) => {
    const loggedIn: LoggedIn = await logins.login(JSON.parse(JSON.stringify(body)), ip)
    return {
      user_id: loggedIn.userId,
      home_server: serverName,
      device_id: loggedIn.deviceId,
      ...tokensBody(loggedIn),
      ...(wellKnownClient === undefined ? {} : { well_known: wellKnownClient }),
    }
  },
})

const getLoginToken = endpoint({
  id: 'generateLoginToken',
  method: 'POST', base: 'client', path: '/login/get_token', versions: ['v1'],
  spec: 'client-server-api/#post_matrixclientv1loginget_token',
  auth: 'user', uia: true, limit: { rc: 'rc_login.account', by: 'service' }, role: 'main', bodyKind: 'json', suspendedRefused: true,
  errors: ['M_UNRECOGNIZED', 'M_FORBIDDEN', 'M_LIMIT_EXCEEDED', 'M_GUEST_ACCESS_FORBIDDEN', 'M_USER_SUSPENDED'],
  handler: async ({ sessions, uia, loginTokenRules }: Needs, request) => {
    const { requester } = request
    if (!loginTokenRules.enabled) throw refuse('M_UNRECOGNIZED', 'This server does not give out login tokens.')
    if (requester.appserviceId !== undefined) throw refuse('M_FORBIDDEN', 'Application services cannot get login tokens.')
    if (loginTokenRules.requireUiAuth) {
      const operation = { id: 'getLoginToken', description: 'log in another device' }
      await uia.authenticate({ request, requester, operation, flows: confirmationFlows })
    }
    const token = await sessions.createLoginToken(requester.userId, loginTokenRules.lifetimeMs)
    return { login_token: token, expires_in_ms: loginTokenRules.lifetimeMs }
  },
})

const refresh = endpoint({
  id: 'refresh',
  servlet: 'RefreshTokenServlet',
  method: 'POST', base: 'client', path: '/refresh', versions: ['v3', 'v1', 'r0', 'unstable'],
  spec: 'client-server-api/#post_matrixclientv3refresh',
  auth: 'none', limit: 'none', role: 'main', errors: ['M_UNKNOWN_TOKEN', 'M_MISSING_PARAM'],
  body: Type.Object({ refresh_token: Type.String() }),
  reply: tokensReply,
  handler: async ({ sessions }: Needs, { body }) => tokensBody(await sessions.refresh(body.refresh_token)),
})

const logout = endpoint({
  id: 'logout',
  servlet: 'LogoutRestServlet',
  method: 'POST', base: 'client', path: '/logout', versions: legacyVersions,
  spec: 'client-server-api/#post_matrixclientv3logout',
  auth: 'guest', limit: 'none', role: 'main', bodyKind: 'raw', lockedAllowed: true, errors: [],
  handler: async ({ sessions }: Needs, { requester }) => {
    await sessions.end(requester)
    return {}
  },
})

const logoutAll = endpoint({
  id: 'logoutAll',
  servlet: 'LogoutAllRestServlet',
  method: 'POST', base: 'client', path: '/logout/all', versions: legacyVersions,
  spec: 'client-server-api/#post_matrixclientv3logoutall',
  auth: 'guest', limit: 'none', role: 'main', bodyKind: 'raw', lockedAllowed: true, errors: [],
  handler: async ({ sessions, database }: Needs, { requester }) => {
    await database.transaction((tx) => sessions.endAll(tx, requester.userId))
    return {}
  },
})

const loginFallback = endpoint({
  id: 'loginFallback',
  method: 'GET', base: 'root', path: '/_matrix/static/client/login/', versions: [],
  spec: 'client-server-api/#login-fallback',
  auth: 'none', limit: 'none', role: 'main', errors: [],
  handler: () => loginPage(),
})

export const sessionsEndpoints = [loginFlows, login, getLoginToken, refresh, logout, logoutAll, loginFallback] as const
