/**
 * Configuration files on disk: which files a `--config-path` means, and how several become one.
 *
 * Spec: none; Synapse's manual: top-level keys of later files replace those of earlier ones; a folder stands for its `*.yaml`, sorted.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigFault, type Findings } from './fault.ts'
import { reason } from './secret-file.ts'
import { parseSettings, type Setting } from './setting.ts'

/**
 * The files that the given paths stand for, in the order in which they are read.
 * @throws ConfigFault for a path that does not exist
 */
export function configFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    try {
      if (!statSync(path).isDirectory()) return [path]
      const names = readdirSync(path).filter((name) => name.endsWith('.yaml') && statSync(join(path, name)).isFile())
      return names.sort().map((name) => join(path, name))
    } catch (error) {
      throw unreadable(path, error)
    }
  })
}

/**
 * Reads and merges configuration files.
 * @throws ConfigFault for a file that cannot be read or is no YAML
 */
export function readConfigFiles(files: readonly string[], findings: Findings): ReadonlyMap<string, Setting> {
  const merged = new Map<string, Setting>()
  for (const file of files) {
    const settings = parseSettings(readConfigText(file), file, (twice) => {
      findings.warn(twice, `The option ${twice.path} is written twice in the same place; the later one counts.`)
    })
    for (const [name, setting] of settings) merged.set(name, setting)
  }
  return merged
}

/** @throws ConfigFault where the file cannot be read */
export function readConfigText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
}

function unreadable(path: string, error: unknown): ConfigFault {
  const advice = 'Correct the path given with --config-path, or write a new one with --generate-config.'
  return new ConfigFault('', path, 0, `The configuration ${path} cannot be read: ${reason(error)}.`, advice)
}
