/** The fallback pages of interactive authentication. */
import { Type } from 'typebox'
import type { Readable } from 'node:stream'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { donePage, faultPage, stagePage } from './fallback-page.ts'
import type { Uia } from './uia.ts'

type Needs = { readonly uia: Uia }

const path = '/auth/:authType/fallback/web'
const versions = ['v3', 'r0', 'unstable'] as const
/** Stages that have a page. */
const stages: readonly string[] = ['m.login.dummy', 'm.login.registration_token']
const formBytes = 16_384

/** Fields of a form that a browser sent. @throws M_TOO_LARGE */
async function formOf(stream: Readable): Promise<URLSearchParams> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > formBytes) throw refuse('M_TOO_LARGE', 'The form is too large.')
    chunks.push(bytes)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

const unknownSession = 'This session is unknown or has ended; start again in your client.'

const show = endpoint({
  id: 'getAuthFallback',
  servlet: 'AuthRestServlet',
  method: 'GET', base: 'client', path, versions,
  spec: 'client-server-api/#fallback',
  auth: 'none', limit: 'none', role: 'main', errors: [],
  query: Type.Object({ session: Type.Optional(Type.String()) }),
  handler: async ({ uia }: Needs, { params: { authType }, query: { session } }) => {
    if (!stages.includes(authType)) return faultPage(404, 'There is no page for this type of authentication.')
    if (session === undefined || !(await uia.waitsFor(session, authType))) return faultPage(400, unknownSession)
    return stagePage(authType, session)
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
    const form = await formOf(stream)
    const session = form.get('session') ?? query.session
    if (!stages.includes(authType)) return faultPage(404, 'There is no page for this type of authentication.')
    if (session === undefined || !(await uia.waitsFor(session, authType))) return faultPage(400, unknownSession)
    try {
      await uia.completeStage(session, authType, { type: authType, token: form.get('token') ?? '' }, ip)
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return stagePage(authType, session, { status: error.status, message: error.message })
    }
    return donePage()
  },
})

export const uiaEndpoints = [show, submit] as const
