/** The fallback pages of interactive authentication. */
import { Type } from 'typebox'
import { MatrixError } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { readForm } from '#platform/http/form-body.ts'
import { faultPage } from '#platform/http/html-page.ts'
import { donePage, stagePage } from './fallback-page.ts'
import type { Uia } from './uia.ts'

type Needs = { readonly uia: Uia }

const path = '/auth/:authType/fallback/web'
const versions = ['v3', 'r0', 'unstable'] as const
const title = 'Authentication'
const noPage = 'There is no page for this type of authentication.'
const unknownSession = 'This session is unknown or has ended; start again in your client.'

const show = endpoint({
  id: 'getAuthFallback',
  servlet: 'AuthRestServlet',
  method: 'GET', base: 'client', path, versions,
  spec: 'client-server-api/#fallback',
  auth: 'none', limit: 'none', role: 'main', errors: [],
  query: Type.Object({ session: Type.Optional(Type.String()) }),
  handler: async ({ uia }: Needs, { params: { authType }, query: { session } }) => {
    const page = uia.pageOf(authType)
    if (!page) return faultPage(title, 404, noPage)
    if (session === undefined || !(await uia.waitsFor(session, authType))) return faultPage(title, 400, unknownSession)
    return stagePage(page, session)
  },
})

const submit = endpoint({
  id: 'submitAuthFallback',
  servlet: 'AuthRestServlet',
  method: 'POST', base: 'client', path, versions,
  spec: 'client-server-api/#fallback',
  auth: 'none', limit: 'none', role: 'main', bodyKind: 'raw', errors: [],
  query: Type.Object({ session: Type.Optional(Type.String()) }),
  handler: async ({ uia }: Needs, { params: { authType }, query, stream, ip }) => {
    const form = await readForm(stream)
    const session = form.get('session') ?? query.session
    const page = uia.pageOf(authType)
    if (!page) return faultPage(title, 404, noPage)
    if (session === undefined || !(await uia.waitsFor(session, authType))) return faultPage(title, 400, unknownSession)
    try {
      await uia.completeStage(session, authType, { ...page.auth(form), type: authType }, ip)
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return stagePage(page, session, { status: error.status, message: error.message })
    }
    return donePage()
  },
})

export const uiaEndpoints = [show, submit] as const
