/** Prints how long the source files are: for the eye, not a gate. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

interface Sized {
  readonly name: string
  readonly lines: number
}

function sizesOf(pattern: string): Sized[] {
  return globSync(pattern, { cwd: root })
    .filter((name) => !name.includes('.gen.') && !name.includes('node_modules'))
    .map((name) => ({ name, lines: readFileSync(join(root, name), 'utf8').split('\n').length }))
    .sort((a, b) => a.lines - b.lines)
}

function at(files: readonly Sized[], share: number): number {
  return files[Math.min(files.length - 1, Math.floor(files.length * share))]?.lines ?? 0
}

/** The figures in a few lines; files over 600 lines by name. */
export function reportSizes(): string {
  const lines: string[] = []
  for (const [title, wanted] of [['sources', false], ['tests', true]] as const) {
    const files = sizesOf('{packages,tools,bench}/**/*.ts').filter(({ name }) => wanted === (name.endsWith('.test.ts') || name.includes('/test/')))
    const total = files.reduce((sum, each) => sum + each.lines, 0)
    lines.push(`${title}: ${files.length} files, ${total} lines; median ${at(files, 0.5)}, 95th percentile ${at(files, 0.95)}, longest ${at(files, 1)}`)
    for (const { name, lines: length } of files.filter((each) => each.lines > 600)) lines.push(`  over 600: ${name} (${length})`)
  }
  return lines.join('\n')
}

if (import.meta.main) console.log(reportSizes())
