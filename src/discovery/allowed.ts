/** Which of the addresses that a lookup found may be connected to? At least one, or why there is none. */
import type { VetAddress } from '../wire/target.ts'
import type { AddressRecord, LookedUp } from './lookups.ts'

export type AllowedAddresses =
  | {
      readonly kind: 'allowed'
      readonly addresses: readonly string[]
      /** The others, each with the reason. */
      readonly refused: readonly string[]
    }
  | { readonly kind: 'failed'; readonly message: string; readonly refused: readonly string[] }

/** More addresses of one name are not tried: they are one operator's load balancers. */
const MOST_OF_A_NAME = 16

export function allowedOf(found: LookedUp<AddressRecord>, vet: VetAddress): AllowedAddresses {
  if (found.kind === 'none') return { kind: 'failed', message: 'the name has no address', refused: [] }
  if (found.kind === 'failed') {
    return { kind: 'failed', message: `the name could not be looked up: ${found.why}`, refused: [] }
  }
  const addresses: string[] = []
  const refused: string[] = []
  for (const { address } of found.records.slice(0, MOST_OF_A_NAME)) {
    const why = vet(address)
    if (why === null) addresses.push(address)
    else refused.push(`${address}: ${why}`)
  }
  if (addresses.length > 0) return { kind: 'allowed', addresses, refused }
  return { kind: 'failed', message: `no address may be connected to: ${refused.join(', ')}`, refused }
}
