/**
 * Whether a strict remote got the EDUs that it is owed and no others, in all transactions that it ever processed.
 *
 * Durable ones: each under one transaction id, in the order of the stream, none left out. Of the others: of each key the newest, while its time is not
 * over; each under one id at most, from transaction to transaction in the order of the stream, and none put into one after its time.
 */
import { readEdu } from '../../src/simulate/fleet/edu-form.ts'
import { keyOfPart, nameOfPart, partsOf, type SeenEduPart } from '../../src/simulate/fleet/edu-parts.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import type { LoggedTransaction } from '../../src/simulate/fleet/transaction-log.ts'
import { newestByKey, type EduClaim, type EduClaims } from '../../src/simulate/verdict/edu-claims.ts'
import { collapsed } from '../../src/simulate/verdict/edus.ts'
import { OURS } from '../e2e/world.ts'

type EduRemote = Pick<FakeHomeserver, 'serverName' | 'transactions'>

interface Came {
  readonly kind: SeenEduPart['kind']
  readonly key: string
  readonly name: string
}

const DURABLE: readonly SeenEduPart['kind'][] = ['to-device', 'device list', 'signing keys']
const isDurable = ({ kind }: Pick<SeenEduPart, 'kind'>) => DURABLE.includes(kind)
const nameOf = ({ part }: EduClaim) => nameOfPart(part)

/** Read once: this is asked again and again. */
const known = new WeakMap<LoggedTransaction, readonly Came[]>()

/** In the order of its body. A transaction that was not processed yet has brought nothing: it comes again. */
function cameIn(transaction: LoggedTransaction): readonly Came[] {
  const { body, response, edus: count } = transaction
  if (body === null || response === null || count === 0) return []
  const before = known.get(transaction)
  if (before !== undefined) return before
  const { edus } = JSON.parse(body) as { edus: unknown[] }
  const came = edus
    .flatMap((edu) => partsOf(readEdu(edu, OURS)))
    .map((part): Came => ({ kind: part.kind, key: keyOfPart(part), name: nameOfPart(part) }))
  known.set(transaction, came)
  return came
}

/** `now`: ms since the epoch. */
export function stillMissingEdus(
  { serverName, transactions }: EduRemote,
  claims: EduClaims,
  now: number,
): string[] {
  const own = claims.of(serverName)
  const came = transactions.flatMap(cameIn)
  const names = new Set(came.map(({ name }) => name))
  const newest = new Map(came.map(({ key, name }) => [key, name]))
  const durable = own.filter(({ part }) => isDurable(part))
  const leftOut = collapsed(durable, (claim) => names.has(nameOf(claim)))
  const gone = durable.filter((claim) => !names.has(nameOf(claim)) && !leftOut.has(claim))
  // Of an unknown type the key is not known here.
  const keyed = own.filter(({ part }) => !isDurable(part) && part.kind !== 'other')
  const stale = [...newestByKey(keyed)].filter(
    ([key, claim]) => (claim.until ?? 0) > now && newest.get(key) !== nameOf(claim),
  )
  return [...gone, ...stale.map(([, claim]) => claim)].map(nameOf)
}

/** What is wrong, in words; more may still be under way. */
export function eduFaultsOf({ serverName, transactions }: EduRemote, claims: EduClaims): string[] {
  const own = claims.of(serverName)
  const durable = own.filter(({ part }) => isDurable(part))
  const others = own.filter(({ part }) => !isDurable(part))
  return [...durableFaults(durable, transactions), ...otherFaults(others, transactions)]
}

function durableFaults(own: readonly EduClaim[], transactions: readonly LoggedTransaction[]): string[] {
  const faults: string[] = []
  const names = new Set(own.map(nameOf))
  const broughtBy = new Map<string, string>()
  for (const transaction of transactions)
    for (const { name } of cameIn(transaction).filter(isDurable)) {
      const { txnId } = transaction
      const before = broughtBy.get(name)
      if (!names.has(name)) faults.push(`${name} was not meant for it, and came in transaction ${txnId}`)
      else if (before !== undefined) faults.push(`${name} came in transaction ${before} and in ${txnId}`)
      else broughtBy.set(name, txnId)
    }
  const leftOut = collapsed(own, (claim) => broughtBy.has(nameOf(claim)))
  const wanted = own.filter((claim) => !leftOut.has(claim)).map(nameOf)
  const got = [...broughtBy.keys()]
  const odd = got.findIndex((name, index) => name !== wanted[index])
  if (odd >= 0) faults.push(`out of order: ${got[odd]} came in the place of ${wanted[odd]}`)
  return faults
}

function otherFaults(own: readonly EduClaim[], transactions: readonly LoggedTransaction[]): string[] {
  const faults: string[] = []
  /** By name, as two may say the same: those that have not come, and may still. */
  const open = new Map<string, EduClaim[]>()
  for (const claim of own) open.set(nameOf(claim), [...(open.get(nameOf(claim)) ?? []), claim])
  /** Nothing comes any more of what was told before this. */
  let floor = 0
  for (const transaction of transactions) {
    const { txnId, originServerTs } = transaction
    let last = floor
    for (const { name } of cameIn(transaction).filter((came) => !isDurable(came))) {
      const all = open.get(name)
      const left = (all ?? []).filter(({ n }) => n >= floor)
      const [one] = left
      if (all === undefined) faults.push(`${name} was not meant for it, and came in transaction ${txnId}`)
      else if (one === undefined) faults.push(`${name} came once too often, or late, in transaction ${txnId}`)
      else if (left.every(({ until }) => (until ?? Infinity) <= (originServerTs ?? 0)))
        faults.push(`${name} was put into transaction ${txnId} after its time`)
      last = Math.max(last, one?.n ?? 0)
      open.set(name, left.slice(1))
    }
    floor = last
  }
  return faults
}
