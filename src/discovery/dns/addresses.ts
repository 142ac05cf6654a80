/**
 * The addresses of a name, of both families together, from two questions that are asked at once.
 *
 * One that fails does not spoil the other. One that is slow holds up the other for `lateMs` at most once that has addresses
 * (RFC 8305, 3); its answer comes into the cache all the same. That there are none is known only if both say so.
 */
import { deadline } from './deadline.ts'
import { dnsFailed } from './outcome.ts'
import type { DnsAddress, DnsFound, DnsOutcome } from './outcome.ts'

export interface BothFamilies {
  readonly v4: Promise<DnsOutcome<DnsAddress>>
  readonly v6: Promise<DnsOutcome<DnsAddress>>
}

export interface BothFamiliesNeeds {
  readonly lateMs: number
  /** How long addresses of one family alone may be kept if the other's answer failed or is late, ms. */
  readonly halfMs: number
}

type Half = DnsOutcome<DnsAddress> | null

export async function joinFamilies(
  { v4, v6 }: BothFamilies,
  { lateMs, halfMs }: BothFamiliesNeeds,
): Promise<DnsOutcome<DnsAddress>> {
  await Promise.race([found(v4), found(v6), Promise.all([v4, v6])])
  let forget = (): void => undefined
  const late = new Promise<null>((resolve) => (forget = deadline(lateMs, () => resolve(null))))
  const halves = await Promise.all([Promise.race([v6, late]), Promise.race([v4, late])])
  forget()
  return together(halves, halfMs)
}

/** Resolves once `half` has addresses, and never if it has none. */
function found(half: Promise<DnsOutcome<DnsAddress>>): Promise<true> {
  return new Promise((resolve, reject) => {
    half.then((outcome) => {
      if (outcome.kind === 'found') resolve(true)
    }, reject)
  })
}

function together([v6, v4]: readonly Half[], halfMs: number): DnsOutcome<DnsAddress> {
  const halves = [v6 ?? null, v4 ?? null]
  const having = halves.filter((half): half is DnsFound<DnsAddress> => half?.kind === 'found')
  const failed = halves.filter((half) => half?.kind === 'failed')
  const known = halves.filter((half) => half !== null && half.kind !== 'failed')
  const ttlMs = Math.min(...known.map((half) => half.ttlMs))
  const cname = known.find((half) => half.cname !== undefined)?.cname
  const about = cname === undefined ? {} : { cname }
  if (having.length > 0) {
    const records = having.flatMap((half) => half.records)
    return { kind: 'found', records, ttlMs: known.length < 2 ? Math.min(ttlMs, halfMs) : ttlMs, ...about }
  }
  const [failure] = failed
  if (failure !== undefined) return failure
  const none = known.find((half) => half.kind === 'none' && half.why === 'NODATA') ?? known[0]
  return none?.kind === 'none'
    ? { kind: 'none', why: none.why, ttlMs, ...about }
    : dnsFailed('OURS', 'no answer of either family')
}
