/** The format of changelog fragments. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { changelogFaults } from './changelog.ts'

test('fragments have a number, a kind and a sentence', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-changelog-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const fragments = { '12.feature.md': 'Users can do more.\n', '13.nonsense.md': 'A sentence.', 'words.md': 'A sentence.', '14.bugfix.md': '  \n', '15.misc.md': 'no end', '.gitkeep': '' }
  for (const [name, text] of Object.entries(fragments)) writeFileSync(join(folder, name), text)
  assert.deepEqual(changelogFaults(folder).map((fault) => fault.split(':', 1)[0]).sort(), ['13.nonsense.md', '14.bugfix.md', '15.misc.md', 'words.md'].map((name) => `changelog.d/${name}`))
})
