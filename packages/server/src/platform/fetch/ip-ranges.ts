/** Sets of IP address ranges, and which addresses the server may connect to. */
import { BlockList, isIP } from 'node:net'
import { ipv6Groups } from '#platform/limits/address-key.ts'

/** A set of ranges in CIDR notation; a single address is a range of one. */
export class IpRanges {
  readonly #ranges = new BlockList()

  /** Throws a `TypeError` that names the entry which is no range. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) this.#add(range.trim())
  }

  /** Whether some range contains the address; in IPv6 spellings of IPv4 addresses the IPv4 ranges count too. */
  has(address: string): boolean {
    if (isIP(address) === 4) return this.#ranges.check(address, 'ipv4')
    return this.#ranges.check(address, 'ipv6') || embeddedIpv4(address).some((each) => this.#ranges.check(each, 'ipv4'))
  }

  #add(range: string): void {
    const [address = '', prefix, ...rest] = range.split('/')
    const version = isIP(address)
    const longest = version === 4 ? 32 : 128
    const bits = prefix === undefined ? longest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
    if (version === 0 || rest.length > 0 || !(bits >= 0 && bits <= longest)) {
      throw new TypeError(`'${range}' is not an IP address range. Write it like 10.0.0.0/8 or fe80::/10.`)
    }
    this.#ranges.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6')
  }
}

/** IPv4 addresses that an IPv6 address reaches: mapped, compatible, NAT64, 6to4, Teredo. */
function embeddedIpv4(address: string): string[] {
  const groups = ipv6Groups(address)
  const [first = 0, second = 0] = groups
  const zeros = (count: number): boolean => groups.slice(0, count).every((group) => group === 0)
  const at = (index: number, mask = 0): string => {
    const high = (groups[index] ?? 0) ^ mask
    const low = (groups[index + 1] ?? 0) ^ mask
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
  }
  const found: string[] = []
  if (zeros(5) && (groups[5] === 0xffff || groups[5] === 0)) found.push(at(6))
  if (zeros(4) && groups[4] === 0xffff && groups[5] === 0) found.push(at(6))
  if (first === 0x64 && second === 0xff9b) found.push(at(6))
  if (first === 0x2002) found.push(at(1))
  if (first === 0x2001 && second === 0) found.push(at(2), at(6, 0xffff))
  return found
}

/** Never a destination, unless it is allowed expressly: they reach the machine itself. */
const unspecified = new IpRanges(['0.0.0.0/8', '::/128'])

/** Which addresses requests may reach: not those in `deny`, except those in `allow`. */
export class AddressPolicy {
  readonly #deny: IpRanges
  readonly #allow: IpRanges

  /**
   * @param deny ranges such as those of `ip_range_blacklist`
   * @param allow exceptions, such as those of `ip_range_whitelist`
   */
  constructor({ deny, allow = [] }: { deny: readonly string[], allow?: readonly string[] }) {
    this.#deny = new IpRanges(deny)
    this.#allow = new IpRanges(allow)
  }

  /** Whether the server may connect to this address. */
  permits(address: string): boolean {
    if (isIP(address) === 0) return false
    return this.#allow.has(address) || !(this.#deny.has(address) || unspecified.has(address))
  }
}
