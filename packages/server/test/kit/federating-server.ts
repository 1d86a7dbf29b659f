/** Test servers that other servers reach by TLS under their name, `localhost:<port>`. */
import type { TestContext } from 'node:test'
import { testServer, type TestServer, type TestServerOptions } from './test-server.ts'
import { certificatePath, tlsDoor } from './tls-door.ts'

/** Resolves once all servers have told each other everything that has happened. */
export async function exchanged(...servers: readonly TestServer[]): Promise<void> {
  // What one takes in may be something that it has to pass on.
  for (let round = 0; round < 3; round++) {
    for (const { services } of servers) await services.outbox.settled()
    for (const { services } of servers) await services.transactions.settled()
  }
}

/** Starts a server that talks to others on this machine. */
export async function federatingServer(t: TestContext, options: Omit<TestServerOptions, 'door'> = {}): Promise<TestServer> {
  const door = await tlsDoor(t)
  const config = [
    `server_name: "localhost:${door.port}"`, 'federation_domain_whitelist:', 'ip_range_blacklist: []', `federation_custom_ca_list: ["${certificatePath}"]`,
    'trusted_key_servers: []', options.config ?? '',
  ]
  return testServer(t, { ...options, config: config.join('\n'), door })
}
