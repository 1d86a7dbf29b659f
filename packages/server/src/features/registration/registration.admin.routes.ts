/** Endpoints by which administrators and scripts make accounts and registration tokens. */
import { Type } from 'typebox'
import { MatrixError } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { registeredBody } from './registration.routes.ts'
import type { Registration } from './registration.ts'
import type { RegistrationToken } from './registration-tokens.ts'

type Needs = { readonly registration: Registration; readonly serverName: string }

const registerPage = 'admin_api/register_api.html'
const tokensPage = 'usage/administration/admin_api/registration_tokens.html'

const nonce = endpoint({
  id: 'adminRegisterNonce',
  method: 'GET', base: 'admin', path: '/register', versions: ['v1'],
  spec: registerPage,
  auth: 'none', limit: 'none', role: 'main', errors: ['M_UNKNOWN'],
  handler: ({ registration }: Needs) => ({ nonce: registration.issueNonce() }),
})

const registerBySecret = endpoint({
  id: 'adminRegister',
  method: 'POST', base: 'admin', path: '/register', versions: ['v1'],
  spec: registerPage,
  auth: 'none', limit: 'none', role: 'main',
  errors: ['M_UNKNOWN', 'M_USER_IN_USE', 'M_INVALID_USERNAME', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_WEAK_PASSWORD'],
  body: Type.Object({
    nonce: Type.String(),
    username: Type.String(),
    password: Type.String(),
    mac: Type.String(),
    displayname: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    admin: Type.Optional(Type.Boolean()),
    user_type: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    inhibit_login: Type.Optional(Type.Boolean()),
  }),
  handler: async ({ registration, serverName }: Needs, { body }) => {
    const registered = await registration.registerBySecret({
      nonce: body.nonce,
      username: body.username,
      password: body.password,
      displayname: body.displayname ?? undefined,
      admin: body.admin,
      userType: body.user_type ?? undefined,
      mac: body.mac,
      inhibitLogin: body.inhibit_login,
    })
    return registeredBody(registered, serverName)
  },
})

function tokenBody(token: RegistrationToken) {
  return {
    token: token.token,
    uses_allowed: token.uses_allowed,
    pending: token.pending,
    completed: token.completed,
    expiry_time: token.expiry_ts,
  }
}

const limits = {
  uses_allowed: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
  expiry_time: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
}

const listTokens = endpoint({
  id: 'adminListRegistrationTokens',
  method: 'GET', base: 'admin', path: '/registration_tokens', versions: ['v1'],
  spec: tokensPage,
  auth: 'admin', limit: 'none', role: 'main', errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  query: Type.Object({ valid: Type.Optional(Type.Boolean()) }),
  handler: async ({ registration }: Needs, { query }) => ({ registration_tokens: (await registration.tokens.list(query.valid)).map(tokenBody) }),
})

const createToken = endpoint({
  id: 'adminCreateRegistrationToken',
  method: 'POST', base: 'admin', path: '/registration_tokens/new', versions: ['v1'],
  spec: tokensPage,
  auth: 'admin', limit: 'none', role: 'main', errors: ['M_FORBIDDEN', 'M_INVALID_PARAM', 'M_BAD_JSON'],
  body: Type.Object({ ...limits, token: Type.Optional(Type.String()), length: Type.Optional(Type.Integer()) }),
  handler: async ({ registration }: Needs, { body }) =>
    tokenBody(await registration.tokens.create(body.token, body.length ?? 16, { usesAllowed: body.uses_allowed, expiryTs: body.expiry_time })),
})

const getToken = endpoint({
  id: 'adminGetRegistrationToken',
  method: 'GET', base: 'admin', path: '/registration_tokens/:token', versions: ['v1'],
  spec: tokensPage,
  auth: 'admin', limit: 'none', role: 'main', errors: ['M_FORBIDDEN', 'M_NOT_FOUND'],
  handler: async ({ registration }: Needs, { params }) => tokenBody(await registration.tokens.require(params.token)),
})

const updateToken = endpoint({
  id: 'adminUpdateRegistrationToken',
  method: 'PUT', base: 'admin', path: '/registration_tokens/:token', versions: ['v1'],
  spec: tokensPage,
  auth: 'admin', limit: 'none', role: 'main', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_BAD_JSON'],
  body: Type.Object(limits),
  handler: async ({ registration }: Needs, { params, body }) =>
    tokenBody(await registration.tokens.update(params.token, { usesAllowed: body.uses_allowed, expiryTs: body.expiry_time })),
})

const deleteToken = endpoint({
  id: 'adminDeleteRegistrationToken',
  method: 'DELETE', base: 'admin', path: '/registration_tokens/:token', versions: ['v1'],
  spec: tokensPage,
  auth: 'admin', limit: 'none', role: 'main', bodyKind: 'raw', errors: ['M_FORBIDDEN', 'M_NOT_FOUND'],
  handler: async ({ registration }: Needs, { params }) => {
    await registration.tokens.delete(params.token)
    return {}
  },
})

const usernameAvailable = endpoint({
  id: 'adminUsernameAvailable',
  method: 'GET', base: 'admin', path: '/username_available', versions: ['v1'],
  spec: 'admin_api/user_admin_api.html#check-username-availability',
  auth: 'admin', limit: 'none', role: 'main', errors: ['M_FORBIDDEN', 'M_MISSING_PARAM', 'M_USER_IN_USE', 'M_INVALID_USERNAME'],
  query: Type.Object({ username: Type.String() }),
  handler: async ({ accounts }: { readonly accounts: { assertAvailable(localpart: string): Promise<unknown> } }, { query }) => {
    if (query.username === '') throw new MatrixError(400, 'M_MISSING_PARAM', 'The query parameter username is empty.')
    await accounts.assertAvailable(query.username)
    return { available: true }
  },
})

export const registrationAdminEndpoints = [nonce, registerBySecret, listTokens, createToken, getToken, updateToken, deleteToken, usernameAvailable] as const
