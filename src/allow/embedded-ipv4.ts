/**
 * Which IPv4 addresses does an IPv6 address lead to?
 *
 * The system itself, a translator or a tunnel sends what goes to these addresses to the IPv4 address that is written in
 * them. Whoever may not connect to that one must not reach it this way.
 */
import { ipv4Of } from './ip.ts'
import type { Ip } from './ip.ts'
import { parseIpRange } from './ip-range.ts'
import type { IpRange } from './ip-range.ts'

export interface EmbeddedIpv4 {
  /** All the addresses with this meaning. */
  readonly prefix: IpRange
  /** At least one. More where the address alone does not say which one is meant. */
  readonly addresses: readonly Ip[]
}

interface Form {
  readonly prefix: IpRange
  readonly addressesIn: (bytes: readonly number[]) => readonly Ip[]
}

const last = (bytes: readonly number[]) => [ipv4Of(bytes.slice(12))]

/** RFC 4291, 2.5.5.2. */
const MAPPED = parseIpRange('::ffff:0:0/96')

const FORMS: readonly Form[] = [
  { prefix: MAPPED, addressesIn: last },
  // RFC 2765, 2.1: IPv4-translated.
  { prefix: parseIpRange('::ffff:0:0:0/96'), addressesIn: last },
  // RFC 6052, 2.1: NAT64's well-known prefix.
  { prefix: parseIpRange('64:ff9b::/96'), addressesIn: last },
  { prefix: parseIpRange('64:ff9b:1::/48'), addressesIn: ofLocalNat64 },
  // RFC 3056, 2: 6to4.
  { prefix: parseIpRange('2002::/16'), addressesIn: (bytes) => [ipv4Of(bytes.slice(2, 6))] },
  { prefix: parseIpRange('2001::/32'), addressesIn: ofTeredo },
  // RFC 4291, 2.5.5.1: IPv4-compatible.
  { prefix: parseIpRange('::/96'), addressesIn: last },
]

/** Null for all other addresses. `::` and `::1` are addresses of IPv6 (RFC 4291, 2.5.2 and 2.5.3). */
export function embeddedIpv4(ip: Ip): EmbeddedIpv4 | null {
  if (ip.family === 'ipv4' || ip.bytes.every((byte, i) => byte === 0 || (i === 15 && byte === 1))) return null
  const form = FORMS.find(({ prefix }) => prefix.has(ip))
  return form === undefined ? null : { prefix: form.prefix, addresses: form.addressesIn(ip.bytes) }
}

/** For an IPv4-mapped address the IPv4 address: the system connects to that one. */
export const unmapped = (ip: Ip): Ip => (MAPPED.has(ip) ? ipv4Of(ip.bytes.slice(12)) : ip)

/**
 * RFC 8215: of this /48 a network takes a prefix of 48, 56, 64 or 96 bits for its NAT64. The address does not say
 * which; RFC 6052, 2.2 says where the IPv4 address then stands (byte 8 is left out).
 */
function ofLocalNat64(bytes: readonly number[]): readonly Ip[] {
  const withoutEighth = [...bytes.slice(0, 8), ...bytes.slice(9)]
  const places = [6, 7, 8].map((from) => ipv4Of(withoutEighth.slice(from, from + 4)))
  return notEmpty([...places, ipv4Of(bytes.slice(12))])
}

/** RFC 4380, 4: the server that is asked first, and the client, whose bits are inverted. */
function ofTeredo(bytes: readonly number[]): readonly Ip[] {
  const client = ipv4Of(bytes.slice(12).map((byte) => byte ^ 255))
  return notEmpty([client, ipv4Of(bytes.slice(4, 8))])
}

/** 0.0.0.0/8 says nothing where another place says something: that one is empty, or begins with the zeros before another. */
function notEmpty(places: readonly Ip[]): readonly Ip[] {
  const filled = places.filter(({ bytes }) => bytes[0] !== 0)
  return filled.length > 0 ? filled : places
}
