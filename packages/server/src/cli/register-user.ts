/**
 * Registers an account on a running server with the registration secret.
 *
 * Spec: none; Synapse's admin API, "Shared-Secret Registration".
 */
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { configFiles, readConfigFiles } from '#platform/config/files.ts'
import { Findings } from '#platform/config/fault.ts'
import { readFields, options } from '#platform/config/option.ts'
import { listenersOptions } from '#platform/config/process/listeners.config.ts'
import { reason } from '#platform/config/secret-file.ts'
import { registrationOptions } from '#features/registration/registration.config.ts'
import { askPassword } from './hash-password.ts'
import { CommandError, type Terminal } from './output.ts'

/** Flags of the command. */
export const registerUserFlags = {
  user: { type: 'string', short: 'u' },
  password: { type: 'string', short: 'p' },
  'password-file': { type: 'string' },
  user_type: { type: 'string', short: 't' },
  admin: { type: 'boolean', short: 'a' },
  'no-admin': { type: 'boolean' },
  'exists-ok': { type: 'boolean' },
  config: { type: 'string', short: 'c' },
  'shared-secret': { type: 'string', short: 'k' },
  help: { type: 'boolean', short: 'h' },
} as const

/** What the command line said. */
export interface RegisterUserFlags {
  readonly user?: string
  readonly password?: string
  readonly 'password-file'?: string
  readonly user_type?: string
  readonly admin?: boolean
  readonly 'no-admin'?: boolean
  readonly 'exists-ok'?: boolean
  readonly config?: string
  readonly 'shared-secret'?: string
}

/** An account to register. */
export interface NewUser {
  readonly user: string
  readonly password: string
  readonly admin: boolean
  readonly userType: string | undefined
}

/**
 * `register-user [-u …] (-c CONFIG | -k SECRET) [SERVER_URL]`; asks for what is missing.
 * @throws CommandError with what the server answered
 */
export async function registerUser(flags: RegisterUserFlags, serverUrl: string | undefined, terminal: Terminal): Promise<void> {
  if ((flags.config === undefined) === (flags['shared-secret'] === undefined)) {
    throw new CommandError('Give the configuration of the server (-c homeserver.yaml), or its registration secret (-k SECRET).')
  }
  const configured = flags.config === undefined ? undefined : settingsOf(flags.config)
  const secret = flags['shared-secret'] ?? configured?.secret
  if (!secret) throw new CommandError(`There is no registration_shared_secret in ${flags.config}. Add one and restart the server.`)
  const url = serverUrl ?? configured?.url ?? 'http://localhost:8008'
  await requestRegistration(url, secret, await newUserOf(flags, terminal), flags['exists-ok'] ?? false, terminal)
}

/** The MAC of the registration: HMAC-SHA1 over nonce, name, password, admin and type, separated by NUL. */
export function registrationMac(secret: string, nonce: string, { user, password, admin, userType }: NewUser): string {
  const parts = [nonce, user, password, admin ? 'admin' : 'notadmin', ...(userType === undefined ? [] : [userType])]
  return createHmac('sha1', secret).update(parts.join('\0')).digest('hex')
}

async function requestRegistration(url: string, secret: string, account: NewUser, existsOk: boolean, terminal: Terminal): Promise<void> {
  const endpoint = `${url.replace(/\/+$/, '')}/_synapse/admin/v1/register`
  const { nonce } = await call(endpoint, undefined)
  if (typeof nonce !== 'string') throw new CommandError(`${endpoint} did not answer as a homeserver does. Check the URL of the server.`)
  terminal.print('Sending registration request...')
  const { user, password, admin, userType } = account
  const body = { nonce, username: user, password, mac: registrationMac(secret, nonce, account), admin, user_type: userType ?? null }
  const answer = await call(endpoint, body)
  if (answer['errcode'] === 'M_USER_IN_USE' && existsOk) {
    terminal.print('User already exists, nothing to do.')
    return
  }
  if (answer['errcode'] !== undefined) throw new CommandError(`ERROR! The server answered ${String(answer['errcode'])}: ${String(answer['error'])}`)
  terminal.print('Success!')
}

async function call(endpoint: string, body: Record<string, unknown> | undefined): Promise<Record<string, unknown>> {
  let response: Response
  try {
    response = await fetch(endpoint, body ? { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {})
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
    throw new CommandError(`The server does not answer at ${endpoint}: ${cause}. Start it, or give its URL.`)
  }
  const text = await response.text()
  try {
    const answer: unknown = JSON.parse(text)
    if (typeof answer === 'object' && answer !== null) return { ...answer }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new CommandError(`ERROR! Received ${response.status} from ${endpoint}, which is no answer of a homeserver. Check the URL of the server.`)
}

async function newUserOf(flags: RegisterUserFlags, terminal: Terminal): Promise<NewUser> {
  if (flags.password !== undefined && flags['password-file'] !== undefined) throw new CommandError('Give --password or --password-file, not both.')
  if (flags.admin && flags['no-admin']) throw new CommandError('Give --admin or --no-admin, not both.')
  const { username } = userInfo()
  const user = flags.user ?? ((await terminal.ask(`New user localpart [${username}]: `)) || username)
  const password = flags.password ?? (flags['password-file'] === undefined ? await askPassword(terminal) : passwordFrom(flags['password-file']))
  if (password === '') throw new CommandError('The password is empty.')
  const asked = async (): Promise<boolean> => /^y(es)?$/i.test((await terminal.ask('Make admin [no]: ')).trim())
  const admin = flags.admin ?? (flags['no-admin'] ? false : await asked())
  return { user, password, admin, userType: flags.user_type }
}

function passwordFrom(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new CommandError(`The file ${file} cannot be read: ${reason(error)}.`)
  }
}

const wanted = options({
  registration_shared_secret: registrationOptions.registration_shared_secret,
  registration_shared_secret_path: registrationOptions.registration_shared_secret_path,
  listeners: listenersOptions.listeners,
})

/** The registration secret and the URL of the first listener that serves clients without TLS. */
function settingsOf(config: string): { secret: string | null; url: string | undefined } {
  const findings = new Findings()
  const settings = readConfigFiles(configFiles([config]), findings)
  const known = new Map([...settings].filter(([name]) => Object.hasOwn(wanted, name)))
  const read = readFields(wanted, known, undefined, findings)
  findings.assertNone()
  const serving = read.listeners.filter(({ type, resources }) => type === 'http' && resources.some(({ names }) => names.includes('client')))
  const listener = serving.find(({ tls, port }) => !tls && port !== null) ?? serving.find(({ port }) => port !== null)
  if (!listener) return { secret: read.registration_shared_secret, url: undefined }
  const addresses = listener.bind_addresses ?? (listener.bind_address === null ? [] : [listener.bind_address])
  const bound = addresses.find((address) => !['', '::', '0.0.0.0', '::1', '127.0.0.1'].includes(address))
  const host = bound === undefined ? (addresses.includes('127.0.0.1') ? '127.0.0.1' : 'localhost') : bound.includes(':') ? `[${bound}]` : bound
  return { secret: read.registration_shared_secret, url: `${listener.tls ? 'https' : 'http'}://${host}:${listener.port}` }
}
