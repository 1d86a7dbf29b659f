/** Prints the hash of a password, as it stands in the database. */
import { hash } from 'bcryptjs'
import { readConfigFiles, configFiles } from '#platform/config/files.ts'
import { Findings } from '#platform/config/fault.ts'
import { readFields } from '#platform/config/option.ts'
import { accountsOptions } from '#features/accounts/accounts.config.ts'
import { CommandError, type Terminal } from './output.ts'

/** Flags of the command. */
export const hashPasswordFlags = {
  password: { type: 'string', short: 'p' },
  config: { type: 'string', short: 'c' },
  help: { type: 'boolean', short: 'h' },
} as const

/** bcrypt looks at no more bytes than this. */
const longestBytes = 72

/**
 * `hash-password [-p PASSWORD] [-c CONFIG]`: bcrypt of the password in normal form NFKC with the pepper of the configuration.
 * @throws CommandError where the password is empty or too long, or was mistyped
 */
export async function hashPassword(flags: { readonly password?: string; readonly config?: string }, terminal: Terminal): Promise<void> {
  const { rounds, pepper } = passwordSettings(flags.config)
  const password = flags.password ?? (await askPassword(terminal))
  const peppered = password.normalize('NFKC') + pepper
  if (password === '') throw new CommandError('The password is empty.')
  if (Buffer.byteLength(peppered) > longestBytes) throw new CommandError(`The password is too long: with the pepper at most ${longestBytes} bytes count.`)
  terminal.print(await hash(peppered, rounds))
}

/** Asks twice where somebody types, once where input comes from a pipe. */
export async function askPassword(terminal: Terminal): Promise<string> {
  const password = await terminal.ask('Password: ', true)
  if (!process.stdin.isTTY) return password
  if (password !== (await terminal.ask('Confirm password: ', true))) throw new CommandError('The passwords do not match.')
  return password
}

/** Only the options that matter here, so that an incomplete configuration serves too. */
function passwordSettings(config: string | undefined): { rounds: number; pepper: string } {
  if (config === undefined) return { rounds: 12, pepper: '' }
  const findings = new Findings()
  const settings = readConfigFiles(configFiles([config]), findings)
  const known = new Map([...settings].filter(([name]) => Object.hasOwn(accountsOptions, name)))
  const read = readFields(accountsOptions, known, undefined, findings)
  findings.assertNone()
  return { rounds: read.bcrypt_rounds, pepper: read.password_config.pepper ?? '' }
}
