/** Declarations and the list of endpoints agree. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { referenceIsAbsent, referenceRows, renderCoverage, unknownDeclarations } from './coverage.ts'

test('every declared path is one of the reference or listed as extra', { skip: referenceIsAbsent }, () => {
  assert.deepEqual(unknownDeclarations(), [])
})

test('the table has a row for each endpoint of the reference', { skip: referenceIsAbsent }, () => {
  const table = renderCoverage()
  for (const { path } of referenceRows()) assert.ok(table.includes(`\`${path}\``), path)
})
