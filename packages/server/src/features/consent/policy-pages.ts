/** The pages of the policy, as its operator wrote them: `en/<version>.html`, and `en/success.html` where there is one. */
import { join } from 'node:path'
import { escapeHtml, htmlPage, pageHeaders } from '#platform/http/html-page.ts'
import { RawReply } from '#platform/http/reply.ts'
import { TemplateFolder } from '#platform/templates/template-folder.ts'
import { TemplateFault, type Template, type Values } from '#platform/templates/template.ts'

/** The one language that operators write the policy in. */
const language = 'en'
/** A version is part of a file's name, and comes from whoever asks. */
const versionGrammar = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/
/** The page may look as its operator likes, but stands in no frame of another site. */
const headers = { ...pageHeaders("frame-ancestors 'none'; base-uri 'none'; object-src 'none'"), 'X-Frame-Options': 'DENY' }

export class PolicyPages {
  readonly version: string
  readonly #folder: TemplateFolder
  readonly #policy: Template
  readonly #success: Template | undefined

  /**
   * Reads the current version.
   * @param folder `template_dir`
   * @throws TemplateFault
   */
  constructor(folder: string, version: string) {
    this.version = version
    this.#folder = new TemplateFolder(join(folder, language))
    if (!versionGrammar.test(version)) throw new TemplateFault(`The version "${version}" cannot be part of a file's name; use letters, digits, dots and dashes.`)
    const policy = this.#folder.readAtStart(`${version}.html`)
    if (!policy) throw new TemplateFault(`There is no file ${this.#folder.pathOf(`${version}.html`)}; it is the text of the policy.`)
    this.#policy = policy
    this.#success = this.#folder.readAtStart('success.html')
  }

  /** The page of a version; undefined where there is no such version. */
  async policy(version: string, values: Values): Promise<RawReply | undefined> {
    const template = version === this.version ? this.#policy : await this.#earlier(version)
    return template && new RawReply({ headers, body: template.render({ ...values, version }) })
  }

  /** The page after consent. */
  success(): RawReply {
    if (this.#success) return new RawReply({ headers, body: this.#success.render({}) })
    return htmlPage({ title: 'Thank you', body: `<p>You have agreed to version ${escapeHtml(this.version)}. You can close this window now and return to your client.</p>` })
  }

  async #earlier(version: string): Promise<Template | undefined> {
    return versionGrammar.test(version) && version !== 'success' ? this.#folder.read(`${version}.html`) : undefined
  }
}
