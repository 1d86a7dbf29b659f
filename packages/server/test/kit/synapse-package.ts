/** Synapse as it is published: a black box to compare and to talk with, in a Python environment of its own. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './server-process.ts'

const version = '1.163.2'
const folder = `.cache/synapse-${version}`

/**
 * Installs Synapse, once; needs `python3` with `venv`, and the network.
 * @returns its Python, as a path below the repository
 */
export function installSynapse(): string {
  const python = join(folder, 'bin/python')
  if (existsSync(join(repository, folder, 'bin/synapse_homeserver'))) return python
  execFileSync('python3', ['-m', 'venv', join(repository, folder)], { stdio: 'inherit' })
  execFileSync(join(repository, python), ['-m', 'pip', 'install', '--quiet', `matrix-synapse[postgres]==${version}`, 'psycopg2-binary'], { stdio: 'inherit' })
  return python
}

if (import.meta.main) installSynapse()
