/**
 * Server names: DNS names and IP literals, with or without a port.
 *
 * Spec: appendices, "Server Name".
 */
import type { ServerName } from './ids.ts'

/** The parts of a server name. */
export interface ServerNameParts {
  /** Without the brackets of an IPv6 literal. */
  readonly host: string
  readonly kind: 'dns' | 'ipv4' | 'ipv6'
  readonly port: number | undefined
}

const grammar = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z.-]{1,255}))(?::(\d{1,5}))?$/
const dottedQuad = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/

/** Whether a text is a server name by the grammar. */
export function isServerName(text: unknown): text is ServerName {
  return typeof text === 'string' && grammar.test(text)
}

/** The parts of a server name, or undefined where the text is none. */
export function parseServerName(text: string): ServerNameParts | undefined {
  const match = grammar.exec(text)
  if (match === null) return undefined
  const [, ipv6, name, port] = match
  const portNumber = port === undefined ? undefined : Number(port)
  if (portNumber !== undefined && portNumber > 65535) return undefined
  if (ipv6 !== undefined) return { host: ipv6, kind: 'ipv6', port: portNumber }
  if (name === undefined) return undefined
  return { host: name, kind: dottedQuad.test(name) ? 'ipv4' : 'dns', port: portNumber }
}

const hostAndPort = /^(\[[^\]]*\]|[^:]*):\d*$/

/** A server name without its port; an IPv6 literal keeps its brackets. */
export function withoutPort(serverName: string): string {
  return hostAndPort.exec(serverName)?.[1] ?? serverName
}

/** Whether the host of a server name is an IP address. */
export function isIpLiteral(serverName: string): boolean {
  return serverName.startsWith('[') || dottedQuad.test(withoutPort(serverName))
}
