/** Checks the fragments of the changelog: `changelog.d/<number>.<kind>.md`, a sentence or more each. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const kinds = ['feature', 'bugfix', 'removal', 'upgrade', 'doc', 'misc']
const fragmentName = new RegExp(`^\\d+\\.(${kinds.join('|')})\\.md$`)

/**
 * What is wrong with the fragments in a folder, one line each.
 * @param folder absolute path of `changelog.d`
 */
export function changelogFaults(folder: string): string[] {
  const faults: string[] = []
  for (const name of readdirSync(folder).filter((each) => !each.startsWith('.'))) {
    const text = readFileSync(join(folder, name), 'utf8')
    if (!fragmentName.test(name)) faults.push(`changelog.d/${name}: the name must be <number>.<kind>.md, with one of the kinds ${kinds.join(', ')}`)
    else if (text.trim() === '' || !/[.!?)`]$/.test(text.trim())) faults.push(`changelog.d/${name}: a fragment is at least one whole sentence`)
  }
  return faults
}
