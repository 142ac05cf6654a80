/** What is each kind of answer worth: how long does it count, and may other processes have it? */
import { FIRST_ERROR_MS, HOUR_MS, LONGEST_ERROR_MS } from './lifetime.ts'
import type { Rating } from './kept.ts'
import type { AddressRecord, LookedUp, ServiceRecord } from './lookups.ts'
import type { WellKnown } from './read-well-known.ts'

/** A record with a TTL of 0 would be asked for at every connection. */
const SHORTEST_SRV_MS = 30_000
/** Shorter: addresses may be those of a file of this machine, which somebody has just changed. */
const SHORTEST_ADDRESS_MS = 5_000
const LONGEST_TTL_MS = 24 * HOUR_MS

/** The DNS is asked again sooner than a web server: it is needed, and the trouble may be our own resolver's. */
const DNS_ERRORS = { firstErrorMs: 5_000, longestErrorMs: 300_000 } as const
/** What this process could not ask says nothing of the name. */
const OUR_ERRORS = { firstErrorMs: 1_000, longestErrorMs: 1_000 } as const

export function rateWellKnown(answer: WellKnown): Rating {
  if (answer.kind === 'failed') {
    const waits = { firstErrorMs: FIRST_ERROR_MS, longestErrorMs: LONGEST_ERROR_MS }
    return { rank: 'failed', ...waits, shareable: answer.arrived }
  }
  const rank = answer.kind === 'delegated' ? 'good' : 'absent'
  return { rank, lifeMs: answer.lifeMs, shareable: true }
}

export function rateServices(answer: LookedUp<ServiceRecord>): Rating {
  return rateLookup(answer, SHORTEST_SRV_MS, true)
}

/** Addresses stay in the process: its resolver may see others than those of the next machine. */
export function rateAddresses(answer: LookedUp<AddressRecord>): Rating {
  return rateLookup(answer, SHORTEST_ADDRESS_MS, false)
}

function rateLookup(answer: LookedUp<unknown>, shortestMs: number, shareable: boolean): Rating {
  if (answer.kind === 'failed') {
    return { rank: 'failed', ...(answer.code === 'OURS' ? OUR_ERRORS : DNS_ERRORS), shareable: false }
  }
  const rank = answer.kind === 'found' ? 'good' : 'absent'
  const longest = answer.kind === 'found' ? LONGEST_TTL_MS : LONGEST_ERROR_MS
  return { rank, lifeMs: Math.min(Math.max(answer.ttlMs, shortestMs), longest), shareable }
}
