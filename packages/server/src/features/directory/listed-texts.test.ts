import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ListedTexts } from './listed-texts.ts'

test('the places are those of the texts that include the term', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'é', '🦀'), maxLength: 6 })
  fc.assert(fc.property(fc.array(text, { maxLength: 20 }), fc.string({ unit: fc.constantFrom('a', 'b', '🦀'), minLength: 1, maxLength: 3 }), (texts, term) => {
    assert.deepEqual(new ListedTexts(texts).indicesOf(term), texts.flatMap((each, index) => (each.includes(term) ? [index] : [])))
  }))
  assert.deepEqual(new ListedTexts(['a', 'b']).indicesOf('a\0b'), [])
})
