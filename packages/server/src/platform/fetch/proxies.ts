/** Which forward proxy a request takes, by the configuration or the environment variables that all tools know. */
import { isIP } from 'node:net'
import { IpRanges } from './ip-ranges.ts'

/** Proxies by scheme of the target, and the hosts that are reached directly. */
export interface ProxySettings {
  /** For `http:` targets; `host:port` or a URL, with user and password if need be. */
  readonly httpProxy: string | undefined
  /** For `https:` targets, which go through it by CONNECT. */
  readonly httpsProxy: string | undefined
  /** Host names (with their subdomains), addresses, ranges in CIDR notation, or `*`. */
  readonly noProxy: readonly string[]
}

/** Reads `http_proxy`, `https_proxy` and `no_proxy`, in lower or upper case. */
export function proxySettingsOf(environment: Readonly<Record<string, string | undefined>>): ProxySettings {
  const read = (name: string): string | undefined => {
    const value = (environment[name] ?? environment[name.toUpperCase()])?.trim()
    return value === '' ? undefined : value
  }
  return {
    httpProxy: read('http_proxy'),
    httpsProxy: read('https_proxy'),
    noProxy: (read('no_proxy') ?? '').split(',').map((entry) => entry.trim()).filter((entry) => entry !== ''),
  }
}

/** Chooses the proxy for each target. */
export class Proxies {
  readonly #settings: ProxySettings
  readonly #direct: readonly ((host: string, port: string) => boolean)[]

  constructor(settings: ProxySettings) {
    this.#settings = settings
    this.#direct = settings.noProxy.map(directRule)
  }

  /** URL of the proxy for a target, or undefined to connect directly. */
  proxyFor(target: URL): string | undefined {
    const proxy = target.protocol === 'https:' ? this.#settings.httpsProxy : this.#settings.httpProxy
    if (proxy === undefined) return undefined
    const host = target.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
    const port = target.port === '' ? (target.protocol === 'https:' ? '443' : '80') : target.port
    if (this.#direct.some((matches) => matches(host, port))) return undefined
    return proxy.includes('://') ? proxy : `http://${proxy}`
  }
}

function directRule(entry: string): (host: string, port: string) => boolean {
  if (entry === '*') return () => true
  if (entry.includes('/') || isIP(entry) !== 0) {
    const ranges = new IpRanges([entry])
    return (host) => isIP(host) !== 0 && ranges.has(host)
  }
  const [name = '', ownPort] = entry.toLowerCase().replace(/^\*?\./, '').split(':')
  return (host, port) => (host === name || host.endsWith(`.${name}`)) && (ownPort === undefined || ownPort === port)
}
