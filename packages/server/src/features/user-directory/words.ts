/**
 * Words by which users are found: case and the forms of characters do not count.
 *
 * Spec: client-server API, "User Directory".
 */
const longestWord = 64
const mostWords = 20

/** A text in the form in which it is compared. */
export function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase()
}

/** The words of a text: runs of letters, marks and digits, folded, each once. */
export function wordsOf(text: string): string[] {
  const words = new Set<string>()
  for (const [word] of folded(text.slice(0, 1000)).matchAll(/[\p{L}\p{M}\p{N}]+/gu)) {
    words.add([...word].slice(0, longestWord).join(''))
    if (words.size === mostWords) break
  }
  return [...words]
}

/** The words of a user: of the display name and of the localpart. */
export function userWords(userId: string, displayName: string | undefined): string[] {
  return [...new Set([...wordsOf(localpartOf(userId)), ...wordsOf(displayName ?? '')])]
}

/** The part of a user id between `@` and the first `:`. */
export function localpartOf(userId: string): string {
  return userId.slice(1, userId.indexOf(':'))
}

/** What is searched for: words that all must begin some word of the user, and the beginning of the server's name. */
export interface SearchTerm {
  readonly text: string
  readonly words: readonly string[]
  readonly server: string
}

/** Reads a search term: `alice`, `Alice Li`, `@alice:exam`. */
export function searchTermOf(text: string): SearchTerm {
  const term = folded(text.slice(0, 1000)).trim().replace(/^@/, '')
  const colon = text.trim().startsWith('@') || /^[^\s:]+:[^\s]+$/.test(term) ? term.indexOf(':') : -1
  return { text: term, words: wordsOf(colon < 0 ? term : term.slice(0, colon)), server: colon < 0 ? '' : term.slice(colon + 1) }
}
