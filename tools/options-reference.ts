/** Prints the manual of options from their declarations. */
import type { Fields, Option } from '../packages/server/src/platform/config/option.ts'
import { allOptions } from '../packages/server/src/app/options.ts'

const head = `# Options of homeserver.yaml

Printed from the declarations in the code. Names, forms and defaults are those of Synapse. Durations are numbers of milliseconds or texts
such as \`30s\`, \`5m\`, \`12h\`, \`7d\`, \`1w\`, \`1y\`; sizes are numbers of bytes or texts such as \`500K\`, \`50M\`, \`1G\`. An option that is not yet
effective is accepted, and named in one line of the log.

| option | kind | default | effective | meaning |
| --- | --- | --- | --- | --- |
`

/** The page docs/reference.gen/options.md. */
export function renderOptions(): string {
  return `${head}${rows('', allOptions, true).join('\n')}\n`
}

function rows(prefix: string, fields: Fields, outer: boolean): string[] {
  const names = Object.keys(fields).sort()
  return names.flatMap((name) => {
    const declared = fields[name]
    if (!declared) return []
    const path = `${prefix}${name}`
    const effective = declared.effective ?? outer
    const inner = declared.kind.fields ? rows(`${path}${declared.kind.step ?? ''}.`, declared.kind.fields, effective) : []
    return [`| \`${path}\` | ${cell(declared.kind.name)} | ${defaultOf(declared)} | ${effective ? 'yes' : 'not yet'} | ${cell(meaning(declared))} |`, ...inner]
  })
}

function defaultOf({ default: value, kind }: Option<unknown>): string {
  if (value === null || (kind.step === '' && JSON.stringify(value) === '{}')) return ''
  return `\`${cell(typeof value === 'string' ? value : JSON.stringify(value))}\``
}

function meaning({ doc, deprecated, removed }: Option<unknown>): string {
  if (removed) return `${doc} Removed in Synapse ${removed.since}. ${removed.instead}.`
  return deprecated ? `${doc} Deprecated since Synapse ${deprecated.since}. ${deprecated.instead}.` : doc
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
