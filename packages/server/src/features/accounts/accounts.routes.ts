/** Endpoints of one's own account: who am I, password, identifiers, deactivation. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { own } from '@myelin/protocol/json/json.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { Requester } from '#platform/http/requester.ts'
import { confirmationFlows, type Uia } from '#features/uia/uia.ts'
import type { Accounts } from './accounts.ts'
import type { PasswordPolicy } from './password-policy.ts'

type Needs = {
  readonly accounts: Accounts
  readonly uia: Uia
  readonly database: Database
  readonly sessions: { endOthers(tx: Tx, requester: Requester): Promise<void> }
  readonly passwordPolicy: PasswordPolicy
  /** Whether everybody may ask which accounts exist (MSC3720). */
  readonly tellsAccountStatus: boolean
}

const versions = ['v3', 'r0', 'unstable'] as const

const whoami = endpoint({
  id: 'getTokenOwner',
  servlet: 'WhoamiRestServlet',
  method: 'GET', base: 'client', path: '/account/whoami', versions,
  spec: 'client-server-api/#get_matrixclientv3accountwhoami',
  auth: 'guest', limit: 'none', role: 'generic', errors: ['M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN'],
  handler: (_: object, { requester: { userId, deviceId, isGuest } }) => ({
    user_id: userId,
    is_guest: isGuest,
    ...(deviceId === undefined ? {} : { device_id: deviceId }),
  }),
})

const changePassword = endpoint({
  id: 'changePassword',
  servlet: 'PasswordRestServlet',
  method: 'POST', base: 'client', path: '/account/password', versions,
  spec: 'client-server-api/#post_matrixclientv3accountpassword',
  auth: 'user', uia: true, limit: 'none', role: 'main',
  errors: ['M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_WEAK_PASSWORD', 'M_FORBIDDEN', 'M_MISSING_TOKEN', 'M_GUEST_ACCESS_FORBIDDEN', 'M_LIMIT_EXCEEDED'],
  body: Type.Object({ new_password: Type.Optional(Type.String()), logout_devices: Type.Optional(Type.Boolean()) }),
  handler: async ({ accounts, uia, database, sessions }: Needs, request) => {
    const { requester, body } = request
    if (body.new_password !== undefined) accounts.assertAcceptablePassword(body.new_password)
    else if (!Object.hasOwn(body, 'auth')) throw refuse('M_MISSING_PARAM', 'The new password is missing.')
    const operation = { id: 'changePassword', description: 'change your password' }
    const confirmed = await uia.authenticate({ request, requester, operation, flows: confirmationFlows })
    const password = own(confirmed.body, 'new_password')
    if (password === undefined) throw refuse('M_MISSING_PARAM', 'The new password is missing.')
    const passwordHash = await accounts.passwordHash(password)
    await database.transaction(async (tx) => {
      await accounts.setPassword(tx, requester.userId, passwordHash)
      if (own(confirmed.body, 'logout_devices') !== false) await sessions.endOthers(tx, requester)
    })
    return {}
  },
})

const deactivate = endpoint({
  id: 'deactivateAccount',
  servlet: 'DeactivateAccountRestServlet',
  method: 'POST', base: 'client', path: '/account/deactivate', versions,
  spec: 'client-server-api/#post_matrixclientv3accountdeactivate',
  auth: 'user', uia: true, limit: 'none', role: 'generic',
  errors: ['M_FORBIDDEN', 'M_MISSING_TOKEN', 'M_GUEST_ACCESS_FORBIDDEN', 'M_BAD_JSON', 'M_LIMIT_EXCEEDED'],
  body: Type.Object({ erase: Type.Optional(Type.Boolean()) }),
  handler: async ({ accounts, uia }: Needs, request) => {
    const { requester } = request
    const operation = { id: 'deactivateAccount', description: 'deactivate your account' }
    const confirmed = await uia.authenticate({ request, requester, operation, flows: confirmationFlows })
    await accounts.deactivate(requester.userId, { erase: own(confirmed.body, 'erase') === true })
    return { id_server_unbind_result: 'success' }
  },
})

const threepids = endpoint({
  id: 'getAccount3PIDs',
  servlet: 'ThreepidRestServlet',
  method: 'GET', base: 'client', path: '/account/3pid', versions,
  spec: 'client-server-api/#get_matrixclientv3account3pid',
  auth: 'user', limit: 'none', role: 'generic', errors: ['M_MISSING_TOKEN', 'M_GUEST_ACCESS_FORBIDDEN'],
  handler: async ({ accounts }: Needs, { requester }) => {
    const rows = await accounts.threepids(requester.userId)
    return { threepids: rows.map((row) => ({ medium: row.medium, address: row.address, validated_at: row.validated_ts, added_at: row.added_ts })) }
  },
})

const passwordPolicy = endpoint({
  id: 'getPasswordPolicy',
  method: 'GET', base: 'client', path: '/password_policy', versions,
  spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/2000',
  auth: 'none', limit: 'none', role: 'main', errors: [],
  handler: ({ passwordPolicy: { enabled, ...rules } }: Needs) => {
    if (!enabled) return {}
    const named = Object.entries(rules).filter(([, value]) => value !== false && value !== 0)
    return Object.fromEntries(named.map(([name, value]) => [`m.${name}`, value]))
  },
})

/** Whose accounts one request may ask for. */
const mostAsked = 1000

const accountStatus = endpoint({
  id: 'getAccountStatus',
  servlet: 'AccountStatusRestServlet',
  method: 'POST', base: 'client', path: '/account_status', versions: ['unstable/org.matrix.msc3720'],
  spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/3720',
  auth: 'user', limit: 'none', role: 'main', errors: ['M_UNRECOGNIZED', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_BAD_JSON'],
  body: Type.Object({ user_ids: Type.Array(Type.String()) }),
  handler: async ({ accounts, tellsAccountStatus }: Needs, { body }) => {
    if (!tellsAccountStatus) throw refuse('M_UNRECOGNIZED', 'This server does not tell which accounts exist.')
    if (body.user_ids.length > mostAsked) throw refuse('M_INVALID_PARAM', `Ask for at most ${mostAsked} users at once.`)
    const statuses = new Map<string, { exists: boolean; 'org.matrix.deactivated'?: boolean }>()
    const failures: string[] = []
    for (const userId of new Set(body.user_ids)) {
      if (!isUserId(userId)) throw refuse('M_INVALID_PARAM', `"${userId.slice(0, 300)}" is not a user id; it has the form @name:server.`)
      if (!accounts.isLocal(userId)) {
        failures.push(userId)
        continue
      }
      const account = await accounts.get(userId)
      statuses.set(userId, account ? { exists: true, 'org.matrix.deactivated': account.isDeactivated } : { exists: false })
    }
    return { account_statuses: Object.fromEntries(statuses), failures }
  },
})

export const accountsEndpoints = [whoami, accountStatus, changePassword, deactivate, threepids, passwordPolicy] as const
