/**
 * Which IP addresses may be connected to?
 *
 * Those that are not on the deny list, or that are on the allow list. It is asked with the very text that is then
 * connected to, so whatever is not the ordinary spelling of an address is refused (`ip.ts`). An IPv6 address that leads
 * to an IPv4 address is allowed only where both are. There the allow list counts for the IPv6 address only with a range
 * that lies within its prefix: `::/0` allows IPv6, not the IPv4 addresses that can be written in it.
 */
import { embeddedIpv4 } from './embedded-ipv4.ts'
import { oneLine } from '../observe/one-line.ts'
import { parseIp } from './ip.ts'
import type { Ip } from './ip.ts'
import { parseIpRange } from './ip-range.ts'
import { RESERVED_RANGES } from './reserved-ranges.ts'

/** Why connecting to this IP address is not allowed, or null. */
export type VetAddress = (address: string) => string | null

export interface AddressLists {
  /** Addresses and ranges. Default: `reserved-ranges.ts`. */
  readonly denylist?: readonly string[] | undefined
  /** Addresses and ranges. Wins over the deny list. */
  readonly allowlist?: readonly string[] | undefined
}

/** Throws where an entry is not a range. */
export function makeVet({ denylist, allowlist = [] }: AddressLists): VetAddress {
  const denied =
    denylist === undefined
      ? RESERVED_RANGES.map(({ what, range, except = [] }) => ({
          range: parseIpRange(range),
          except: except.map(parseIpRange),
          why: `${what}, ${range}`,
        }))
      : denylist.map((text) => ({
          range: entryOf('ip_denylist', text),
          except: [],
          why: `${text} in federation.ip_denylist`,
        }))
  const allowed = allowlist.map((text) => entryOf('ip_allowlist', text))

  const isAllowed = (ip: Ip, leastLength: number) =>
    allowed.some((range) => range.length >= leastLength && range.has(ip))
  const whyDenied = (ip: Ip) =>
    denied.find(({ range, except }) => range.has(ip) && !except.some((one) => one.has(ip)))?.why ?? null

  return function vet(address) {
    const ip = parseIp(address)
    if (ip === null)
      return `${JSON.stringify(oneLine(address, 60))} is not an IP address in its ordinary form`
    const inside = embeddedIpv4(ip)
    if (isAllowed(ip, inside?.prefix.length ?? 0)) return null
    const why = isAllowed(ip, 0) ? null : whyDenied(ip)
    if (why !== null) return `${address} may not be connected to (${why})`
    for (const one of inside?.addresses ?? []) {
      const whyInside = isAllowed(one, 0) ? null : whyDenied(one)
      if (whyInside !== null)
        return `${address} may not be connected to: it leads to ${one.text} (${whyInside})`
    }
    return null
  }
}

function entryOf(setting: string, text: string): ReturnType<typeof parseIpRange> {
  try {
    return parseIpRange(text)
  } catch (error) {
    throw new TypeError(`federation.${setting}: ${error instanceof Error ? error.message : 'not a range'}`, {
      cause: error,
    })
  }
}
