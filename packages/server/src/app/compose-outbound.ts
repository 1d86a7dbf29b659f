/** Builds the clients of all requests to other servers. */
import { GuardedClient } from '#platform/fetch/guarded-client.ts'
import type { TlsSettings } from '#platform/fetch/guarded-lookup.ts'
import { AddressPolicy } from '#platform/fetch/ip-ranges.ts'
import { proxySettingsOf } from '#platform/fetch/proxies.ts'
import type { RequestMetrics } from '#platform/fetch/request-metrics.ts'
import type { Config } from './config.ts'
import { serverVersion } from './version.ts'

interface OutboundInputs {
  readonly config: Config
  readonly stack: AsyncDisposableStack
}

interface OutboundFor {
  readonly metrics: RequestMetrics
  /** Address ranges that are not reached; `ip_range_blacklist` by default. */
  readonly denied?: readonly string[]
  readonly tls?: TlsSettings
}

/** A client with the configured address ranges and proxies; options count before the environment. */
export function composeOutbound({ config, stack }: OutboundInputs, { metrics, denied = config.ip_range_blacklist, tls = {} }: OutboundFor): GuardedClient {
  const fromEnvironment = proxySettingsOf(process.env)
  const client = new GuardedClient({
    policy: new AddressPolicy({ deny: denied, allow: config.ip_range_whitelist }),
    proxies: {
      httpProxy: config.http_proxy ?? fromEnvironment.httpProxy, httpsProxy: config.https_proxy ?? fromEnvironment.httpsProxy,
      noProxy: config.no_proxy_hosts ?? fromEnvironment.noProxy,
    },
    userAgent: `Myelin/${serverVersion}`,
    tls: config.use_insecure_ssl_client_just_for_testing_do_not_use ? { ...tls, rejectUnauthorized: false } : tls,
    metrics,
  })
  stack.defer(() => client.close())
  return client
}
