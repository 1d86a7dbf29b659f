/** Everything about the code that needs no server: `npm run check`. Each part is one line, and its findings below it. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { changelogFaults } from './changelog.ts'
import { describeViolation, forbiddenImports } from './import-rules.ts'
import { reportSizes } from './sizes.ts'

const root = join(import.meta.dirname, '..')

interface Result {
  readonly isGood: boolean
  readonly text: string
}

function program(name: string, ...args: readonly string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(name === 'node' ? process.execPath : join(root, 'node_modules/.bin', name), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve({ isGood: code === 0, text: code === 0 ? '' : Buffer.concat(chunks).toString('utf8') }))
  })
}

async function imports(): Promise<Result> {
  const { violations } = await forbiddenImports(root)
  return { isGood: violations.length === 0, text: violations.map(describeViolation).join('\n') }
}

async function changelog(): Promise<Result> {
  const faults = changelogFaults(join(root, 'changelog.d'))
  return { isGood: faults.length === 0, text: faults.join('\n') }
}

const parts: readonly (readonly [string, () => Promise<Result>])[] = [
  ['types', () => program('tsc', '-p', '.')],
  ['lint', () => program('oxlint')],
  ['import rules', imports],
  ['generated files', () => program('node', 'tools/generate.ts', '--check')],
  ['changelog fragments', changelog],
  ['sizes', async () => ({ isGood: true, text: reportSizes() })],
]

const failures: string[] = []
for (const [name, run] of parts) {
  const startedAt = performance.now()
  const { isGood, text } = await run()
  if (!isGood) failures.push(name)
  console.log(`${isGood ? '✔' : '✖'} ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`)
  if (text !== '') console.log(text.trimEnd().split('\n').map((line) => `    ${line}`).join('\n'))
}
const target = process.env['MYELIN_TEST_COUNTS']
if (target !== undefined) writeFileSync(target, JSON.stringify({ passed: parts.length - failures.length, failed: failures.length, skipped: 0, failures }))
if (failures.length > 0) process.exitCode = 1
