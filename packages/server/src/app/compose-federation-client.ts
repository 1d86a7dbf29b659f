/** Builds what finds other homeservers and sends requests to them. */
import { compileGlob } from '@myelin/protocol/acl/glob.ts'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { Federation, type AskedServers } from '#features/federation/federation.ts'
import { ServerDiscovery } from '#features/federation/server-discovery.ts'
import { ServerPolicy } from '#features/federation/server-policy.ts'
import type { Clock } from '#platform/clock.ts'
import type { GuardedClient } from '#platform/fetch/guarded-client.ts'
import type { TlsSettings } from '#platform/fetch/guarded-lookup.ts'
import { RequestMetrics } from '#platform/fetch/request-metrics.ts'
import { systemResolveService } from '#platform/fetch/service-records.ts'
import type { Metrics } from '#platform/metrics/metrics.ts'
import { composeOutbound } from './compose-outbound.ts'
import type { Config, LoadedConfig } from './config.ts'

interface ClientInputs {
  readonly loaded: Pick<LoadedConfig, 'federationAuthorities'>
  readonly config: Config
  readonly clock: Clock
  readonly signer: EventSigner
  readonly metrics: Metrics
  readonly stack: AsyncDisposableStack
}

/** The client of federation and its parts. @param destinations which servers are asked, and who is told that they answer */
export function composeFederationClient(inputs: ClientInputs, destinations: AskedServers) {
  const { config, clock, signer } = inputs
  const tuning = config.federation
  const policy = new ServerPolicy(config.federation_domain_whitelist)
  const discovery = new ServerDiscovery({ clock, resolveService: systemResolveService })
  const clientFor = clientsOf(inputs)
  const federation = new Federation({
    signer, clock, policy, discovery, destinations, clientFor,
    rules: { timeoutMs: tuning.client_timeout, retries: tuning.max_short_retries, longestRetryDelayMs: tuning.max_short_retry_delay },
  })
  return { policy, discovery, clientFor, federation }
}

/** The client for each server: without a check of certificates for those that the operator trusts. */
function clientsOf(inputs: ClientInputs): (serverName: ServerName) => GuardedClient {
  const { config, loaded } = inputs
  const minVersion = config.federation_client_minimum_tls_version === '1' ? 'TLSv1' : (`TLSv${config.federation_client_minimum_tls_version}` as const)
  const authorities = loaded.federationAuthorities
  const tls: TlsSettings = { minVersion, ...(authorities.length > 0 ? { ca: authorities } : {}) }
  const metrics = new RequestMetrics(inputs.metrics, 'synapse_http_matrixfederationclient')
  const common = { metrics, denied: config.federation_ip_range_blacklist ?? config.ip_range_blacklist }
  const unchecked = composeOutbound(inputs, { ...common, tls: { ...tls, rejectUnauthorized: false } })
  const checked = config.federation_verify_certificates ? composeOutbound(inputs, { ...common, tls }) : unchecked
  const trusted = config.federation_certificate_verification_whitelist.map(compileGlob)
  return (serverName) => (trusted.some((glob) => glob.matches(serverName)) ? unchecked : checked)
}
