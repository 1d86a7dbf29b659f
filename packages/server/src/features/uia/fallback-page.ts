/**
 * Pages for stages that a client does not know itself.
 *
 * Spec: client-server API, "Fallback".
 */
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { escapeHtml, htmlPage, type PageSources } from '#platform/http/html-page.ts'
import type { RawReply } from '#platform/http/reply.ts'

/** How a stage is completed in a browser. */
export interface StagePage {
  /** HTML within the form. */
  readonly fields: string
  /** Text of the form's button. Default `Continue`. */
  readonly button?: string
  /** What the page loads from elsewhere. */
  readonly sources?: PageSources
  /** What a client would send for the stage, from the fields. */
  auth(form: URLSearchParams): JsonObject
}

const doneScript = 'if(window.onAuthDone){window.onAuthDone()}else if(window.opener&&window.opener.postMessage){window.opener.postMessage("authDone","*")}'

/** The form of a stage. @param fault what went wrong with the last attempt */
export function stagePage(page: StagePage, session: string, fault?: { readonly status: number; readonly message: string }): RawReply {
  const note = fault ? `<p role="alert">${escapeHtml(fault.message)}</p>` : ''
  const form = `<form method="post"><input type="hidden" name="session" value="${escapeHtml(session)}">${page.fields}<button>${escapeHtml(page.button ?? 'Continue')}</button></form>`
  return htmlPage({ status: fault?.status ?? 200, title: 'Authentication', body: note + form, ...(page.sources ? { sources: page.sources } : {}) })
}

/** The page after a completed stage: it tells the client, or its user, to go on. */
export function donePage(): RawReply {
  return htmlPage({ title: 'Thank you', body: '<p>You can close this window now and return to your client.</p>', script: doneScript })
}
