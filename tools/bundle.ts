/**
 * Puts the program into a few files of plain JavaScript, `packages/server/dist/bundle`: `bin/myelin` runs those. One file loads in a third of the
 * time that 900 modules need, and without the parts of libraries that nobody calls.
 */
import { globSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const source = join(root, 'packages/server/src')
const target = join(root, 'packages/server/dist/bundle')

/** Programs: the command line, and what it starts as processes and threads of their own, which stand beside it in one folder. */
const entries = ['cli/main.ts', ...globSync('**/*-{process,thread}.ts', { cwd: source })]

/** Written from more than one process at once in the worst case, each file is replaced whole. */
function replace(name: string, contents: Uint8Array): void {
  const draft = join(target, `${name}.${process.pid}.tmp`)
  writeFileSync(draft, contents)
  renameSync(draft, join(target, name))
}

const { outputFiles } = await build({
  entryPoints: entries.map((entry) => join(source, entry)),
  outdir: target,
  entryNames: '[name]',
  bundle: true,
  write: false,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // Native code stays where its package has it.
  external: ['sharp', 'pg-native'],
  // Libraries in the older module format call `require` for the runtime's own modules.
  banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" },
  logLevel: 'error',
})
mkdirSync(target, { recursive: true })
// The command line comes last: where it is new, all that it needs is.
const files = outputFiles.map(({ path, contents }) => ({ name: basename(path), contents }))
for (const { name, contents } of files.filter(({ name }) => name !== 'main.js')) replace(name, contents)
for (const { name, contents } of files.filter(({ name }) => name === 'main.js')) replace(name, contents)
