/** Options of outbound. */
import { list, string } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

const privateRanges = [
  '127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '192.0.0.0/24', '169.254.0.0/16', '192.88.99.0/24',
  '198.18.0.0/15', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '::1/128', 'fe80::/10', 'fc00::/7', '2001:db8::/32',
  'ff00::/8', 'fec0::/10',
]

export const outboundOptions = options({
  ip_range_blacklist: option(list(string), {
    default: privateRanges,
    doc: 'Address ranges that outgoing requests must not reach.',
    effective: true,
  }),
  ip_range_whitelist: option(list(string), { default: [], doc: 'Exceptions to the blacklist.', effective: true }),
  federation_ip_range_blacklist: option(list(string), {
    doc: 'Address ranges that requests to other homeservers must not reach; takes the place of ip_range_blacklist for them.',
    effective: true,
    deprecated: { since: '1.25', instead: 'Use ip_range_blacklist' },
  }),
  http_proxy: option(string, { doc: 'Outbound proxy for http targets; overrides env.', effective: true }),
  https_proxy: option(string, { doc: 'Outbound proxy for https targets; overrides env.', effective: true }),
  no_proxy_hosts: option(list(string), { doc: 'Hosts/IPs/CIDRs reached directly.', effective: true }),
})
