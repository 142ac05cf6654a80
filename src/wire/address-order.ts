/**
 * In which order are the addresses of a name tried?
 *
 * RFC 8305, 4: families alternate, so that one whose network is broken takes no more than every other attempt. The first
 * address given decides which family begins; each family keeps its own order. What worked last time goes first.
 */
import { isIPv6 } from 'node:net'

export function inDialOrder(addresses: readonly string[], worked: string | null): readonly string[] {
  const unique = [...new Set(addresses)]
  const first = worked !== null && unique.includes(worked) ? worked : unique[0]
  if (first === undefined) return []
  const rest = unique.filter((address) => address !== first)
  const isFirstFamily = (address: string) => isIPv6(address) === isIPv6(first)
  const own = [first, ...rest.filter(isFirstFamily)]
  const other = rest.filter((address) => !isFirstFamily(address))
  return Array.from({ length: Math.max(own.length, other.length) }, (_, i) => [own[i], other[i]])
    .flat()
    .filter((address) => address !== undefined)
}
