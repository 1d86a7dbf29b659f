import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeNode, emptyRoot, encodeNode, trieDiff, trieEntries, trieGet, trieSet, type NewNodes, type NodeSource, type StateEntry } from './trie.ts'

function memory(): { source: NodeSource; made: NewNodes } {
  const made: NewNodes = new Map()
  const source: NodeSource = {
    node: (_, id) => {
      const content = made.get(id)?.content
      assert.ok(content, `node ${id} exists`)
      return decodeNode(content)
    },
  }
  return { source, made }
}

const entries = fc.array(fc.record({ typeNid: fc.integer({ min: 1, max: 5 }), stateKeyNid: fc.nat(2 ** 40), eventNid: fc.nat(2 ** 48) }), { maxLength: 400 })

async function build(source: NodeSource, made: NewNodes, list: readonly StateEntry[], root = emptyRoot): Promise<number> {
  let current = root
  for (const entry of list) current = await trieSet(source, 1, current, entry, made)
  return current
}

function last(list: readonly StateEntry[]): Map<string, StateEntry> {
  return new Map(list.map((entry) => [`${entry.typeNid},${entry.stateKeyNid}`, entry]))
}

test('a trie holds what a map holds', async () => {
  await fc.assert(
    fc.asyncProperty(entries, async (list) => {
      const { source, made } = memory()
      const root = await build(source, made, list)
      const expected = last(list)
      assert.equal((await trieEntries(source, 1, root)).length, expected.size)
      for (const entry of expected.values()) assert.equal(await trieGet(source, 1, root, entry.typeNid, entry.stateKeyNid), entry.eventNid)
      assert.equal(await trieGet(source, 1, root, 9, 1), undefined)
    }),
    { numRuns: 50 },
  )
})

test('equal states have equal roots, whatever the order of insertion', async () => {
  await fc.assert(
    fc.asyncProperty(entries, async (list) => {
      const { source, made } = memory()
      const unique = [...last(list).values()]
      assert.equal(await build(source, made, unique), await build(source, made, [...unique].reverse()))
    }),
    { numRuns: 50 },
  )
})

test('a diff names exactly what differs', async () => {
  await fc.assert(
    fc.asyncProperty(entries, entries, async (common, changes) => {
      const { source, made } = memory()
      const before = await build(source, made, common)
      const after = await build(source, made, changes, before)
      const { onlyLeft, onlyRight } = await trieDiff(source, 1, before, after)
      const old = last(common)
      const changed = [...last(changes)].filter(([key, entry]) => old.get(key)?.eventNid !== entry.eventNid)
      assert.deepEqual(new Set(onlyRight.map((entry) => entry.eventNid)), new Set(changed.map(([, entry]) => entry.eventNid)))
      assert.equal(onlyLeft.length, changed.filter(([key]) => old.has(key)).length)
    }),
    { numRuns: 50 },
  )
})

test('a change in a state of 10,000 entries writes few bytes', async () => {
  const { source, made } = memory()
  const root = await build(source, made, Array.from({ length: 10_000 }, (_, index) => ({ typeNid: 3, stateKeyNid: 1000 + index, eventNid: 5000 + index })))
  const fresh: NewNodes = new Map()
  await trieSet(source, 1, root, { typeNid: 3, stateKeyNid: 1500, eventNid: 90_000 }, fresh)
  const bytes = [...fresh.values()].reduce((sum, { content }) => sum + content.length, 0)
  assert.ok(bytes < 1000, `${bytes} bytes in ${fresh.size} nodes`)
  for (const { node, content } of fresh.values()) assert.deepEqual(encodeNode(decodeNode(content)), encodeNode(node))
})
