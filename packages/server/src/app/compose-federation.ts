/** Builds what talks to other homeservers: discovery, the signing client, their keys and ours. */
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { ServerKey } from '@myelin/protocol/federation/server-keys.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { KeyRing } from '#engine/key-ring.ts'
import { Destinations } from '#features/federation/destinations.ts'
import { InboundPace, type PaceRules } from '#features/federation/inbound-pace.ts'
import { Reconnecting } from '#features/federation/reconnecting.ts'
import { RequestSignatures } from '#features/federation/signatures.ts'
import { directSource, notarySource, type Notary } from '#features/server-keys/key-sources.ts'
import { ServerKeys } from '#features/server-keys/server-keys.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { ServerAuthenticator, ServerPace } from '#platform/http/requester.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Metrics } from '#platform/metrics/metrics.ts'
import { composeFederationClient } from './compose-federation-client.ts'
import type { Config, LoadedConfig } from './config.ts'
import { usableKeys } from './signer.ts'
import { serverVersion } from './version.ts'

interface Inputs {
  readonly loaded: Pick<LoadedConfig, 'signingKeys' | 'notaryKeys' | 'federationAuthorities'>
  readonly config: Config
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly signer: EventSigner
  readonly logger: (name: string) => Logger
  readonly metrics: Metrics
  readonly stack: AsyncDisposableStack
}

/** A key of this server is as good as the server itself. */
const neverExpires = Number.MAX_SAFE_INTEGER

/** Services of federation. */
export async function composeFederation(inputs: Inputs) {
  const { loaded, config, database, caches, clock } = inputs
  const serverName = config.server_name
  const tuning = config.federation
  const destinations = await Destinations.open({
    database, clock, random: Math.random,
    rules: { minIntervalMs: tuning.destination_min_retry_interval, multiplier: tuning.destination_retry_multiplier, maxIntervalMs: tuning.destination_max_retry_interval },
  })
  const { policy, federation } = composeFederationClient(inputs, destinations)

  const keys = usableKeys(loaded.signingKeys)
  const keyRing = new KeyRing({
    database, caches, clock, serverName, logger: inputs.logger('synapse.crypto.keyring'),
    ownKeys: [...keys.map(({ keyId, publicKey }) => ({ keyId, publicKey, validUntilTs: neverExpires })), ...oldKeysOf(config)],
  })
  const notaries = notariesOf(config).filter((notary) => notary.serverName !== serverName && policy.allows(notary.serverName))
  keyRing.use([directSource(federation), ...notaries.map((notary) => notarySource(federation, keyRing, clock, notary))])
  const notaryKeys = loaded.notaryKeys.length > 0 ? usableKeys(loaded.notaryKeys) : keys
  const serverKeys = new ServerKeys({ serverName, clock, keys, oldKeys: oldKeysOf(config), refreshIntervalMs: config.key_refresh_interval, notaryKeys, keyRing })

  const signatures = new RequestSignatures({ serverName, keyRing, clock, policy, destinations })
  const authenticateServer: ServerAuthenticator = (request) => signatures.originOf(request)
  const reconnecting = new Reconnecting({ federation, logger: inputs.logger('synapse.federation.federation_client') })
  inputs.stack.defer(() => reconnecting.settled())
  const pace = new InboundPace({ clock, rules: paceRulesOf(config), metrics: inputs.metrics })
  const paceServer: ServerPace = (origin, signal) => pace.enter(origin, signal)
  return {
    federation, destinations, reconnecting, keyRing, serverKeys, authenticateServer, paceServer,
    shownWhitelist: config.federation_whitelist_endpoint_enabled ? policy : undefined,
    implementation: { name: 'Myelin', version: serverVersion },
  }
}

function paceRulesOf({ rc_federation: rules }: Config): PaceRules {
  return {
    windowMs: rules.window_size, sleepLimit: rules.sleep_limit, sleepDelayMs: rules.sleep_delay, rejectLimit: rules.reject_limit, concurrent: rules.concurrent,
  }
}

function oldKeysOf(config: Config): ServerKey[] {
  return [...config.old_signing_keys].flatMap(([keyId, { key, expired_ts: validUntilTs }]) =>
    key === null || validUntilTs === null ? [] : [{ keyId, publicKey: key, validUntilTs }])
}

function notariesOf(config: Config): Notary[] {
  return config.trusted_key_servers.flatMap(({ server_name: name, verify_keys: verifyKeys, accept_keys_insecurely: isBelievedUnsigned }) =>
    isServerName(name) ? [{ serverName: name, verifyKeys, isBelievedUnsigned }] : [])
}
