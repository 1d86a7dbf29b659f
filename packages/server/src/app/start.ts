/** Starts the server: database, schema, services, listeners, in this order; stops them in reverse. */
import { SystemClock } from '#platform/clock.ts'
import { assertSuitable } from '#platform/db/requirements.ts'
import { Listeners } from '#platform/http/listeners.ts'
import type { ListeningAddress } from '#platform/http/listening.ts'
import type { Logging } from '#platform/log/logging.ts'
import { Metrics } from '#platform/metrics/metrics.ts'
import { observeProcess } from '#platform/metrics/process-metrics.ts'
import { migrations } from '#schema/migrations.ts'
import { upgradeSchema } from '#schema/upgrade.ts'
import { compose } from './compose.ts'
import type { LoadedConfig } from './config.ts'
import { openDatabase } from './open-database.ts'
import { endpoints } from './routes.ts'
import { serverVersion } from './version.ts'

/** A server that answers requests. */
export interface RunningServer {
  readonly addresses: readonly ListeningAddress[]
  /** Reads the log configuration and certificates again, as on SIGHUP. */
  reload(): Promise<void>
  /** Finishes requests, wakes long polls and closes everything; within five seconds. */
  close(): Promise<void>
}

/** Requests that are running get this long to finish. */
const drainMs = 4000

/**
 * Starts a server; it answers when this resolves.
 * @throws SchemaError, UnsuitableDatabaseError, ListenError, StorageError with advice for the operator
 */
export async function startServer(loaded: LoadedConfig, logging: Logging): Promise<RunningServer> {
  const { config } = loaded
  const logger = logging.logger('synapse.app.homeserver')
  await using stack = new AsyncDisposableStack()
  const database = openDatabase(config)
  stack.defer(() => database.close())
  await assertSuitable(database, { allowUnsafeLocale: config.database.allow_unsafe_locale })
  await upgradeSchema(database, migrations, (step) => logger.info(`Upgrading the database to schema version ${step.version} (${step.name})`))
  const metrics = new Metrics(config.server_name)
  stack.use(observeProcess(metrics, serverVersion))
  const services = await compose({ loaded, database, clock: new SystemClock(), logger: (name) => logging.logger(name), metrics })
  stack.defer(() => services.dispose())
  const listeners = await Listeners.start({
    listeners: config.listeners,
    endpoints,
    needs: services,
    authenticate: services.authenticate,
    authenticateServer: services.authenticateServer,
    paceServer: services.paceServer,
    limits: services.limits,
    logger: (name) => logging.logger(name),
    metrics,
    exposeMetrics: config.enable_metrics,
    certificatePath: config.tls_certificate_path,
    privateKeyPath: config.tls_private_key_path,
  })
  stack.defer(() => listeners.close(drainMs))
  if (config.worker_app === null) services.backgroundUpdates.start()
  const running = stack.move()
  return {
    addresses: listeners.addresses,
    reload: async () => {
      logging.reload()
      await listeners.reload()
    },
    close: () => running.disposeAsync(),
  }
}
