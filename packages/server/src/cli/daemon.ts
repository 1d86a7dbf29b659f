/** Running in the background: a second process serves, the first ends as soon as that answers. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isCode, reason } from '#platform/config/secret-file.ts'
import { CommandError } from './output.ts'

/** Tells the second process that it is the one. */
const marker = 'MYELIN_DAEMON'
const ready = 'ready'

/** Whether this process is the one in the background. */
export function isDaemon(): boolean {
  return process.env[marker] === '1' && process.send !== undefined
}

/**
 * Starts this program again, detached from the terminal, and waits until it serves.
 * @param complain gets what it says before
 * @returns exit status for this process: that of the other where it ends before it serves
 */
export async function detach(complain: (line: string) => void): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, [marker]: '1' },
  })
  const { promise, resolve } = Promise.withResolvers<number>()
  child.on('message', (message) => (message === ready ? resolve(0) : complain(String(message))))
  child.on('exit', (status) => resolve(status ?? 1))
  child.on('error', (error) => {
    complain(error.message)
    resolve(1)
  })
  const status = await promise
  if (child.connected) child.disconnect()
  child.unref()
  return status
}

/** Passes a line on to the terminal of the first process. @returns whether there is one */
export function complainToFirst(line: string): boolean {
  return isDaemon() && process.connected && process.send?.(line) !== undefined
}

/** Lets the first process end. */
export function announceReady(): void {
  process.send?.(ready)
}

/**
 * Writes the id of this process.
 * @returns removes the file again
 * @throws CommandError where another server runs with the same file, or it cannot be written
 */
export function writePidFile(file: string): () => void {
  const other = runningPid(file)
  if (other !== undefined) throw new CommandError(`The server runs already, as process ${other} (${file}). Stop it first.`)
  try {
    writeFileSync(file, `${process.pid}\n`)
  } catch (error) {
    throw new CommandError(`The file ${file} for the process id cannot be written: ${reason(error)}. Correct pid_file.`)
  }
  return () => rmSync(file, { force: true })
}

/** The process of a pid file, where it is still alive. */
function runningPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8').trim())
    if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return undefined
    process.kill(pid, 0)
    return pid
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ESRCH') || isCode(error, 'EPERM')) return undefined
    throw new CommandError(`The file ${file} for the process id cannot be read: ${reason(error)}. Correct pid_file.`)
  }
}
