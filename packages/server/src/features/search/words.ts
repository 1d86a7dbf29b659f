/**
 * The words by which texts are found, in every script. Case, forms of characters and accents do not count, English words lose their endings. Scripts
 * that are written without spaces, or that join particles to words, are cut into pairs of characters, so that any part of a text is found.
 *
 * Spec: client-server API, "Server Side Search".
 */
import { stemOf } from './stem.ts'

/** A word of a text as the index has it. */
export interface Word {
  readonly text: string
  /** What the text has in its place: the word, or the whole run of characters to which a pair belongs. */
  readonly source: string
  /** Whether it is a pair of characters, or the last character of a run. */
  readonly kind: 'word' | 'pair' | 'end'
}

const continuous = '\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{sc=Hangul}\\p{sc=Bopomofo}\\p{sc=Yi}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmer}\\p{sc=Myanmar}\\p{sc=Tibetan}'
/** A flag; another emoji with what belongs to it; or a run of letters, marks and digits. */
const pieces = /\p{Regional_Indicator}{2}|\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\ufe0f|\u200d\p{Extended_Pictographic})*|[\p{L}\p{M}\p{N}]{1,1000}/gu
const segments = new RegExp(`[${continuous}]+|[^${continuous}]+`, 'gu')
const isContinuous = new RegExp(`^[${continuous}]`, 'u')
const isPicture = /^[\p{Extended_Pictographic}\p{Regional_Indicator}]/u
/** What chooses between the forms of an emoji, the colour of its skin among them. */
const variants = /[\ufe0e\ufe0f\p{Emoji_Modifier}]/gu
/** Accents of the Latin, Greek and Cyrillic scripts, points of the Hebrew and Arabic ones, the stroke that stretches Arabic words, frames of keys. */
const accents = new RegExp(String.raw`[\ufe0e\ufe0f\u20e3\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]`, 'gu')

/** Characters of one word that count. */
const longestWord = 64

/** The first words of a text. */
export function wordsOf(text: string, limit: number): Word[] {
  const words: Word[] = []
  for (const [piece] of text.matchAll(pieces)) {
    if (isPicture.test(piece)) words.push({ text: piece.replaceAll(variants, ''), source: piece, kind: 'word' })
    else for (const [segment] of folded(piece).matchAll(segments)) words.push(...(isContinuous.test(segment) ? pairs(segment) : plain(segment, piece)))
    if (words.length >= limit) return words.slice(0, limit)
  }
  return words
}

/** A text in the form in which it is compared. */
function folded(text: string): string {
  return text.normalize('NFKD').toLowerCase().replaceAll(accents, '').normalize('NFC').replaceAll('ς', 'σ')
}

function plain(segment: string, piece: string): Word[] {
  const word = [...segment].slice(0, longestWord).join('')
  return [{ text: /^[a-z]+$/.test(word) ? stemOf(word) : word, source: folded(piece) === segment ? piece : segment, kind: 'word' }]
}

/** Each character with the next one, and the last one alone. */
function pairs(run: string): Word[] {
  const characters = [...run]
  return characters.map((character, index) => {
    const next = characters[index + 1]
    return { text: character + (next ?? ''), source: run, kind: next === undefined ? 'end' : 'pair' }
  })
}
