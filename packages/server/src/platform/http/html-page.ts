/** Pages for people that the server makes itself, closed to everything that they do not need. */
import { createHash } from 'node:crypto'
import { RawReply } from './reply.ts'

/** What a page loads from elsewhere, by directive of the Content Security Policy. */
export type PageSources = Readonly<Partial<Record<'script-src' | 'frame-src' | 'connect-src', readonly string[]>>>

export interface Page {
  /** Default 200. */
  readonly status?: number
  readonly title: string
  /** HTML below the title. */
  readonly body: string
  /** Runs after the page was read. */
  readonly script?: string
  readonly sources?: PageSources
}

const style = 'body{font:16px sans-serif;max-width:30em;margin:3em auto;padding:0 1em}input,button{font:inherit;padding:.4em;margin:.3em 0}'

/** A text within HTML or an attribute's value. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** A page as an answer. */
export function htmlPage({ status = 200, title, body, script, sources = {} }: Page): RawReply {
  const scripts = [...(script === undefined ? [] : [`'sha256-${createHash('sha256').update(script).digest('base64')}'`]), ...(sources['script-src'] ?? [])]
  const others = (['frame-src', 'connect-src'] as const).flatMap((name) => (sources[name] ? [`${name} ${sources[name].join(' ')}`] : []))
  const policy = ["default-src 'none'", "style-src 'unsafe-inline'", ...(scripts.length > 0 ? [`script-src ${scripts.join(' ')}`] : []), ...others, "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
  const text = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`
    + `<title>${escapeHtml(title)}</title><style>${style}</style></head><body><h1>${escapeHtml(title)}</h1>${body}${script === undefined ? '' : `<script>${script}</script>`}</body></html>`
  return new RawReply({ status, headers: pageHeaders(policy.join('; ')), body: text })
}

/** A page that only says what is wrong. */
export function faultPage(title: string, status: number, message: string): RawReply {
  return htmlPage({ status, title, body: `<p role="alert">${escapeHtml(message)}</p>` })
}

/** Headers of a page; what it shows belongs to who asked. */
export function pageHeaders(contentSecurityPolicy: string): Readonly<Record<string, string>> {
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': contentSecurityPolicy,
    'Referrer-Policy': 'no-referrer',
  }
}
