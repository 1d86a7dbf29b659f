/** What is found while configuration is read: faults that stop the start, warnings, options that wait for their feature. */

/** Where in the configuration something was found. */
export interface Place {
  readonly path: string
  readonly file: string
  readonly line: number
}

/** A mistake of the operator in a configuration file: what is wrong, where, and what would be right. */
export class ConfigFault extends Error implements Place {
  override readonly name = 'ConfigFault'
  readonly path: string
  readonly file: string
  readonly line: number
  readonly advice: string

  constructor(path: string, file: string, line: number, message: string, advice: string) {
    super(message)
    this.path = path
    this.file = file
    this.line = line
    this.advice = advice
  }

  /** The message as the operator reads it, in the form that Synapse gives it. */
  get text(): string {
    const head = this.path === '' ? 'Error in configuration:' : `Error in configuration at '${this.path}':`
    const place = placeText(this)
    return [head, `  ${this.message}`, ...(place === '' ? [] : [`  In ${place}.`]), ...(this.advice === '' ? [] : [`  ${this.advice}`])].join('\n')
  }
}

/** `file, line 12`, or as much of it as is known. */
export function placeText({ file, line }: { readonly file: string; readonly line: number }): string {
  if (file === '') return ''
  return line > 0 ? `${file}, line ${line}` : file
}

/** A configuration that cannot be used, with all its faults. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly faults: readonly ConfigFault[]

  constructor(faults: readonly ConfigFault[]) {
    super(faults.map((fault) => fault.text).join('\n\n'))
    this.faults = faults
  }
}

/** How a configuration is to be read. */
export interface ReadingRules {
  /** Refuse secrets that stand in the file itself, `--no-secrets-in-config`. */
  readonly noSecretsInConfig?: boolean
  /** Write the side files that are named but missing. */
  readonly generateMissing?: boolean
}

/** Collects what is found, so that an operator sees every mistake at once. */
export class Findings {
  readonly rules: ReadingRules
  readonly faults: ConfigFault[] = []
  readonly warnings: string[] = []
  readonly #notEffective = new Set<string>()
  #silent = 0

  constructor(rules: ReadingRules = {}) {
    this.rules = rules
  }

  /** Names of options that are set and wait for their feature; a section as a whole is named once. */
  get notEffective(): readonly string[] {
    return [...this.#notEffective].sort()
  }

  /** Notes a fault and goes on. */
  fault(place: Place, message: string, advice: string): void {
    this.faults.push(new ConfigFault(place.path, place.file, place.line, message, advice))
  }

  /** Notes a warning: one line for the log. */
  warn(place: Place, message: string): void {
    const text = placeText(place)
    this.warnings.push(text === '' ? message : `${message} (${text})`)
  }

  /** Runs `read`, and turns a fault that it throws into a note and `fallback`. */
  attempt<Value>(read: () => Value, fallback: () => Value): Value {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof ConfigFault)) throw error
      this.faults.push(error)
      return fallback()
    }
  }

  /** Runs `read` for an option that is not effective; options inside of it are not named again. */
  waiting<Value>(place: Place, read: () => Value): Value {
    if (this.#silent === 0) this.#notEffective.add(place.path.replaceAll(/\.<item \d+>/g, '[]'))
    this.#silent += 1
    try {
      return read()
    } finally {
      this.#silent -= 1
    }
  }

  /** @throws ConfigError with all faults, if there are any */
  assertNone(): void {
    if (this.faults.length > 0) throw new ConfigError(this.faults)
  }
}
