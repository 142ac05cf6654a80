/** Which of the addresses that a lookup found may be connected to? At least one, or why there is none. */
import { oneLine } from '../observe/one-line.ts'
import type { VetAddress } from '../allow/vet.ts'
import type { AddressRecord, LookedUp } from './lookups.ts'

export type AllowedAddresses =
  | {
      readonly kind: 'allowed'
      readonly addresses: readonly string[]
      /** Why the others may not be, each with its address. */
      readonly refused: readonly string[]
    }
  | { readonly kind: 'failed'; readonly message: string; readonly refused: readonly string[] }

/** More addresses of one name and family are not tried: they are one operator's load balancers. */
const MOST_OF_A_FAMILY = 8
/** So many are named in a message. */
const MOST_NAMED = 3

/** What is remembered of a lookup: some addresses of each family, in their order. */
export function fewAddresses(answer: LookedUp<AddressRecord>): LookedUp<AddressRecord> {
  if (answer.kind !== 'found') return answer
  const left = { 4: MOST_OF_A_FAMILY, 6: MOST_OF_A_FAMILY }
  const records = answer.records.flatMap(({ address }) =>
    left[address.includes(':') ? 6 : 4]-- > 0 ? [{ address }] : [],
  )
  return { ...answer, records }
}

export function allowedOf(found: LookedUp<AddressRecord>, vet: VetAddress): AllowedAddresses {
  if (found.kind === 'none') return { kind: 'failed', message: 'the name has no address', refused: [] }
  if (found.kind === 'failed') {
    const why = oneLine(found.why, 150)
    return { kind: 'failed', message: `the name could not be looked up: ${why}`, refused: [] }
  }
  const addresses: string[] = []
  const refused: string[] = []
  for (const { address } of found.records) {
    const why = vet(address)
    if (why === null) addresses.push(address)
    else refused.push(why)
  }
  if (addresses.length > 0) return { kind: 'allowed', addresses, refused }
  const named = refused.slice(0, MOST_NAMED).join(', ')
  return { kind: 'failed', message: `no address may be connected to: ${named}`, refused }
}
