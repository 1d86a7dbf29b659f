import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { compileGlob, compileLiteral, compileStarGlob } from './glob.ts'
import { ServerAcl, serverAclOf } from './server-acl.ts'

function took(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

/** The definition: tries everything. */
function naive(pattern: readonly string[], text: readonly string[]): boolean {
  const [head, ...rest] = pattern
  if (head === undefined) return text.length === 0
  if (head === '*') return naive(rest, text) || (text.length > 0 && naive(pattern, text.slice(1)))
  return text.length > 0 && (head === '?' || head === text[0]) && naive(rest, text.slice(1))
}

test('globs', () => {
  const cases: [string, string, boolean][] = [
    ['lunc?*', 'lunch plans', true], ['lunc?*', 'lunch', true], ['lunc?*', ' lunch', false], ['lunc?*', 'lunc', false],
    ['', '', true], ['', 'a', false], ['*', '', true], ['**', 'x', true], ['?', '\u{1f600}', true], ['??', '\u{1f600}', false], ['a*', 'b', false],
    ['a*a', 'a', false], ['a*a', 'aa', true], ['*.example.org', 'example.org', false], ['*.example.org', 'a.example.org', true], ['a.c', 'abc', false],
    ['[a]', 'a', false], ['a\\*', 'a\\b', true], ['*ab*b', 'abb', true], ['*ab*b', 'ab', false], ['?*?', 'a', false], ['?*?', 'ab', true],
  ]
  for (const [pattern, text, expected] of cases) assert.equal(compileGlob(pattern).matches(text), expected, `${pattern} ~ ${text}`)
  assert.ok(compileStarGlob('a?*').matches('a?b') && !compileStarGlob('a?*').matches('abb'))
})

test('property: globs match as they are defined', () => {
  const unit = fc.constantFrom('a', 'b', '\u{1f600}')
  fc.assert(
    fc.property(fc.array(fc.oneof(unit, fc.constantFrom('*', '?')), { maxLength: 8 }), fc.array(unit, { maxLength: 8 }), (pattern, text) => {
      assert.equal(compileGlob(pattern.join('')).matches(text.join('')), naive(pattern, text))
    }),
    { numRuns: 2000 },
  )
  // long segments take other roads than short ones
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b'), { maxLength: 60 }), fc.array(fc.constantFrom('a', 'b'), { maxLength: 200 }), fc.nat(), (part, text, at) => {
      const segment = part.join('')
      const whole = text.join('')
      assert.equal(compileGlob(`*${segment}*`).matches(whole), whole.includes(segment))
      const hidden = part.map((character, index) => (part.length > 0 && index === at % part.length ? '?' : character)).join('')
      assert.equal(compileGlob(`*${hidden}*`).matches(whole), new RegExp(hidden.replaceAll('?', '.')).test(whole))
      const long = `${'ab'.repeat(20)}${segment}`
      assert.equal(compileGlob(`*${long}*`).matches(`${whole}${'ab'.repeat(15)}${long}b`), true)
    }),
  )
})

test('words', () => {
  const cases: [string, string, boolean][] = [
    ['ex*ple', 'an example event.', true], ['ex*ple', 'exple', true], ['ex*ple', 'an exciting triple-whammy', true], ['ex*ple', 'an example_', false],
    ['cake', 'cake', true], ['cake', 'cakes', false], ['cake', 'a cake!', true], ['cake', 'cakes and cake', true], ['cake', 'pancake', false],
    ['cake*lie', 'the cake is a lie', true], ['cake*lie', 'the cake is a lier', false], ['cake*lie', 'cakes lie', true], ['', 'a', false], ['*', 'a', true],
    ['?ake', 'a lake', true], ['?ake', 'a flake', false], ['ab*', 'x ab', true], ['*ab', 'xab', true], ['@room', 'hi @room', true], ['a', 'aa a', true],
  ]
  for (const [pattern, text, expected] of cases) assert.equal(compileGlob(pattern).matchesWord(text), expected, `${pattern} ~ ${text}`)
  assert.ok(compileLiteral('a*b?').matchesWord('hi a*b?') && !compileLiteral('a*b').matchesWord('hi aab'))
})

test('64 KB of text take under 5 ms, whatever the pattern', () => {
  const text = 'a'.repeat(65_536)
  const patterns = [
    '*a'.repeat(200) + 'b', `${'*a'.repeat(30_000)}b`, `*${'a'.repeat(1000)}b*`, `*${'a?'.repeat(100)}b*`, `*${'a'.repeat(30)}b*`, '*a?'.repeat(2000) + 'b*', 'a'.repeat(1000) + '*b',
  ]
  for (const pattern of patterns) {
    const glob = compileGlob(pattern)
    for (const body of [text, 'a '.repeat(32_768)]) {
      const best = Math.min(...Array.from({ length: 5 }, () => took(() => glob.matches(body))), ...Array.from({ length: 3 }, () => took(() => glob.matchesWord(body))))
      assert.ok(best < 5, `${pattern.slice(0, 20)}: ${best} ms`)
    }
  }
})

test('server ACLs', () => {
  const cases: [JsonObject, string, boolean][] = [
    [{ allow: ['*'] }, 'a.org', true],
    [{}, 'a.org', false],
    [{ allow: ['*'], deny: ['*.evil.org', 'evil.org'] }, 'EVIL.org:8448', false],
    [{ allow: ['*'], deny: ['*.EVIL.org'] }, 'x.evil.org', false],
    [{ allow: ['*'], deny: ['*.evil.org'] }, 'evil.org', true],
    [{ allow: ['*'], deny: ['evil.org:8448'] }, 'evil.org:8448', true],
    [{ allow: ['*'], allow_ip_literals: false }, '1.2.3.4', false],
    [{ allow: ['*'], allow_ip_literals: false }, '1.2.3.4:80', false],
    [{ allow: ['*'], allow_ip_literals: false }, '[::1]:80', false],
    [{ allow: ['*'], allow_ip_literals: 'no' }, '[::1]', true],
    [{ allow: ['[::1]'] }, '[::1]:80', true],
    [{ allow: ['1.2.3.?'] }, '1.2.3.4', true],
    [{ allow: '*' }, 'a.org', false],
    [{ allow: [5, null, {}, ['*'], 'a.org'], deny: { x: 1 } }, 'a.org', true],
    [{ allow: ['a.or?'] }, 'A.ORG', true],
    [{ allow: ['*'], deny: ['constructor'] }, 'constructor', false],
    [{ allow: ['__proto__'] }, 'tostring', false],
  ]
  for (const [content, server, expected] of cases) {
    assert.equal(new ServerAcl(content).allows(server), expected, `${JSON.stringify(content)} ${server}`)
    assert.equal(serverAclOf(content).allows(server), expected)
    assert.equal(serverAclOf(content).allows(server), expected)
  }
})

test('10,000 heavy entries: answered once in bounded time, then remembered', () => {
  const deny: JsonValue[] = Array.from({ length: 10_000 }, (_, index) => `${'*a?'.repeat(20)}${index}`)
  const acl = new ServerAcl({ allow: ['*'], deny })
  const server = `${'a'.repeat(240)}.org`
  assert.ok(took(() => assert.ok(acl.allows(server))) < 1000)
  assert.ok(took(() => assert.ok(acl.allows(server))) < 1)
})
