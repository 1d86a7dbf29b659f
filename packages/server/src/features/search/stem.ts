/**
 * The stem of an English word: "meetings", "meeting" and "meet" have the same. The rules are those of M. F. Porter, "An algorithm for suffix
 * stripping", 1980; https://tartarus.org/martin/PorterStemmer/def.txt. Words of other languages in plain letters lose endings as well, in a text and
 * in what is searched alike.
 */

const consonant = '(?:[^aeiouy]|(?<![^aeiou])y)'
const vowel = '(?:[aeiou]|(?<=[^aeiou])y)'
/** The measure of a stem, m: how many times a vowel is followed by a consonant. */
const measured = {
  positive: new RegExp(`^${consonant}*${vowel}+${consonant}`),
  one: new RegExp(`^${consonant}*${vowel}+${consonant}+(?:${vowel}+)?$`),
  aboveOne: new RegExp(`^${consonant}*${vowel}+${consonant}+${vowel}+${consonant}`),
}
const hasVowel = new RegExp(vowel)
/** *o: ends with consonant, vowel, consonant, of which the last is not w, x or y. */
const endsShort = new RegExp(`^${consonant}+${vowel}[^aeiouwxy]$`)
const endsDouble = /([^aeiouy])\1$/

type Replacement = readonly [ending: string, by: string]

const step2: readonly Replacement[] = [
  ['ational', 'ate'], ['tional', 'tion'], ['enci', 'ence'], ['anci', 'ance'], ['izer', 'ize'], ['abli', 'able'], ['alli', 'al'], ['entli', 'ent'], ['eli', 'e'],
  ['ousli', 'ous'], ['ization', 'ize'], ['ation', 'ate'], ['ator', 'ate'], ['alism', 'al'], ['iveness', 'ive'], ['fulness', 'ful'], ['ousness', 'ous'],
  ['aliti', 'al'], ['iviti', 'ive'], ['biliti', 'ble'],
]
const step3: readonly Replacement[] = [['icate', 'ic'], ['ative', ''], ['alize', 'al'], ['iciti', 'ic'], ['ical', 'ic'], ['ful', ''], ['ness', '']]
const step4: readonly string[] = [
  'al', 'ance', 'ence', 'er', 'ic', 'able', 'ible', 'ant', 'ement', 'ment', 'ent', 'ion', 'ou', 'ism', 'ate', 'iti', 'ous', 'ive', 'ize',
]

/** The stem of a word of the letters a to z. */
export function stemOf(word: string): string {
  if (word.length < 3) return word
  return lastE(longEndings(replaced(replaced(finalY(pastAndProgressive(plural(word))), step2), step3)))
}

/** Step 1a. */
function plural(word: string): string {
  if (word.endsWith('sses') || word.endsWith('ies')) return word.slice(0, -2)
  return word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word
}

/** Step 1b. */
function pastAndProgressive(word: string): string {
  if (word.endsWith('eed')) return measured.positive.test(word.slice(0, -3)) ? word.slice(0, -1) : word
  const ending = word.endsWith('ed') ? 2 : word.endsWith('ing') ? 3 : 0
  const stem = word.slice(0, word.length - ending)
  if (ending === 0 || !hasVowel.test(stem)) return word
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`
  if (endsDouble.test(stem) && !/[lsz]$/.test(stem)) return stem.slice(0, -1)
  return measured.one.test(stem) && endsShort.test(stem) ? `${stem}e` : stem
}

/** Step 1c. */
function finalY(word: string): string {
  return word.endsWith('y') && hasVowel.test(word.slice(0, -1)) ? `${word.slice(0, -1)}i` : word
}

/** Steps 2 and 3: of the endings that fit, the longest counts. */
function replaced(word: string, replacements: readonly Replacement[]): string {
  let best: Replacement | undefined
  for (const replacement of replacements) if (word.endsWith(replacement[0]) && replacement[0].length > (best?.[0].length ?? 0)) best = replacement
  if (!best) return word
  const stem = word.slice(0, -best[0].length)
  return measured.positive.test(stem) ? stem + best[1] : word
}

/** Step 4. */
function longEndings(word: string): string {
  let best = ''
  for (const ending of step4) if (word.endsWith(ending) && ending.length > best.length) best = ending
  if (best === '') return word
  const stem = word.slice(0, -best.length)
  return measured.aboveOne.test(stem) && (best !== 'ion' || /[st]$/.test(stem)) ? stem : word
}

/** Step 5. */
function lastE(word: string): string {
  let result = word
  if (word.endsWith('e')) {
    const stem = word.slice(0, -1)
    if (measured.aboveOne.test(stem) || (measured.one.test(stem) && !endsShort.test(stem))) result = stem
  }
  return result.endsWith('ll') && measured.aboveOne.test(result.slice(0, -1)) ? result.slice(0, -1) : result
}
