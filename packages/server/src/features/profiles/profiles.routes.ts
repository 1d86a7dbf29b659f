/** Endpoints of profiles. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import { assertFieldName } from './profile-field.ts'
import type { Profile, Profiles } from './profiles.ts'

/** Which fields users may not change themselves, and who is shown profiles. */
export interface ProfileRules {
  readonly displaynameFixed: boolean
  readonly avatarUrlFixed: boolean
  /** `allow_profile_lookup_over_federation` */
  readonly isShownToServers: boolean
}

type Needs = { readonly profiles: Profiles; readonly accounts: Accounts; readonly profileRules: ProfileRules }

const versions = ['v3', 'r0', 'api/v1', 'unstable', 'unstable/uk.tcpip.msc4133'] as const

/** The user that a path names. @throws M_INVALID_PARAM */
function userIdOf(text: string): UserId {
  if (!isUserId(text)) throw refuse('M_INVALID_PARAM', 'This is not a user id; it has the form @name:server.')
  return text
}

/** A JSON object of fields; names like `__proto__` are no more than names. */
function jsonOf(profile: Profile): JsonText {
  return new JsonText(`{${[...profile].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`)
}

/** The user whose field may be changed. @throws M_FORBIDDEN, M_NOT_FOUND, M_KEY_TOO_LARGE, M_INVALID_PARAM */
async function changeable({ accounts, profileRules }: Needs, requester: Requester, params: { userId: string; keyName: string }): Promise<UserId> {
  const userId = userIdOf(params.userId)
  const { keyName } = params
  assertFieldName(keyName)
  if (requester.userId !== userId && !requester.isAdmin) throw refuse('M_FORBIDDEN', 'You can change only your own profile.')
  if (!accounts.isLocal(userId)) throw refuse('M_FORBIDDEN', 'Profiles of other servers cannot be changed here.')
  if (requester.isGuest && keyName !== 'displayname') throw refuse('M_GUEST_ACCESS_FORBIDDEN', 'Guests can change only their display name.')
  const fixed = (keyName === 'displayname' && profileRules.displaynameFixed) || (keyName === 'avatar_url' && profileRules.avatarUrlFixed)
  if (fixed && !requester.isAdmin) throw refuse('M_FORBIDDEN', `Users of this server cannot change their ${keyName}.`)
  if (requester.userId !== userId) await accounts.require(userId)
  return userId
}

const getProfile = endpoint({
  id: 'getUserProfile',
  servlet: 'ProfileRestServlet',
  method: 'GET', base: 'client', path: '/profile/:userId', versions,
  spec: 'client-server-api/#get_matrixclientv3profileuserid',
  auth: 'optional', limit: 'none', role: 'generic', errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_MISSING_TOKEN', 'M_INVALID_PARAM'],
  handler: async ({ profiles }: Needs, { requester, params }) => jsonOf(await profiles.show(userIdOf(params.userId), requester?.userId)),
})

const getField = endpoint({
  id: 'getProfileField',
  servlet: 'ProfileFieldRestServlet',
  method: 'GET', base: 'client', path: '/profile/:userId/:keyName', versions,
  spec: 'client-server-api/#get_matrixclientv3profileuseridkeyname',
  auth: 'optional', limit: 'none', role: 'generic', errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_MISSING_TOKEN', 'M_INVALID_PARAM', 'M_KEY_TOO_LARGE'],
  handler: async ({ profiles }: Needs, { requester, params: { userId, keyName } }) => {
    assertFieldName(keyName)
    const value = (await profiles.show(userIdOf(userId), requester?.userId)).get(keyName)
    if (value === undefined) throw refuse('M_NOT_FOUND', 'The profile has no such field.')
    return jsonOf(new Map([[keyName, value]]))
  },
})

const setField = endpoint({
  id: 'setProfileField',
  servlet: 'ProfileFieldRestServlet',
  method: 'PUT', base: 'client', path: '/profile/:userId/:keyName', versions,
  spec: 'client-server-api/#put_matrixclientv3profileuseridkeyname',
  auth: 'guest', limit: 'none', role: 'generic', bodyKind: 'json', suspendedRefused: true,
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_KEY_TOO_LARGE', 'M_PROFILE_TOO_LARGE', 'M_GUEST_ACCESS_FORBIDDEN', 'M_USER_SUSPENDED'],
  handler: async (needs: Needs, { requester, params, body }) => {
    const userId = await changeable(needs, requester, params)
    const { keyName } = params
    if (!Object.hasOwn(body, keyName)) throw refuse('M_MISSING_PARAM', `The body must have the field "${keyName}".`)
    const value: JsonValue = JSON.parse(JSON.stringify(body[keyName]))
    await needs.profiles.set(userId, keyName, value)
    return {}
  },
})

const deleteField = endpoint({
  id: 'deleteProfileField',
  servlet: 'ProfileFieldRestServlet',
  method: 'DELETE', base: 'client', path: '/profile/:userId/:keyName', versions,
  spec: 'client-server-api/#delete_matrixclientv3profileuseridkeyname',
  auth: 'guest', limit: 'none', role: 'generic', bodyKind: 'raw', suspendedRefused: true,
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_KEY_TOO_LARGE', 'M_GUEST_ACCESS_FORBIDDEN', 'M_USER_SUSPENDED'],
  handler: async (needs: Needs, { requester, params }) => {
    await needs.profiles.delete(await changeable(needs, requester, params), params.keyName)
    return {}
  },
})

const queryProfile = endpoint({
  id: 'queryProfile', servlet: 'FederationQueryServlet', method: 'GET', base: 'federation', path: '/query/profile', versions: ['v1'],
  spec: 'https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile',
  auth: 'server', limit: 'none', role: 'generic', errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_UNAUTHORIZED'],
  query: Type.Object({ user_id: Type.String(), field: Type.Optional(Type.String()) }),
  handler: async ({ profiles, accounts, profileRules }: Needs, { query }) => {
    if (!profileRules.isShownToServers) throw refuse('M_FORBIDDEN', 'This server does not show profiles to other servers.')
    const userId = userIdOf(query.user_id)
    const profile = accounts.isLocal(userId) ? await profiles.get(userId) : undefined
    if (!profile) throw refuse('M_NOT_FOUND', 'There is no profile of this user on this server.')
    const { field } = query
    return jsonOf(field === undefined ? profile : new Map([...profile].filter(([name]) => name === field)))
  },
})

export const profilesEndpoints = [getProfile, getField, setField, deleteField, queryProfile] as const
