/** Prints a new signing key, or writes it to a file. */
import { resolve } from 'node:path'
import { reason } from '#platform/config/secret-file.ts'
import { formatSigningKey, newSigningKey, writeSigningKey } from '#platform/config/signing-key.ts'
import { CommandError, type Terminal } from './output.ts'

/** Flags of the command. */
export const generateSigningKeyFlags = {
  output_file: { type: 'string', short: 'o' },
  help: { type: 'boolean', short: 'h' },
} as const

/** `generate-signing-key [-o FILE]`. @throws CommandError where the file exists or cannot be written */
export function generateSigningKey(flags: { readonly output_file?: string }, terminal: Terminal): void {
  if (flags.output_file === undefined) {
    terminal.print(formatSigningKey(newSigningKey()).trimEnd())
    return
  }
  const file = resolve(flags.output_file)
  let written: boolean
  try {
    written = writeSigningKey(file)
  } catch (error) {
    throw new CommandError(`The file ${file} cannot be written: ${reason(error)}.`)
  }
  if (!written) throw new CommandError(`The file ${file} exists already; a key that is in use must not be lost. Move it away first.`)
}
