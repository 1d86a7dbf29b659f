/**
 * The configuration of the process: reads the files, checks what belongs together, and fills in what follows from the rest.
 *
 * Spec: none; Synapse's configuration manual.
 */
import { hkdfSync } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { readCertificates } from '#platform/config/certificate-files.ts'
import { ConfigError, ConfigFault, Findings, type Place } from '#platform/config/fault.ts'
import { configFiles, readConfigFiles } from '#platform/config/files.ts'
import { readFields, type Parsed } from '#platform/config/option.ts'
import { findPlace, stepsOf } from '#platform/config/place.ts'
import { readSigningKeys, type SigningKey } from '#platform/config/signing-key.ts'
import { checkConfig } from './checks.ts'
import { withNamedDatabase } from './named-databases.ts'
import { allOptions } from './options.ts'
import { applyFormerNames } from './former-names.ts'

/** Values of all options as they were read. */
export type ReadConfig = Parsed<typeof allOptions>

/** The configuration, checked and complete: options under Synapse's names; durations in ms, sizes in bytes. */
export interface Config extends Omit<ReadConfig, 'server_name' | 'signing_key_path' | 'macaroon_secret_key'> {
  readonly server_name: ServerName
  readonly signing_key_path: string
  readonly macaroon_secret_key: string
}

/** What the command line says about reading the configuration. */
export interface LoadFlags {
  readonly noSecretsInConfig?: boolean
  /** Write missing side files: the signing key, secrets in files of their own. Default true. */
  readonly generateMissing?: boolean
  /** `--database-path`: the SQLite file. */
  readonly databasePath?: string
  readonly enableRegistration?: boolean
  readonly daemonize?: boolean
  /** `--keys-directory`: where the signing key is, where its path is not configured. */
  readonly keysDirectory?: string
}

/** A configuration that can be started, and what its operator should know. */
export interface LoadedConfig {
  readonly config: Config
  /** Of `signing_key_path`; the first signs. */
  readonly signingKeys: readonly SigningKey[]
  /** Of `key_server_signing_keys_path`; empty where it is not set. */
  readonly notaryKeys: readonly SigningKey[]
  /** Certificates of `federation_custom_ca_list`; empty where the system's are to be used. */
  readonly federationAuthorities: readonly Buffer[]
  /** The files that were read, in order. */
  readonly files: readonly string[]
  /** One line each. */
  readonly warnings: readonly string[]
  /** Options that are set and wait for their feature. */
  readonly notEffective: readonly string[]
}

/**
 * Loads configuration from files and folders; top-level options of later files replace those of earlier ones.
 * @throws ConfigError with every fault that was found
 */
export function loadConfig(paths: readonly string[], flags: LoadFlags = {}): LoadedConfig {
  const findings = new Findings({ noSecretsInConfig: flags.noSecretsInConfig ?? false, generateMissing: flags.generateMissing ?? true })
  return collected(() => {
    const files = configFiles(paths)
    const settings = readConfigFiles(files, findings)
    const named = applyFormerNames(readFields(allOptions, settings, undefined, findings), settings)
    const at = (path: string): Place => findPlace(settings, stepsOf(path), files.at(-1) ?? '')
    const read = withFlags(withNamedDatabase(named, settings.has('database'), at, findings), flags)
    checkConfig(read, at, findings)
    findings.assertNone()
    const keysFolder = flags.keysDirectory ?? dirname(files[0] ?? '.')
    const signingKeyPath = read.signing_key_path ?? resolve(join(keysFolder, `${read.server_name}.signing.key`))
    const signingKeys = readSigningKeys(signingKeyPath, at('signing_key_path'), findings.rules.generateMissing ?? false)
    const notaryPath = read.key_server_signing_keys_path
    const notaryKeys = notaryPath === null ? [] : readSigningKeys(notaryPath, at('key_server_signing_keys_path'), false)
    const federationAuthorities = readCertificates(read.federation_custom_ca_list, at('federation_custom_ca_list'))
    const config: Config = {
      ...read,
      // The checks above have assured the grammar.
      server_name: (read.server_name ?? '') as ServerName,
      signing_key_path: signingKeyPath,
      macaroon_secret_key: read.macaroon_secret_key ?? derivedSecret(signingKeys),
    }
    return { config, signingKeys, notaryKeys, federationAuthorities, files, warnings: findings.warnings, notEffective: findings.notEffective }
  })
}

function collected<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw error instanceof ConfigFault ? new ConfigError([error]) : error
  }
}

function withFlags(read: ReadConfig, flags: LoadFlags): ReadConfig {
  const { databasePath } = flags
  return {
    ...read,
    ...(flags.enableRegistration ? { enable_registration: true } : {}),
    ...(flags.daemonize ? { daemonize: true } : {}),
    ...(databasePath === undefined ? {} : { database: { ...read.database, name: 'sqlite3', args: { ...read.database.args, database: databasePath } } }),
  }
}

/** A secret that stays the same as long as the signing key does. */
function derivedSecret(keys: readonly SigningKey[]): string {
  const seed = keys[0]?.seed ?? Buffer.alloc(0)
  return Buffer.from(hkdfSync('sha256', seed, Buffer.alloc(0), 'myelin macaroon_secret_key', 32)).toString('base64url')
}
