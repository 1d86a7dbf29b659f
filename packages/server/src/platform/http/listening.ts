/** Opens the sockets of one listener. */
import { chmod, lstat, unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import type { ListenOptions } from 'node:net'
import type { Logger } from '#platform/log/logger.ts'

/** A listener that cannot be opened; the message says what the operator can do. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}

/** Where a listener ended up. */
export interface ListeningAddress {
  /** IP address, or the path of a unix socket. */
  readonly host: string
  /** TCP port; 0 for unix sockets. */
  readonly port: number
}

/**
 * Listens on each address, with a server of its own for each.
 *
 * IPv6 addresses are skipped with a warning on machines without IPv6, as long as another address works. With port 0
 * all addresses share the port that the first one got. Throws `ListenError`.
 */
export async function listenOnPort(
  { port, addresses, makeServer, logger }: { port: number, addresses: readonly string[], makeServer: () => Server, logger: Logger },
): Promise<{ servers: Server[], addresses: ListeningAddress[] }> {
  const servers: Server[] = []
  const bound: ListeningAddress[] = []
  let shared = port
  let skipped: unknown
  for (const host of addresses) {
    const server = makeServer()
    try {
      await listen(server, { host, port: shared, ipv6Only: host === '::' && addresses.includes('0.0.0.0') })
    } catch (error) {
      if (addresses.length === 1 || !host.includes(':') || !isWithoutIpv6(error)) {
        await Promise.all(servers.map(closeNow))
        throw new ListenError(`Cannot listen on ${host} port ${shared}: ${reasonOf(error)}`, { cause: error })
      }
      skipped = error
      logger.warn(`Not listening on ${host} port ${shared}: this machine has no such IPv6 address.`)
      continue
    }
    servers.push(server)
    const address = server.address()
    if (typeof address === 'object' && address !== null) {
      shared = address.port
      bound.push({ host, port: shared })
    }
  }
  if (servers.length === 0) throw new ListenError(`Cannot listen on port ${port}: no address of bind_addresses works.`, { cause: skipped })
  return { servers, addresses: bound }
}

/**
 * Listens on a unix socket. A socket file that a dead process left is replaced; a living one is not.
 *
 * @param mode file mode of the socket, such as 0o666
 */
export async function listenOnSocket(server: Server, path: string, mode: number): Promise<ListeningAddress> {
  try {
    await removeStale(path)
    await listen(server, { path })
    await chmod(path, mode)
  } catch (error) {
    throw new ListenError(`Cannot listen on the unix socket ${path}: ${reasonOf(error)}`, { cause: error })
  }
  return { host: path, port: 0 }
}

async function removeStale(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats?.isSocket() === true && !(await answers(path))) await unlink(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

function closeNow(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

function isWithoutIpv6(error: unknown): boolean {
  return ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'].includes(codeOf(error))
}

function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case 'EADDRINUSE': return 'another process already listens there. Stop it, or choose another port in `listeners`.'
    case 'EACCES': return 'the server has no permission. Ports below 1024 need a privilege: choose a higher one, or mend the permissions.'
    case 'EADDRNOTAVAIL': return 'this machine has no such address. Correct `bind_addresses` of the listener.'
    case 'ENOTFOUND': return 'the address does not resolve. Correct `bind_addresses` of the listener.'
    default: return error instanceof Error ? error.message : String(error)
  }
}
