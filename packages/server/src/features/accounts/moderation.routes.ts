/** Endpoints by which administrators lock and suspend accounts from any client. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { Requester } from '#platform/http/requester.ts'
import { UserIdParam } from '#platform/http/schemas.ts'
import type { Account, Accounts } from './accounts.ts'

interface Needs {
  readonly accounts: Accounts
}

const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'
const params = Type.Object({ userId: UserIdParam })

/** The account that an administrator means. @throws M_INVALID_PARAM, M_NOT_FOUND, M_FORBIDDEN for other administrators */
async function targetOf(accounts: Accounts, requester: Requester, userId: string): Promise<Account> {
  if (!accounts.isLocal(userId)) throw refuse('M_INVALID_PARAM', `${userId} is not a user of this server.`)
  const account = await accounts.require(userId)
  if (account.isDeactivated) throw refuse('M_NOT_FOUND', 'The account is deactivated.')
  if (account.isAdmin && account.userId !== requester.userId) throw refuse('M_FORBIDDEN', 'Administrators cannot be locked or suspended by each other.')
  return account
}

/** As `targetOf`, for a change: nobody shuts themselves out. */
async function othersAccount(accounts: Accounts, requester: Requester, userId: string): Promise<Account> {
  const account = await targetOf(accounts, requester, userId)
  if (account.userId === requester.userId) throw refuse('M_FORBIDDEN', 'You cannot lock or suspend your own account.')
  return account
}

const isSuspended = endpoint({
  id: 'getAdminSuspendUser', method: 'GET', base: 'client', versions: ['v1'], path: '/admin/suspend/:userId',
  spec: `${anchor}get_matrixclientv1adminsuspenduserid`, auth: 'admin', limit: 'none', role: 'generic', params,
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM', 'M_NOT_FOUND'],
  handler: async ({ accounts }: Needs, { requester, params: { userId } }) => ({ suspended: (await targetOf(accounts, requester, userId)).isSuspended }),
})

const suspend = endpoint({
  id: 'setAdminSuspendUser', method: 'PUT', base: 'client', versions: ['v1'], path: '/admin/suspend/:userId',
  spec: `${anchor}put_matrixclientv1adminsuspenduserid`, auth: 'admin', limit: 'none', role: 'generic', params,
  body: Type.Object({ suspended: Type.Boolean() }), errors: ['M_FORBIDDEN', 'M_INVALID_PARAM', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_BAD_JSON'],
  handler: async ({ accounts }: Needs, { requester, params: { userId }, body: { suspended } }) => {
    const account = await othersAccount(accounts, requester, userId)
    await accounts.setFlags(account.userId, { isSuspended: suspended })
    return { suspended }
  },
})

const isLocked = endpoint({
  id: 'getAdminLockUser', method: 'GET', base: 'client', versions: ['v1'], path: '/admin/lock/:userId',
  spec: `${anchor}get_matrixclientv1adminlockuserid`, auth: 'admin', limit: 'none', role: 'generic', params,
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM', 'M_NOT_FOUND'],
  handler: async ({ accounts }: Needs, { requester, params: { userId } }) => ({ locked: (await targetOf(accounts, requester, userId)).isLocked }),
})

const lock = endpoint({
  id: 'setAdminLockUser', method: 'PUT', base: 'client', versions: ['v1'], path: '/admin/lock/:userId',
  spec: `${anchor}put_matrixclientv1adminlockuserid`, auth: 'admin', limit: 'none', role: 'generic', params,
  body: Type.Object({ locked: Type.Boolean() }), errors: ['M_FORBIDDEN', 'M_INVALID_PARAM', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_BAD_JSON'],
  handler: async ({ accounts }: Needs, { requester, params: { userId }, body: { locked } }) => {
    const account = await othersAccount(accounts, requester, userId)
    await accounts.setFlags(account.userId, { isLocked: locked })
    return { locked }
  },
})

export const moderationRoutes = [isSuspended, suspend, isLocked, lock] as const
