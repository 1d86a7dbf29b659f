/** The full-text index on the engine under test: what is found, in which order, and what input can never do. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { openTestDatabase } from '#test/kit/test-engine.ts'
import { migrations } from '#schema/migrations.ts'
import { upgradeSchema } from '#schema/upgrade.ts'
import type { Database } from './database.ts'
import { TextIndex, type TextPhrase, type TextQuery } from './text-index.ts'

async function openIndex(t: TestContext): Promise<{ database: Database; index: TextIndex; put: (id: number, text: string, scope?: number, facets?: readonly string[]) => Promise<void> }> {
  const database = await openTestDatabase(t)
  await upgradeSchema(database, migrations, () => undefined)
  const index = new TextIndex(database, 'event_search')
  const put = (id: number, text: string, scope = 1, facets: readonly string[] = []): Promise<void> =>
    database.transaction((tx) => index.put(tx, [{ id, scope, facets, words: text.split(' ') }]))
  return { database, index, put }
}

function phrase(text: string): TextPhrase {
  return { words: text.replace(/\*$/, '').split(' '), isPrefix: text.endsWith('*') }
}

function query(all: readonly string[], rest: { readonly none?: readonly string[] } & Partial<Omit<TextQuery, 'alternatives'>> = {}): TextQuery {
  return { scopes: rest.scopes ?? [1], facets: rest.facets ?? [], notFacets: rest.notFacets ?? [], alternatives: [{ all: all.map(phrase), none: (rest.none ?? []).map(phrase) }] }
}

async function found(index: TextIndex, wanted: TextQuery): Promise<number[]> {
  return (await index.first(wanted, 'newest', 100)).hits.map(({ id }) => id)
}

test('words, phrases, beginnings, exclusions, alternatives', async (t) => {
  const { index, put } = await openIndex(t)
  await put(1, 'the quick brown fox')
  await put(2, 'brown quick the')
  await put(3, '東京 京都 都')
  await put(4, 'the 🦊 fox')
  await put(-7, 'quick history')
  assert.deepEqual(await found(index, query(['quick'])), [2, 1, -7])
  assert.deepEqual(await found(index, query(['quick', 'the'])), [2, 1])
  assert.deepEqual(await found(index, query(['quick brown'])), [1])
  assert.deepEqual(await found(index, query(['qui'])), [])
  assert.deepEqual(await found(index, query(['qui*'])), [2, 1, -7])
  assert.deepEqual(await found(index, query(['the qui*'])), [1])
  assert.deepEqual(await found(index, query(['the'], { none: ['fox', 'quick brown'] })), [2])
  assert.deepEqual(await found(index, query(['東京 京都'])), [3])
  assert.deepEqual(await found(index, query(['京*'])), [3])
  assert.deepEqual(await found(index, query(['🦊'])), [4])
  const either: TextQuery = { ...query([]), alternatives: [{ all: [phrase('brown fox')], none: [] }, { all: [phrase('🦊')], none: [phrase('quick')] }] }
  assert.deepEqual(await found(index, either), [4, 1])
})

test('scopes and facets narrow what is found', async (t) => {
  const { index, put } = await openIndex(t)
  await put(1, 'word', 1, ['by1', 'kb'])
  await put(2, 'word', 2, ['by2', 'kb'])
  await put(3, 'word', 2, ['by1', 'kn'])
  assert.deepEqual(await found(index, query(['word'])), [1])
  assert.deepEqual(await found(index, query(['word'], { scopes: [1, 2, 3] })), [3, 2, 1])
  assert.deepEqual(await found(index, query(['word'], { scopes: [2], facets: [['by1', 'by7'], ['kn']] })), [3])
  assert.deepEqual(await found(index, query(['word'], { scopes: [1, 2], notFacets: ['by1'] })), [2])
  // A facet is no word, and a word is no facet.
  assert.deepEqual(await found(index, query(['by1'], { scopes: [1, 2] })), [])
  assert.deepEqual(await found(index, query(['word'], { scopes: [1, 2], facets: [['word']] })), [])
})

test('order, pages and counts', async (t) => {
  const { database, index } = await openIndex(t)
  await database.transaction((tx) => index.put(tx, Array.from({ length: 60 }, (_, n) => ({ id: n + 1, scope: 1, facets: [], words: ['word', ...Array.from({ length: n % 3 }, () => 'more')] }))))
  const newest = await index.first(query(['word']), 'newest', 2)
  assert.deepEqual(newest, { hits: [{ id: 60, length: 3 }, { id: 59, length: 2 }], count: 60, newest: 60 })
  assert.deepEqual(await index.next(query(['word']), 'newest', 60, { id: 59, length: 2 }, 2), [{ id: 58, length: 1 }, { id: 57, length: 3 }])
  assert.deepEqual(await index.next(query(['word']), 'newest', 50, { id: 59, length: 2 }, 1), [{ id: 50, length: 2 }])
  const { hits } = await index.first(query(['word']), 'shortest', 20)
  assert.deepEqual([hits[0], hits.at(-1)], [{ id: 58, length: 1 }, { id: 1, length: 1 }])
  assert.deepEqual(await index.next(query(['word']), 'shortest', 60, { id: 1, length: 1 }, 1), [{ id: 59, length: 2 }])
  assert.deepEqual(await index.next(query(['word']), 'shortest', 58, { id: 1, length: 1 }, 1), [{ id: 56, length: 2 }])
  assert.deepEqual(await index.first(query(['nothing']), 'shortest', 5), { hits: [], count: 0, newest: undefined })
})

test('many matches are estimated', async (t) => {
  const { database, index } = await openIndex(t)
  for (let id = 1; id <= 10_000; id += 1000) {
    await database.transaction((tx) => index.put(tx, Array.from({ length: 500 }, (_, n) => ({ id: id + 2 * n, scope: 1, facets: [], words: ['word'] }))))
  }
  const { count } = await index.first(query(['word']), 'newest', 1)
  assert.ok(Math.abs(count - 5000) < 50, String(count))
})

test('what is written again is replaced, what is deleted is gone, from the index too', async (t) => {
  const { database, index, put } = await openIndex(t)
  for (let id = 1; id <= 200; id += 1) await put(id, `common secret${id} other`)
  await put(7, 'common changed')
  assert.deepEqual(await found(index, query(['secret7'])), [])
  assert.deepEqual(await found(index, query(['changed'])), [7])
  await database.transaction((tx) => index.delete(tx, Array.from({ length: 200 }, (_, n) => n + 1)))
  assert.deepEqual(await found(index, query(['common'])), [])
  if (database.dialect === 'sqlite') {
    await database.transaction((tx) => tx.rows("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, 'event_search', 'row')", []))
    assert.deepEqual(await database.transaction((tx) => tx.rows('SELECT term FROM vocabulary', [])), [])
    await database.transaction((tx) => tx.rows("INSERT INTO event_search (event_search) VALUES ('integrity-check')", []))
  }
})

test('no input is syntax', async (t) => {
  const { index, put } = await openIndex(t)
  await put(1, 'word')
  for (const text of ['"', "'", '\\', "' | 'word", '" OR words : "word', 'NEAR(', 'word*', '(', '^word', '{facets}', '-', '!', '&', ':*', '$1', '%', 'a\\\'b', "x'::tsquery"]) {
    await found(index, query([text]))
    await put(2, text)
  }
  await assert.rejects(found(index, query(['a\0b'])), /NUL/)
})

test('long texts and many scopes', async (t) => {
  const { index, put } = await openIndex(t)
  await put(1, Array.from({ length: 20_000 }, (_, n) => (n % 2 === 0 ? 'even' : `odd${n}`)).join(' '))
  assert.deepEqual(await found(index, query(['even'])), [1])
  assert.deepEqual(await found(index, query(['odd19999'], { scopes: Array.from({ length: 3000 }, (_, n) => n) })), [1])
})
