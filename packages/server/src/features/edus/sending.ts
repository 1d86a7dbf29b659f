/** What sends EDUs. */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'

/** An ephemeral message between servers. */
export interface Edu {
  readonly edu_type: string
  readonly content: JsonObject
}

/** The way to other servers. */
export interface EduSending {
  /**
   * Sends an EDU to servers; it is lost with the process.
   * @param key one that still waits under the same key is replaced
   */
  sendEdu(servers: Iterable<ServerName>, edu: Edu, key?: string): void
  /** Sends to a server what is stored for it. */
  wake(server: ServerName): void
}
