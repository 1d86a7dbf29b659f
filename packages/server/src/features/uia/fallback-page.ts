/**
 * Pages for stages that a client does not know itself.
 *
 * Spec: client-server API, "Fallback".
 */
import { createHash } from 'node:crypto'
import { RawReply } from '#platform/http/reply.ts'

const doneScript = 'if(window.onAuthDone){window.onAuthDone()}else if(window.opener&&window.opener.postMessage){window.opener.postMessage("authDone","*")}'
const doneHash = createHash('sha256').update(doneScript).digest('base64')

const headers = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${doneHash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'Referrer-Policy': 'no-referrer',
}

/** A text within HTML or an attribute's value. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function page(status: number, title: string, body: string): RawReply {
  const style = 'body{font:16px sans-serif;max-width:30em;margin:3em auto;padding:0 1em}input,button{font:inherit;padding:.4em;margin:.3em 0}'
  const text = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`
    + `<title>${escaped(title)}</title><style>${style}</style></head><body><h1>${escaped(title)}</h1>${body}</body></html>`
  return new RawReply({ status, headers, body: text })
}

/** The form of a stage. @param fault what went wrong with the last attempt */
export function stagePage(type: string, session: string, fault?: { readonly status: number; readonly message: string }): RawReply {
  const note = fault ? `<p role="alert">${escaped(fault.message)}</p>` : ''
  const field = type === 'm.login.registration_token' ? '<p><label>Registration token <input name="token" autocomplete="off" required></label></p>' : ''
  const form = `<form method="post"><input type="hidden" name="session" value="${escaped(session)}">${field}<button>Continue</button></form>`
  return page(fault?.status ?? 200, 'Authentication', note + form)
}

/** The page after a completed stage: it tells the client, or its user, to go on. */
export function donePage(): RawReply {
  return page(200, 'Thank you', `<p>You can close this window now and return to your client.</p><script>${doneScript}</script>`)
}

/** A page that only says what is wrong. */
export function faultPage(status: number, message: string): RawReply {
  return page(status, 'Authentication', `<p role="alert">${escaped(message)}</p>`)
}
