/** Options of observability. */
import { boolean, list, mapping, path, string } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'

export const observabilityOptions = options({
  log_config: option(path, { doc: 'File that configures the log; read again on SIGHUP.', effective: true }),
  enable_metrics: option(boolean, { default: false, doc: 'Whether metrics are collected.', effective: true }),
  enable_legacy_metrics: option(boolean, {
    doc: 'Enable legacy metrics.',
    effective: true,
    removed: { since: '1.73', instead: 'Remove it', stops: false },
  }),
  metrics_flags: section({
    known_servers: option(boolean, { default: false, doc: 'Gauge of known servers.' }),
  }, { doc: 'Expensive metrics.', effective: false }),
  sentry: option(object({
    dsn: option(string, { doc: 'DSN.' }),
    environment: option(string, { doc: 'Environment tag.' }),
  }), { doc: 'Error reporting.', effective: false }),
  opentracing: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    homeserver_whitelist: option(list(string), { default: [], doc: 'Remote servers sharing traces (regex).' }),
    force_tracing_for_users: option(list(string), { default: [], doc: 'Always sampled users.' }),
    jaeger_config: option(mapping, { default: {}, doc: 'Jaeger client config.' }),
  }, { doc: 'Tracing.', effective: false }),
})
