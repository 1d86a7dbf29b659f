/** Options of statistics. */
import { boolean, integer, list, map, string } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'

export const statisticsOptions = options({
  stats: section({
    enabled: option(boolean, { default: true, doc: 'Whether statistics of rooms and users are collected.' }),
  }, { doc: 'Room/user stats.', effective: false }),
  report_stats: option(boolean, { default: false, doc: 'Whether the server reports statistics of use.', effective: true }),
  report_stats_endpoint: option(string, { default: 'https://matrix.org/report-usage-stats/push', doc: 'Target URL.', effective: false }),
  server_context: option(string, { doc: 'Label sent in stats reports.', effective: false }),
  limit_usage_by_mau: option(boolean, { default: false, doc: 'Enforce monthly active user cap.', effective: false }),
  max_mau_value: option(integer, { default: 0, doc: 'The cap.', effective: false }),
  mau_trial_days: option(integer, { default: 0, doc: 'Days before a new user counts.', effective: false }),
  mau_appservice_trial_days: option(map(integer), { default: {}, doc: 'Trial days by application service.', effective: false }),
  mau_limit_alerting: option(boolean, { default: true, doc: 'Server notices on limit.', effective: false }),
  mau_stats_only: option(boolean, { default: false, doc: 'Count MAU without enforcing.', effective: false }),
  mau_limit_reserved_threepids: option(list(object({
    medium: option(string, { doc: 'Email/msisdn.' }),
    address: option(string, { doc: 'Address.' }),
  })), { default: [], doc: '3pids that never count out.', effective: false }),
})
