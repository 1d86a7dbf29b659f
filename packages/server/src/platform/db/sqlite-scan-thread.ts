/** The program of the thread that scans an SQLite database: it has a read-only connection of its own and answers one read at a time. */
import { parentPort, workerData } from 'node:worker_threads'
import { StorageError } from './database.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import type { ScanAnswer, ScanFailure, ScanRequest } from './sqlite-scan.ts'

const port = parentPort
if (!port) throw new Error('This program runs as a thread of the server.')
const connection = new SqliteConnection(String(workerData), { synchronous: 'FULL', readOnly: true })

port.on('message', (request: ScanRequest) => port.postMessage(answer(request)))
process.once('exit', () => connection.close())

function answer({ id, text, values }: ScanRequest): ScanAnswer {
  try {
    return { id, rows: connection.rows(text, values) }
  } catch (error) {
    return { id, failure: failureOf(error) }
  }
}

function failureOf(error: unknown): ScanFailure {
  const errcode = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined
  return { message: error instanceof Error ? error.message : String(error), isStorage: error instanceof StorageError, errcode }
}
