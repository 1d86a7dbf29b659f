/** Options of federation. */
import { boolean, choice, duration, integer, list, string } from '#platform/config/kind.ts'
import { option, options, section } from '#platform/config/option.ts'

export const federationOptions = options({
  federation: section({
    client_timeout: option(duration, { default: '60s', doc: 'Request timeout.' }),
    max_short_retry_delay: option(duration, { default: '2s', doc: 'Cap, short algorithm.' }),
    max_long_retry_delay: option(duration, { default: '60s', doc: 'Cap, long algorithm.' }),
    max_short_retries: option(integer, { default: 3, doc: 'Retries, short.' }),
    max_long_retries: option(integer, { default: 10, doc: 'Retries, long.' }),
    destination_min_retry_interval: option(duration, { default: '10m', doc: 'First back-off.' }),
    destination_retry_multiplier: option(integer, { default: 2, doc: 'Back-off factor.' }),
    destination_max_retry_interval: option(duration, { default: '1w', doc: 'Back-off cap.' }),
  }, { doc: 'Federation client tuning.', effective: true }),
  federation_verify_certificates: option(boolean, { default: true, doc: 'Check remote TLS certificates.', effective: true }),
  federation_client_minimum_tls_version: option(choice('1', '1.1', '1.2', '1.3'), {
    default: '1',
    doc: 'Lowest TLS version for requests to other servers.',
    effective: true,
  }),
  federation_certificate_verification_whitelist: option(list(string), { default: [], doc: 'Domain globs not verified.', effective: true }),
  federation_custom_ca_list: option(list(string), { default: [], doc: 'CA files replacing system store.', effective: true }),
  federation_domain_whitelist: option(list(string), {
    doc: 'The only servers to federate with; all where it is not set.',
    effective: true,
  }),
  federation_whitelist_endpoint_enabled: option(boolean, { default: false, doc: 'Serve whitelist endpoint.', effective: true }),
  federation_metrics_domains: option(list(string), { default: [], doc: 'Domains with age/last metrics.', effective: false }),
  allow_profile_lookup_over_federation: option(boolean, { default: true, doc: 'Answer profile queries.', effective: true }),
  allow_device_name_lookup_over_federation: option(boolean, { default: false, doc: 'Expose device names.', effective: true }),
  rc_federation: section({
    window_size: option(integer, { default: 1000, doc: 'Window ms.' }),
    sleep_limit: option(integer, { default: 10, doc: 'Requests before delaying.' }),
    sleep_delay: option(integer, { default: 500, doc: 'Delay ms.' }),
    reject_limit: option(integer, { default: 50, doc: 'Queued before 429.' }),
    concurrent: option(integer, { default: 3, doc: 'Parallel per host.' }),
  }, { doc: 'Inbound federation per host.', effective: true }),
  federation_rr_transactions_per_room_per_second: option(integer, {
    default: 50,
    doc: 'Outgoing read-receipt transactions per room.',
    effective: false,
  }),
  use_insecure_ssl_client_just_for_testing_do_not_use: option(boolean, {
    default: false,
    doc: 'No certificate checks anywhere (tests).',
    effective: true,
  }),
})
