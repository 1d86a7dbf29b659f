/** Test servers that other servers reach by TLS under their name, `localhost:<port>`. */
import type { TestContext } from 'node:test'
import { testServer, type TestServer, type TestServerOptions } from './test-server.ts'
import { certificatePath, tlsDoor } from './tls-door.ts'

/** Starts a server that talks to others on this machine. */
export async function federatingServer(t: TestContext, options: Omit<TestServerOptions, 'door'> = {}): Promise<TestServer> {
  const door = await tlsDoor(t)
  const config = [
    `server_name: "localhost:${door.port}"`, 'federation_domain_whitelist:', 'ip_range_blacklist: []', `federation_custom_ca_list: ["${certificatePath}"]`,
    'trusted_key_servers: []', options.config ?? '',
  ]
  return testServer(t, { ...options, config: config.join('\n'), door })
}
