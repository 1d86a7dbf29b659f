/** Checks who imports whom, by the rules of `.dependency-cruiser.cjs`: `node tools/import-rules.ts [folder]`. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { Visitor } from '@swc/core/Visitor.js'
import { cruise, type IConfiguration } from 'dependency-cruiser'

const root = join(import.meta.dirname, '..')

/** The parser's walker knows no `using` declarations and would stop at the first; their initialisers can import nothing but by call. */
const visitStatement = Visitor.prototype.visitStatement
Visitor.prototype.visitStatement = function (statement) {
  return String(statement.type) === 'UsingDeclaration' ? statement : visitStatement.call(this, statement)
}

/** One import that a rule forbids. */
export interface Violation {
  readonly rule: string
  readonly from: string
  readonly to: string
  readonly comment: string
}

/**
 * Reads every source file below `packages`.
 * @param folder root of the repository
 */
export async function forbiddenImports(folder: string): Promise<{ readonly files: number; readonly violations: readonly Violation[] }> {
  const configuration: IConfiguration = createRequire(import.meta.url)(join(root, '.dependency-cruiser.cjs'))
  const { forbidden = [], options = {} } = configuration
  const comments = new Map(forbidden.map((rule) => [rule.name ?? '', rule.comment ?? '']))
  const { enhancedResolveOptions, ...cruiseOptions } = options
  const before = process.cwd()
  // The tool resolves folders against the working directory even where it is given a base.
  process.chdir(folder)
  try {
    const { output } = await cruise(['packages'], { ...cruiseOptions, baseDir: folder, validate: true, ruleSet: { forbidden } }, enhancedResolveOptions ?? {})
    if (typeof output === 'string') throw new Error(output)
    const violations = output.summary.violations
      .filter(({ rule, from, to, cycle }) => !aboutValues.has(rule.name) || pathOf(from, to, cycle?.map((each) => each.name)).every(([a, b]) => importsValues(a, b)))
      .map(({ rule, from, to }) => ({ rule: rule.name, from, to, comment: comments.get(rule.name) ?? '' }))
    return { files: output.summary.totalCruised, violations }
  } finally {
    process.chdir(before)
  }
}

/** Rules that imports of types do not break: nothing is loaded for them. The parser does not tell the two apart. */
const aboutValues = new Set(['no-cycles', 'files-and-sockets'])

/** The imports that make up a violation: one, or all of a cycle. */
function pathOf(from: string, to: string, cycle: readonly string[] | undefined): (readonly [string, string])[] {
  const names = [from, ...(cycle ?? [to])]
  return names.slice(1).map((name, i) => [names[i] ?? from, name] as const)
}

const importStatement = /^(?:import|export)\s+(type\s)?([^'"]*?)\s*from\s+'([^']+)'/gm

/** Whether one file imports more than types from the other. */
function importsValues(from: string, to: string): boolean {
  const target = basename(to)
  const statements = [...readFileSync(from, 'utf8').matchAll(importStatement)].filter(([, , , specifier = '']) => basename(specifier).replace(/^node:/, '') === target)
  const isOfTypes = ([, type, names = '']: RegExpMatchArray): boolean => {
    const listed = /^\{(.*)\}$/s.exec(names.trim())?.[1]?.split(',').map((name) => name.trim()).filter((name) => name !== '')
    return type !== undefined || (listed !== undefined && listed.length > 0 && listed.every((name) => name.startsWith('type ')))
  }
  return statements.length === 0 || !statements.every(isOfTypes)
}

/** One line for the eye. */
export function describeViolation({ rule, from, to, comment }: Violation): string {
  return `${from} → ${to}\n    ${rule}: ${comment}`
}

if (import.meta.main) {
  const { files, violations } = await forbiddenImports(process.argv[2] ?? root)
  for (const violation of violations) console.error(describeViolation(violation))
  console.log(`${files} files, ${violations.length} forbidden imports`)
  if (violations.length > 0) process.exitCode = 1
}
