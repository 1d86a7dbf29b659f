/** What a server asks of its database. */
import type { TestServer } from './test-server.ts'

/** Counts the reads of tables while something runs. */
export async function readsDuring(server: TestServer, work: () => Promise<unknown>): Promise<string[]> {
  const { database } = server.services
  const reads: string[] = []
  const rows = database.rows
  database.rows = function counted<Row>(this: typeof database, text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
    reads.push(name ?? text)
    return rows.call(database, text, values, name) as Promise<Row[]>
  }
  try {
    await work()
  } finally {
    database.rows = rows
  }
  return reads
}
