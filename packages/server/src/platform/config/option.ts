/**
 * Declaration of options: each is declared once, beside the feature that reads it, and types, defaults, messages and manual come from there.
 *
 * Spec: none; names, forms and defaults are those of Synapse's configuration manual.
 */
import { Findings } from './fault.ts'
import { mismatch, rateLimit, type Kind, type RateLimit } from './kind.ts'
import { nearestName } from './nearest.ts'
import { readSecretFile } from './secret-file.ts'
import { settingOf, type Plain, type Setting } from './setting.ts'

/** An option that still works, or is still accepted, but should be replaced. */
export interface Deprecation {
  /** The version of Synapse that deprecated it. */
  readonly since: string
  /** What to write in its place. */
  readonly instead: string
}

/** An option that no longer works. */
export interface Removal {
  readonly since: string
  readonly instead: string
  /** Whether the server refuses to start with it, as Synapse does; else it is ignored with a warning. */
  readonly stops: boolean
}

/** What is said about an option. */
export interface About {
  /** One sentence for the manual. */
  readonly doc: string
  /** Whether the server already acts on it; inside of a section or list, that of the whole where absent. */
  readonly effective?: boolean
  readonly deprecated?: Deprecation
  readonly removed?: Removal
  /** For the `_path` option of a secret: create the file with a random secret where it is missing. */
  readonly createMissing?: boolean
}

/** A declared option. */
export interface Option<out Value> extends About {
  readonly kind: Kind<unknown>
  /** The default as one would write it in the file. */
  readonly default: Plain
  readonly read: (setting: Setting | undefined, findings: Findings) => Value
}

/** Options by name. */
export type Fields = Readonly<Record<string, Option<unknown>>>

/** The values that a record of options has once it is read. */
export type Parsed<F extends Fields> = { readonly [Name in keyof F]: F[Name] extends Option<infer Value> ? Value : never }

/** Deprecated options go away with this version of Myelin. */
const removalVersion = '2.0'

/** Declares options; only for inference of types. */
export function options<const F extends Fields>(fields: F): F {
  return fields
}

/**
 * Declares an option. Where no default is given, its value is `null` unless it is set. Nothing after the colon (`name:`) means the default,
 * except for kinds that know `null` themselves.
 * @param about.default the default as one would write it in the file, such as `1w`
 */
export function option<Value, const Default extends Plain = null>(
  kind: Kind<Value>,
  about: About & { readonly default?: Default },
): Option<Default extends null ? Value | null : Value>
export function option<Value>(kind: Kind<Value>, about: About & { readonly default?: Plain }): Option<Value | null> {
  const written = about.default ?? null
  const fallback = written === null ? null : kind.read(settingOf(written, 'default'), new Findings())
  const knowsNull = kind.name.endsWith('or null')
  return {
    ...about,
    kind,
    default: written,
    read: (setting, findings) => {
      if (!setting || (setting.data === null && !knowsNull)) return fallback
      return findings.attempt<Value | null>(() => kind.read(setting, findings), () => fallback)
    },
  }
}

/** Declares a group of options that is always there, with their defaults where it is not written. */
export function section<const F extends Fields>(fields: F, about: About): Option<Parsed<F>> {
  const kind = object(fields)
  const empty = (): Setting => settingOf({}, '')
  return {
    ...about,
    kind,
    default: {},
    read: (setting, findings) => {
      if (!setting || setting.data === null) return kind.read(empty(), findings)
      return findings.attempt(() => kind.read(setting, findings), () => kind.read(empty(), new Findings()))
    },
  }
}

/** Declares a rate limit with its defaults. */
export function limit(perSecond: number, burstCount: number, about: About): Option<RateLimit> {
  return option(rateLimit(perSecond, burstCount), { ...about, default: { per_second: perSecond, burst_count: burstCount } })
}

/** A group of options as a value: of a list, of a map, or of an option that is `null` where it is not written. */
export function object<const F extends Fields>(fields: F): Kind<Parsed<F>> {
  return {
    name: 'object',
    expected: 'a mapping, with one "key: value" per line',
    fields,
    step: '',
    read: (setting, findings) => {
      if (!(setting.data instanceof Map)) throw mismatch(setting, 'a mapping, with one "key: value" per line')
      return readFields(fields, setting.data, setting, findings)
    },
  }
}

/**
 * Reads the options of a mapping. Faults and warnings go to `findings`.
 * @param owner the mapping itself, undefined for the top of the configuration
 */
export function readFields<F extends Fields>(
  fields: F,
  settings: ReadonlyMap<string, Setting>,
  owner: Setting | undefined,
  findings: Findings,
): Parsed<F> {
  const values: Record<string, unknown> = {}
  for (const [name, declared] of Object.entries(fields)) {
    values[name] = readOption(declared, settings.get(name), findings)
  }
  for (const [name, setting] of settings) {
    if (!Object.hasOwn(fields, name)) warnUnknown(fields, name, setting, owner, findings)
  }
  for (const name of Object.keys(fields)) {
    if (fields[name]?.kind.secret && Object.hasOwn(fields, `${name}_path`)) values[name] = secretOf(fields, name, values, settings, findings)
  }
  // Each value was made by the option of its name, which is what the type says.
  return values as Parsed<F>
}

function readOption(declared: Option<unknown>, setting: Setting | undefined, findings: Findings): unknown {
  if (!setting) return declared.read(setting, findings)
  const { deprecated, removed } = declared
  if (removed?.stops) {
    findings.fault(setting, `This option was removed in Synapse ${removed.since}.`, `${removed.instead}.`)
  } else if (removed) {
    findings.warn(setting, `The option ${setting.path} is ignored: it was removed in Synapse ${removed.since}. ${removed.instead}.`)
  } else if (deprecated) {
    const until = `is deprecated since Synapse ${deprecated.since} and will be removed in Myelin ${removalVersion}`
    findings.warn(setting, `The option ${setting.path} ${until}. ${deprecated.instead}.`)
  }
  if (declared.effective === false && !removed) return findings.waiting(setting, () => declared.read(setting, findings))
  return declared.read(setting, findings)
}

function warnUnknown(fields: Fields, name: string, setting: Setting, owner: Setting | undefined, findings: Findings): void {
  const near = nearestName(name, Object.keys(fields))
  const advice = near === undefined ? '' : ` Did you mean ${owner ? `${owner.path}.` : ''}${near}?`
  findings.warn(setting, `Unknown option ${setting.path} is ignored.${advice}`)
}

/** The value of a secret that may stand in the configuration or in a file of its own. */
function secretOf(
  fields: Fields,
  name: string,
  values: Record<string, unknown>,
  settings: ReadonlyMap<string, Setting>,
  findings: Findings,
): unknown {
  const inline = settings.get(name)
  const named = settings.get(`${name}_path`)
  const file = values[`${name}_path`]
  if (inline && inline.data !== null && findings.rules.noSecretsInConfig) {
    const message = 'Secrets must not stand in the configuration, because --no-secrets-in-config was given.'
    findings.fault(inline, message, `Put it into a file of its own and name that with ${name}_path.`)
  }
  if (!named || typeof file !== 'string') return values[name]
  if (inline && inline.data !== null) {
    findings.fault(inline, `Both ${name} and ${name}_path are set.`, 'Keep one of them and remove the other.')
    return values[name]
  }
  const create = (fields[`${name}_path`]?.createMissing ?? false) && findings.rules.generateMissing === true
  return findings.attempt<unknown>(() => readSecretFile(file, named, create), () => values[name])
}
