/**
 * Reporter for `node --test`: failures in full, a dot-free summary, and the counts with the places of failures as JSON in the file that
 * `MYELIN_TEST_COUNTS` names.
 * A skipped test counts as failed unless the reason is that `../shared` is absent; a test marked as to do counts as failed.
 */
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { inspect } from 'node:util'
import type { TestEvent } from 'node:test/reporters'

/** Characters of a file's error output that are kept. */
const longestTrace = 20_000
const allowedSkip = '../shared is absent'

/** Turns the events of a run into text. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const failures: string[] = []
  /** What a file wrote to its error channel: the only trace of one that died before its tests. */
  const written = new Map<string, string>()
  for await (const event of source) {
    if (event.type === 'test:stderr') {
      const { file, message } = event.data
      written.set(file, ((written.get(file) ?? '') + message).slice(-longestTrace))
      continue
    }
    if (event.type === 'test:diagnostic' && event.data.nesting > 0) {
      yield `    ${event.data.message}\n`
      continue
    }
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, file, line, details, skip, todo } = event.data
    const where = file === undefined ? name : `${relative(process.cwd(), file)}:${line ?? 0} › ${name}`
    if (details.type === 'suite' || isFile(name, file)) {
      if (event.type === 'test:pass') continue
    }
    const reason = reasonOf(skip)
    if (reason === allowedSkip) {
      counts.skipped += 1
    } else if (reason !== undefined || (todo !== undefined && todo !== false)) {
      counts.failed += 1
      failures.push(where)
      yield `✖ ${where}\n    skipped: ${reason ?? 'to do'}\n`
    } else if (event.type === 'test:pass') {
      counts.passed += 1
    } else if (!isConsequence(event.data.details.error)) {
      counts.failed += 1
      failures.push(where)
      yield `✖ ${where}\n${indent(inspect(event.data.details.error.cause ?? event.data.details.error, { depth: 8 }))}\n`
      if (file !== undefined && isFile(name, file)) yield `${indent(written.get(file) ?? '')}\n`
    }
  }
  yield `${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} left out because ${allowedSkip}` : ''}\n`
  const target = process.env['MYELIN_TEST_COUNTS']
  if (target !== undefined) writeFileSync(target, JSON.stringify({ ...counts, failures }))
}

/** The runner reports a file that ran to its end like a test of the file's name. */
function isFile(name: string, file: string | undefined): boolean {
  return file !== undefined && (name === file || file.endsWith(`/${name}`)) && name.endsWith('.ts')
}

function reasonOf(skip: string | boolean | undefined): string | undefined {
  if (skip === undefined || skip === false) return undefined
  return typeof skip === 'string' && skip !== '' ? skip : 'without a reason'
}

/** A test that failed because one of its own parts did, which is reported by itself. */
function isConsequence(error: Error): boolean {
  return 'failureType' in error && error.failureType === 'subtestsFailed'
}

function indent(text: string): string {
  return text.split('\n').map((line) => `    ${line}`).join('\n')
}
