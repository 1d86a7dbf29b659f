/** Where something stands in files that were read, also where it is missing. */
import type { Place } from './fault.ts'
import { childPath, isList, type Setting } from './setting.ts'

/**
 * The place of the innermost setting on the way that is written; its file with line 0 where not even the first step is.
 * @param steps keys on the way from the top, items of lists by number
 */
export function findPlace(settings: ReadonlyMap<string, Setting>, steps: readonly (string | number)[], file: string): Place {
  const path = steps.reduce<string>(childPath, '')
  let data: Setting['data'] = settings
  let found: Place = { path, file, line: 0 }
  for (const step of steps) {
    const child: Setting | undefined = typeof step === 'number' ? (isList(data) ? data[step] : undefined) : data instanceof Map ? data.get(step) : undefined
    if (!child) break
    found = { path, file: child.file, line: child.line }
    data = child.data
  }
  return found
}

/** The steps of a dotted path whose keys hold no dot themselves. */
export function stepsOf(path: string): readonly (string | number)[] {
  return path.split('.').map((step) => {
    const index = /^<item (\d+)>$/.exec(step)?.[1]
    return index === undefined ? step : Number(index)
  })
}
