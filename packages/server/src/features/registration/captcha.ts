/**
 * The stage `m.login.recaptcha`: who registers shows to be a human, which the service behind `recaptcha_siteverify_api` confirms.
 *
 * Spec: client-server API, "Google ReCaptcha".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import type { GuardedClient } from '#platform/fetch/guarded-client.ts'
import { AddressPolicy } from '#platform/fetch/ip-ranges.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { escapeHtml } from '#platform/http/html-page.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Stage } from '#features/uia/uia.ts'

/** The options. */
export interface CaptchaRules {
  /** Shown to clients. */
  readonly publicKey: string
  readonly privateKey: string
  readonly verifyUrl: string
}

interface Needs {
  readonly rules: CaptchaRules
  readonly http: Pick<GuardedClient, 'fetch'>
  readonly logger: Logger
}

const answerLimitBytes = 64 * 1024
const timeoutMs = 10_000
/** The service is the operator's choice, so it may be in their own network. */
const anywhere = new AddressPolicy({ deny: [], allow: [] })
const widget = 'https://www.recaptcha.net/recaptcha/'

export class Captcha {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** What clients must know for the stage. */
  get params(): object {
    return { public_key: this.#needs.rules.publicKey }
  }

  get stage(): Stage {
    return {
      check: async (auth, { ip }) => {
        const response = own(auth, 'response')
        if (typeof response !== 'string' || response === '') throw refuse('M_CAPTCHA_NEEDED', 'The answer of the captcha ("response") is missing.')
        if (!(await this.#isHuman(response, ip))) throw refuse('M_CAPTCHA_INVALID', 'The captcha was not solved; try again.')
        return { result: true }
      },
      page: {
        fields: `<script src="${widget}api.js" async defer></script><div class="g-recaptcha" data-sitekey="${escapeHtml(this.#needs.rules.publicKey)}"></div>`
          + '<noscript><p>The captcha needs JavaScript; allow it for this page.</p></noscript>',
        sources: { 'script-src': [widget, 'https://www.gstatic.com/recaptcha/'], 'frame-src': [widget], 'connect-src': [widget] },
        auth: (form) => ({ response: form.get('g-recaptcha-response') ?? '' }),
      },
    }
  }

  /** @throws M_CONNECTION_FAILED where the service gives no usable answer: nobody can register then, and nobody is called a machine */
  async #isHuman(response: string, ip: string): Promise<boolean> {
    const { rules: { verifyUrl, privateKey }, http, logger } = this.#needs
    try {
      const answer = await http.fetch(verifyUrl, {
        method: 'POST', timeoutMs, maxBytes: answerLimitBytes, policy: anywhere,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ secret: privateKey, response, remoteip: ip }).toString(),
      })
      const parsed = parseJson(answer.body.toString())
      if (answer.status !== 200 || 'reason' in parsed || !isObject(parsed.value)) throw new RemoteError('bad-answer', verifyUrl, `It answered with status ${answer.status} and no usable JSON.`)
      const errors = own(parsed.value, 'error-codes')
      if (errors !== undefined) logger.info('A captcha was refused.', { errors })
      return own(parsed.value, 'success') === true
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      logger.warn('Captchas cannot be checked, so nobody can register.', { error })
      throw refuse('M_CONNECTION_FAILED', 'The captcha cannot be checked at the moment; try again later.')
    }
  }
}
