/** Secrets that stand in a file of their own; read once, when the configuration is. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { ConfigFault, type Place } from './fault.ts'

/**
 * The secret in a file, without white space around it.
 * @param create write a random secret where the file is missing
 * @throws ConfigFault where it cannot be read or is empty
 */
export function readSecretFile(file: string, place: Place, create: boolean): string {
  let text: string
  try {
    if (create) writeNew(file)
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    const advice = 'Correct the path, or make the file readable for the user that runs the server.'
    throw new ConfigFault(place.path, place.file, place.line, `The file ${file} cannot be read: ${reason(error)}.`, advice)
  }
  if (text === '') throw new ConfigFault(place.path, place.file, place.line, `The file ${file} is empty.`, 'Write the secret into it.')
  return text
}

/** A new secret: 50 letters and digits or more, from 288 random bits. */
export function newSecret(): string {
  return randomBytes(36).toString('base64url').replaceAll('-', 'x').replaceAll('_', 'y')
}

function writeNew(file: string): void {
  try {
    writeFileSync(file, `${newSecret()}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  }
}

/** Whether an error of the operating system has the given code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/** What an operator understands of an error of the operating system. */
export function reason(error: unknown): string {
  if (isCode(error, 'ENOENT')) return 'it does not exist'
  if (isCode(error, 'EACCES')) return 'permission denied'
  if (isCode(error, 'EISDIR')) return 'it is a folder'
  return error instanceof Error ? error.message : String(error)
}
