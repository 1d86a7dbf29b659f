import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isHolder, holdsInexactNumber } from './number-source.ts'
import { holdsLoneSurrogate, maxJsonDepth, parseJson, parseJsonBytes } from './parse.ts'

function isInexact(text: string): boolean {
  const result = parseJson(text)
  return 'value' in result && isHolder(result.value) && holdsInexactNumber(result.value)
}

test('100,000 levels are refused at once', () => {
  for (const opener of ['[', '{"a":']) {
    const start = performance.now()
    const result = parseJson(opener.repeat(100_000))
    assert.ok(performance.now() - start < 50)
    assert.ok('errcode' in result && result.errcode === 'M_BAD_JSON')
  }
})

test('the depth limit counts nesting, not brackets, and not those in strings', () => {
  assert.ok('value' in parseJson(`${'['.repeat(maxJsonDepth)}${']'.repeat(maxJsonDepth)}`))
  assert.ok('errcode' in parseJson(`${'['.repeat(maxJsonDepth + 1)}${']'.repeat(maxJsonDepth + 1)}`))
  assert.ok('value' in parseJson(`[${'[],'.repeat(5000)}{}]`))
  assert.ok('value' in parseJson(JSON.stringify(`\\"${'['.repeat(5000)}`)))
})

test('what is not JSON', () => {
  for (const text of ['', '{', 'NaN', '[Infinity]', '{"a":1,}', '"abc', "{'a':1}", '[01]', '[1.]', '\ufeff{}', '[-]']) {
    const result = parseJson(text)
    assert.ok('errcode' in result && result.errcode === 'M_NOT_JSON', text)
  }
  const bytes = parseJsonBytes(Uint8Array.of(0x22, 0xff, 0x22))
  assert.ok('errcode' in bytes && bytes.errcode === 'M_NOT_JSON')
})

test('numbers that are not canonical are seen, wherever they stand', () => {
  for (const number of ['1.0', '1e3', '1E3', '-0', '-0.0', '9007199254740992', '-9007199254740993', '1.5', '123456789012345678901']) {
    assert.ok(isInexact(`{"a":[1,{"b":${number}}]}`), number)
  }
  for (const text of ['{"a":9007199254740991}', '{"a":"1.0"}', '[-9007199254740991]', '{"1.0":1}', '["\\"",1]']) assert.ok(!isInexact(text), text)
})

test('only the object that holds the number is marked, not its neighbour', () => {
  const result = parseJson('{"pdus":[{"n":1},{"n":1.0}]}')
  assert.ok('value' in result && typeof result.value === 'object')
  const { pdus } = result.value as { pdus: object[] }
  assert.deepEqual(pdus.map(holdsInexactNumber), [false, true])
})

test('lone surrogates and names of the prototype', () => {
  const bad = parseJson('{"a":["\\ud800"]}')
  const good = parseJson('{"a":["\\ud83d\\ude00"],"__proto__":1}')
  assert.ok('value' in bad && holdsLoneSurrogate(bad.value))
  assert.ok('value' in good && !holdsLoneSurrogate(good.value))
  assert.ok(good.value !== null && Object.hasOwn(good.value as object, '__proto__'))
})

test('property: the same values as JSON.parse', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const result = parseJson(text)
      assert.ok('value' in result)
      assert.deepEqual(result.value, JSON.parse(text))
    }),
  )
})
