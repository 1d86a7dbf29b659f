import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { Fields } from '#platform/config/option.ts'
import { allOptions } from './options.ts'

const reference = new URL('../../../../../shared/reference/config.yaml', import.meta.url)

/** Whether a path such as `listeners[].resources[].names` leads to a declared option, or into a mapping that takes any key. */
function isKnown(path: string, fields: Fields): boolean {
  const [head = '', ...rest] = path.replaceAll('.*', '').replaceAll('[]', '').split('.')
  const declared = Object.hasOwn(fields, head) ? fields[head] : undefined
  if (!declared) return false
  if (rest.length === 0) return true
  const inner = declared.kind.fields
  return inner ? isKnown(rest.join('.'), inner) : /object|any/.test(declared.kind.name)
}

test('every documented option of Synapse is known', (context) => {
  if (!existsSync(reference)) {
    context.diagnostic('the list of options is not on this machine')
    return
  }
  const listed: { options: Record<string, unknown>; legacy_and_extra: Record<string, unknown> } = parse(readFileSync(reference, 'utf8'))
  const names = [...Object.keys(listed.options), ...Object.keys(listed.legacy_and_extra)].filter((name) => !name.startsWith('log_config.'))
  assert.ok(names.length > 540)
  assert.deepEqual(names.filter((name) => !isKnown(name, allOptions)), [])
})

test('every option says what it is in one sentence, and whether it is effective', () => {
  for (const [name, declared] of Object.entries<Fields[string]>(allOptions)) {
    assert.match(declared.doc, /^\S.*\.$/, name)
    assert.notEqual(declared.effective, undefined, name)
  }
})
