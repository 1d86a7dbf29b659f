/** The command line: finds the command, reads its flags, and shows failures without a stack. */
import { parseArgs } from 'node:util'
import { serverVersion } from '#app/version.ts'
import { ConfigError, ConfigFault } from '#platform/config/fault.ts'
import { generateConfig } from './generate-config.ts'
import { generateSigningKey, generateSigningKeyFlags } from './generate-signing-key.ts'
import { hashPassword, hashPasswordFlags } from './hash-password.ts'
import { help } from './help.ts'
import { CommandError, type Terminal } from './output.ts'
import { registerUser, registerUserFlags } from './register-user.ts'
import { serverFlags } from './server-flags.ts'
import { start } from './start.ts'
import { ProcessTerminal } from './terminal.ts'

/** Answers the exit status, 0 where it says nothing. */
type Command = (args: string[], terminal: Terminal) => Promise<void | number> | void

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['start', (args, terminal) => {
    const { values } = parseArgs({ args, options: serverFlags })
    return values.help ? terminal.print(help('start')) : start(values, terminal)
  }],
  ['generate-config', (args, terminal) => {
    const { values } = parseArgs({ args, options: serverFlags })
    return values.help ? terminal.print(help('generate-config')) : generateConfig(values, terminal)
  }],
  ['register-user', (args, terminal) => {
    const { values, positionals } = parseArgs({ args, options: registerUserFlags, allowPositionals: true })
    if (positionals.length > 1) throw new CommandError('Give at most one URL of a server.')
    return values.help ? terminal.print(help('register-user')) : registerUser(values, positionals[0], terminal)
  }],
  ['hash-password', (args, terminal) => {
    const { values } = parseArgs({ args, options: hashPasswordFlags })
    return values.help ? terminal.print(help('hash-password')) : hashPassword(values, terminal)
  }],
  ['generate-signing-key', (args, terminal) => {
    const { values } = parseArgs({ args, options: generateSigningKeyFlags })
    return values.help ? terminal.print(help('generate-signing-key')) : generateSigningKey(values, terminal)
  }],
  ['db', async (args, terminal) => {
    const { dbCommand } = await import('./db.ts')
    return dbCommand(args, (line) => terminal.print(line))
  }],
  ['federation', async (args, terminal) => {
    const { federationCommand } = await import('./federation.ts')
    return federationCommand(args, terminal)
  }],
])

/**
 * Runs a command line.
 * @param args what follows the program's name; without a command it is `start`
 * @returns the exit status: 0, or 1 for a failure that was shown
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [first = '', ...rest] = args
  if (first === 'help' || (args.length === 1 && (first === '--help' || first === '-h'))) {
    terminal.print(help(rest[0]))
    return 0
  }
  if (first === '--version' || first === 'version') {
    terminal.print(`Myelin/${serverVersion}`)
    return 0
  }
  try {
    if (first !== '' && !first.startsWith('-')) {
      const command = commands.get(first)
      if (!command) throw new CommandError(`There is no command "${first}". "myelin help" lists them all.`)
      return (await command(rest, terminal)) ?? 0
    }
    return (await commands.get('start')?.([...args], terminal)) ?? 0
  } catch (error) {
    const message = shown(error)
    if (message === undefined) throw error
    terminal.complain(message)
    return 1
  }
}

/** Errors of the storeys below whose message is written for the operator. */
const mendable = new Set(['SchemaError', 'StorageError', 'UnsuitableDatabaseError', 'ListenError'])

/** The text of a failure that the user can mend; undefined for one of the program. */
function shown(error: unknown): string | undefined {
  if (error instanceof ConfigError || error instanceof CommandError) return error.message
  if (error instanceof ConfigFault) return error.text
  if (error instanceof Error && mendable.has(error.name)) return error.message
  if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) {
    return `${error.message.split('. To specify')[0]}. "myelin help" shows what there is.`
  }
  return undefined
}

if (import.meta.main) {
  const terminal = new ProcessTerminal()
  const status = await run(process.argv.slice(2), terminal)
  terminal.close()
  if (status !== 0) process.exitCode = status
}
