/** The page on which the policy is read and agreed to. */
import { Type } from 'typebox'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { readForm } from '#platform/http/form-body.ts'
import { faultPage } from '#platform/http/html-page.ts'
import type { RawReply } from '#platform/http/reply.ts'
import type { Consent, ConsentRules } from './consent.ts'

type Needs = { readonly consent: Consent }

const path = '/_matrix/consent'
const spec = 'consent_tracking.html'
const title = 'Consent'
const optional = Type.Optional(Type.String())
const noVersion = 'There is no such version of the policy.'

/** @throws M_UNRECOGNIZED where the server has no policy */
function rulesOf(consent: Consent): ConsentRules {
  if (!consent.rules) throw refuse('M_UNRECOGNIZED', 'This server has no policy to agree to; see the option user_consent.')
  return consent.rules
}

/** Shows refusals as pages: it is people who come here. */
async function asPage(work: () => Promise<RawReply>): Promise<RawReply> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    return faultPage(title, error.status, error.message)
  }
}

const show = endpoint({
  id: 'getConsent', method: 'GET', base: 'root', versions: [], path, spec,
  auth: 'none', limit: 'none', role: 'main', errors: ['M_UNRECOGNIZED'],
  query: Type.Object({ u: optional, h: optional, v: optional }),
  handler: ({ consent }: Needs, { query: { u: user = '', h: signature = '', v } }) => {
    const { pages, atRegistration } = rulesOf(consent)
    const version = v ?? pages.version
    return asPage(async () => {
      if (user === '' && !atRegistration) throw new MatrixError(400, 'M_MISSING_PARAM', 'The address is not complete: the parameter "u" (the user) is missing.')
      const account = user === '' ? undefined : await consent.accountOf(user, signature)
      const values = { user, userhmac: signature, public_version: account === undefined, has_consented: account?.consentVersion === version }
      return (await pages.policy(version, values)) ?? faultPage(title, 404, noVersion)
    })
  },
})

const submit = endpoint({
  id: 'giveConsent', method: 'POST', base: 'root', versions: [], path, spec,
  auth: 'none', limit: 'none', role: 'main', bodyKind: 'raw', errors: ['M_UNRECOGNIZED'],
  handler: ({ consent }: Needs, { stream }) => {
    const { pages } = rulesOf(consent)
    return asPage(async () => {
      const form = await readForm(stream)
      const [user, signature, version] = ['u', 'h', 'v'].map((name) => form.get(name) ?? '')
      if (!user || !signature || !version) throw new MatrixError(400, 'M_MISSING_PARAM', 'The form is not complete; open its address again.')
      const account = await consent.accountOf(user, signature)
      if (version !== pages.version) throw new MatrixError(400, 'M_INVALID_PARAM', `The policy is at version ${pages.version} now; open its address again to read it.`)
      await consent.give(account)
      return pages.success()
    })
  },
})

export const consentRoutes = [show, submit]
