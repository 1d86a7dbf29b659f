/**
 * What a user writes into the field of a search: words that must all be there, "several words in quotes" that must stand together, `or` between
 * alternatives, `-` before what must not be there.
 *
 * Spec: client-server API, "Server Side Search".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { TextAlternative, TextPhrase } from '#platform/db/text-index.ts'
import { wordsOf, type Word } from './words.ts'

/** A term that was read. */
export interface SearchTerm {
  /** One of these is looked for; none where the term has no word at all. */
  readonly alternatives: readonly TextAlternative[]
  /** The words that are looked for, as the index has them. */
  readonly words: ReadonlySet<string>
  /** The same as the user wrote them. */
  readonly written: readonly string[]
  /** Number of words that a text needs at least. */
  readonly length: number
}

/** Longest term, in UTF-16 code units. */
export const longestTerm = 1000
const mostPhrases = 50

/** A part of a term: a word, or what is in quotes; with a minus before it or not. */
const part = /(-?)["“”„]([^"“”„]*)["“”„]?|(-?)([^\s"“”„]+)/gu

interface MutableAlternative {
  readonly all: TextPhrase[]
  readonly none: TextPhrase[]
}

/** Reads a term. @throws M_INVALID_PARAM where it is too long or has too many words */
export function searchTermOf(text: string): SearchTerm {
  if (text.length > longestTerm) throw refuse('M_INVALID_PARAM', `The search term is longer than ${longestTerm} characters; shorten it.`)
  const alternatives: MutableAlternative[] = [{ all: [], none: [] }]
  const wanted: Word[] = []
  let phrases = 0
  for (const [, quotedMinus, quoted, minus, word] of text.matchAll(part)) {
    if (word !== undefined && minus === '' && /^or$/i.test(word)) {
      alternatives.push({ all: [], none: [] })
      continue
    }
    const found = wordsOf(quoted ?? word ?? '', longestTerm)
    const phrase = phraseOf(found)
    if (!phrase) continue
    phrases += 1
    if (phrases > mostPhrases) throw refuse('M_INVALID_PARAM', `The search term has more than ${mostPhrases} words; leave some out.`)
    const isUnwanted = (quotedMinus ?? minus) === '-'
    alternatives.at(-1)?.[isUnwanted ? 'none' : 'all'].push(phrase)
    if (!isUnwanted) wanted.push(...found)
  }
  const useful = alternatives.filter(({ all }) => all.length > 0)
  return {
    alternatives: useful,
    words: new Set(wanted.filter(({ kind }) => kind === 'word').map((each) => each.text)),
    written: [...new Set(wanted.map(({ source }) => source))],
    length: Math.min(...useful.map(({ all }) => all.reduce((sum, { words }) => sum + words.length, 0))),
  }
}

/** The words as a phrase. A run of characters may go on behind it, so its last character alone counts only where it is the whole run. */
function phraseOf(words: readonly Word[]): TextPhrase | undefined {
  const last = words.at(-1)
  if (!last) return undefined
  const isRunOfOne = last.kind === 'end' && words.at(-2)?.kind !== 'pair'
  const counted = last.kind === 'end' && !isRunOfOne ? words.slice(0, -1) : words
  return { words: counted.map(({ text }) => text), isPrefix: isRunOfOne }
}
