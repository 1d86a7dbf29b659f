import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MatrixError } from '@myelin/protocol/errors.ts'
import { searchTermOf } from './search-term.ts'
import { stemOf } from './stem.ts'
import { wordsOf } from './words.ts'

function words(text: string): string {
  return wordsOf(text, 100).map((word) => word.text).join(' ')
}

/** A term as text: `a b` stands together, `*` is a beginning, `!` is unwanted, `|` divides alternatives. */
function term(text: string): string {
  return searchTermOf(text).alternatives.map(({ all, none }) => [
    ...all.map((phrase) => `"${phrase.words.join(' ')}"${phrase.isPrefix ? '*' : ''}`), ...none.map((phrase) => `!"${phrase.words.join(' ')}"`),
  ].join(' ')).join(' | ')
}

test('words of scripts with spaces', () => {
  assert.equal(words('Hello, WÖRLD! Café İstanbul'), 'hello world cafe istanbul')
  assert.equal(words('ΣΊΣΥΦΟΣ Ёлка й'), 'σισυφοσ елка и')
  assert.equal(words('مَرْحَبًا أهلاً كـتـاب'), 'مرحبا اهلا كتاب')
  assert.equal(words('שָׁלוֹם हिन्दी'), 'שלום हिन्दी')
  assert.equal(words('foo_bar 3.14 don\'t ﬁne ＦＵＬＬ ①'), 'foo bar 3 14 don t fine full 1')
  assert.equal(words(''), '')
  assert.equal(words('\0 \ud800 *** "" ()'), '')
  assert.equal(words(`a\0b ${'x'.repeat(100)}1`), `a b ${'x'.repeat(64)}`)
})

test('words of scripts without spaces', () => {
  assert.equal(words('東京都'), '東京 京都 都')
  assert.equal(words('hello世界abc'), 'hello 世界 界 abc')
  assert.equal(words('ガ ｶﾞ が'), 'ガ ガ が')
  assert.equal(words('서울에서'), '서울 울에 에서 서')
  assert.equal(words('ไปไหน'), 'ไป ปไ ไห หน น')
})

test('emoji', () => {
  assert.equal(words('👍🏽👍 ❤️ ❤ 👩‍👩‍👧 🇩🇪🇫🇷 1️⃣ #️⃣'), '👍 👍 ❤ ❤ 👩‍👩‍👧 🇩🇪 🇫🇷 1')
})

test('stems', () => {
  const pairs: readonly (readonly [string, string])[] = [
    ['caresses', 'caress'], ['ponies', 'poni'], ['cats', 'cat'], ['agreed', 'agre'], ['plastered', 'plaster'], ['sing', 'sing'], ['conflated', 'conflat'],
    ['hopping', 'hop'], ['falling', 'fall'], ['filing', 'file'], ['happy', 'happi'], ['sky', 'sky'], ['relational', 'relat'], ['rational', 'ration'],
    ['vietnamization', 'vietnam'], ['hopefulness', 'hope'], ['triplicate', 'triplic'], ['electrical', 'electr'], ['replacement', 'replac'], ['adoption', 'adopt'],
    ['probate', 'probat'], ['rate', 'rate'], ['cease', 'ceas'], ['controll', 'control'], ['roll', 'roll'], ['generalizations', 'gener'], ['meetings', 'meet'], ['is', 'is'],
  ]
  for (const [word, stem] of pairs) assert.equal(stemOf(word), stem)
})

test('terms', () => {
  assert.equal(term('Red cars'), '"red" "car"')
  assert.equal(term('"red cars" fast'), '"red car" "fast"')
  assert.equal(term('“red cars”'), '"red car"')
  assert.equal(term('"never closed'), '"never close"')
  assert.equal(term('red or blue OR "dark green"'), '"red" | "blue" | "dark green"')
  assert.equal(term('red -blue -"dark green"'), '"red" !"blue" !"dark green"')
  assert.equal(term('-blue'), '')
  assert.equal(term('or'), '')
  assert.equal(term('foo_bar a.b.c'), '"foo bar" "a b c"')
  assert.equal(term('東京'), '"東京"')
  assert.equal(term('東'), '"東"*')
  assert.equal(term('"東京 tower"'), '"東京 京 tower"')
  for (const text of ['', '*', '"', '""', 'NEAR()', '- "', ':*', '^', '\0']) assert.doesNotThrow(() => term(text))
  assert.equal(term('NEAR(a b) AND NOT c*'), '"near a" "b" "and" "not" "c"')
})

test('terms have bounds', () => {
  const refused = (error: unknown): boolean => error instanceof MatrixError && error.errcode === 'M_INVALID_PARAM'
  assert.throws(() => searchTermOf('x'.repeat(10_000)), refused)
  assert.throws(() => searchTermOf('a '.repeat(60)), refused)
  assert.equal(searchTermOf('東'.repeat(1000)).alternatives[0]?.all[0]?.words.length, 999)
})

test('long texts take little time', () => {
  const began = process.cpuUsage()
  for (const text of ['a'.repeat(60_000), '\u0301'.repeat(30_000), 'ﷺ'.repeat(20_000), '👍\u200d'.repeat(8000), '東'.repeat(20_000), 'a b '.repeat(15_000), '" '.repeat(30_000)]) wordsOf(text, 8000)
  assert.ok(process.cpuUsage(began).user < 2_000_000)
})
