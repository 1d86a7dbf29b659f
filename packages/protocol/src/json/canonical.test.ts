import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson, compareCodePoints, strictCanonicalJson } from './canonical.ts'
import type { JsonValue } from './json.ts'
import { parseJson } from './parse.ts'

const vectors: { cases: { input: string; canonical: string }[] } = JSON.parse(
  readFileSync(new URL('../../vectors/canonical-json.json', import.meta.url), 'utf8'),
)

function parsed(text: string): JsonValue {
  const result = parseJson(text)
  assert.ok('value' in result, text)
  return result.value
}

test('the examples of the specification', () => {
  for (const { input, canonical } of vectors.cases) {
    const value: JsonValue = JSON.parse(input)
    assert.equal(canonicalJson(value), canonical)
    assert.deepEqual(strictCanonicalJson(value), { json: canonical })
  }
})

test('keys are ordered by code point: astral characters after U+FFFF', () => {
  assert.equal(canonicalJson({ '\u{1f600}': 1, '\uffff': 2, a: 3, '\ud7ff': 4 }), '{"a":3,"\ud7ff":4,"\uffff":2,"\u{1f600}":1}')
  assert.ok(compareCodePoints('\u{10000}', '\uffff') > 0)
  assert.equal(canonicalJson({ 10: 1, 9: 2, 1: 3 }), '{"1":3,"10":1,"9":2}')
})

test('strict refuses what is no canonical number or no text', () => {
  for (const value of [1.5, 2 ** 53, -(2 ** 53), Infinity, 'a\ud800', { ['\udc00']: 1 }, [[0.1]]]) assert.ok('reason' in strictCanonicalJson(value))
  for (const value of [2 ** 53 - 1, -(2 ** 53) + 1, 0]) assert.deepEqual(strictCanonicalJson(value), { json: String(value) })
  assert.deepEqual(strictCanonicalJson([-0]), { json: '[0]' })
})

test('lenient writes numbers as they were written, integers in full and floats in their shortest form', () => {
  const cases = [
    ['{"a":1.0}', '{"a":1.0}'], ['{"a":1e3}', '{"a":1000.0}'], ['{"a":-0}', '{"a":0}'], ['[-0.0]', '[-0.0]'],
    ['{"a":9223372036854775807}', '{"a":9223372036854775807}'], ['[1.50]', '[1.5]'], ['[1e16]', '[1e+16]'], ['[0.00001]', '[1e-05]'],
    ['{"b":[50.0],"a":9007199254740993}', '{"a":9007199254740993,"b":[50.0]}'], ['[1e400]', '[null]'], ['[9007199254740991]', '[9007199254740991]'],
  ] as const
  for (const [text, canonical] of cases) assert.equal(canonicalJson(parsed(text)), canonical)
})

test('names of the prototype are plain keys', () => {
  const text = '{"__proto__":{"a":1},"constructor":2,"toString":3}'
  assert.equal(canonicalJson(parsed(text)), text)
})

test('properties: idempotent, the same value, sorted as bytes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (json) => {
      const value: JsonValue = JSON.parse(JSON.stringify(json))
      const text = canonicalJson(value)
      const again: JsonValue = JSON.parse(text)
      assert.equal(canonicalJson(again), text)
      assert.deepEqual(again, JSON.parse(JSON.stringify(value, (_key, member: unknown) => (Object.is(member, -0) ? 0 : member))))
    }),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
      assert.equal(Math.sign(compareCodePoints(left, right)), Buffer.compare(Buffer.from(left), Buffer.from(right)))
    }),
  )
})
