/**
 * When was a server behind, and what was a catch-up allowed to skip then? (contract 5.4)
 *
 * It follows one server's transactions and keeps track of what waits for it. The server is behind at a transaction if,
 * when that was put together, more than `thresholdPdus` of its events waited, the oldest for longer than `minAgeMs`.
 * Only then may an event be left out, and only if a newer one of its room, which waited as well, comes in its place.
 * An event that is addressed to the server alone, or that is still sticky, may never be left out.
 *
 * What limpet knows lags a little behind what happened. If that leaves a doubt whether a server was behind, limpet may
 * skip (`at`, when a request began), but is not blamed for not catching up (`takenAt`).
 */
import { putTogether } from '../story/record.ts'
import type { HeardTransaction } from '../story/record.ts'
import type { Claim, Stay } from './claims.ts'

export interface CatchUpRule {
  readonly thresholdPdus: number
  readonly minAgeMs: number
}

export interface Backlog {
  /** Ids of events that a catch-up may leave out. Some of them may have come all the same. */
  readonly skippable: ReadonlySet<string>
  /** Sticky events that came while the server was behind: as replays, as far as can be told from here. */
  readonly replayed: ReadonlySet<string>
  /**
   * Those of them that may have come as ordinary traffic: in stream order, with nothing left out before them. Whether
   * limpet found the server behind then, a few milliseconds decide that nobody saw from here.
   */
  readonly doubtful: ReadonlySet<string>
  readonly faults: readonly string[]
}

export interface BacklogFacts {
  readonly claims: readonly Claim[]
  readonly stays: readonly Stay[]
  readonly transactions: readonly HeardTransaction[]
}

interface WaitingClaim {
  readonly claim: Claim
  /** The transaction at which it waited first. */
  readonly seen: number
}

/** By id, in stream order. */
type Backlogged = Map<string, WaitingClaim>

export function followBacklog({ claims, stays, transactions }: BacklogFacts, rule: CatchUpRule): Backlog {
  const waiting: Backlogged = new Map()
  const arrived = new Set<string>()
  const skippable = new Set<string>()
  const replayed = new Set<string>()
  const doubtful = new Set<string>()
  const faults: string[] = []
  let next = 0
  let lastBehind = -1
  let lastCatchingUp = -1
  /** The transaction from which on it was surely behind, and the newest sticky replay since. */
  let spell: { began: number; newest: number } | null = null
  let onlySticky = false

  for (const [index, transaction] of transactions.entries()) {
    const put = putTogether(transaction)
    for (; next < claims.length; next++) {
      const claim = claims[next]
      if (claim === undefined || claim.event.at > put) break
      // The sticky lane is read last: it may hold what came after everything else was looked at.
      if (!arrived.has(claim.event.eventId)) waiting.set(claim.event.eventId, { claim, seen: index })
    }
    const all = [...waiting.values()]
    // Replays alone don't end it, however many they were.
    const goesOn = lastBehind === index - 1 && lastBehind >= 0 && onlySticky
    if (goesOn || isBehind(all, put, rule, ({ at }) => at)) lastBehind = index
    const known = all.filter(({ claim }) => claim.event.takenAt <= put && !skippable.has(claim.event.eventId))
    if (!isBehind(known, put, rule, ({ takenAt }) => takenAt)) spell = null
    else spell ??= { began: index, newest: 0 }

    const here = transaction.pduIds.flatMap((id) => waiting.get(id) ?? [])
    const live = ({ claim }: WaitingClaim) => isLive(claim, put, stays)
    // Only a catch-up leaves out what is older; what follows it of replays alone belongs to it.
    if (leavesOut(here, known) || (goesOn && lastCatchingUp === index - 1)) lastCatchingUp = index
    onlySticky = here.every(live)
    if (spell !== null) {
      const { began } = spell
      const carried = new Set(here)
      if (!onlySticky && known.some((one) => live(one) && !carried.has(one))) {
        faults.push(`transaction ${transaction.txnId} catches up although sticky events are still to come`)
      }
      for (const one of here) {
        const { n, event } = one.claim
        if (live(one)) {
          if (n < spell.newest) faults.push(`${event.eventId} was replayed out of stream order`)
          spell.newest = Math.max(spell.newest, n)
        } else if (event.stickyUntil !== null && overtaken(one, known, began)) {
          faults.push(`${event.eventId} was replayed after it had lapsed`)
        }
      }
    }
    if (transaction.response === null) continue
    for (const id of transaction.pduIds) arrived.add(id)
    for (const one of here) {
      waiting.delete(one.claim.event.eventId)
      if (lastBehind < one.seen) continue
      if (live(one)) {
        replayed.add(one.claim.event.eventId)
        if (lastCatchingUp !== index) doubtful.add(one.claim.event.eventId)
      }
      for (const older of olderOf(one, waiting)) {
        if (older.claim.alone || live(older)) continue
        skippable.add(older.claim.event.eventId)
        // A replay may be newer than the gap: then limpet holds on to the older ones, and so do we.
        if (!live(one)) waiting.delete(older.claim.event.eventId)
      }
    }
  }
  return { skippable, replayed, doubtful, faults }
}

/** Whether something that waits and is known to limpet is left out before the newest that is `carried`. */
function leavesOut(carried: readonly WaitingClaim[], known: readonly WaitingClaim[]): boolean {
  const newest = Math.max(0, ...carried.map(({ claim }) => claim.n))
  const here = new Set(carried)
  return known.some((one) => one.claim.n < newest && !here.has(one))
}

/** What waits of the same room and is older. */
function olderOf({ claim }: WaitingClaim, waiting: Backlogged): WaitingClaim[] {
  const { n, event } = claim
  return [...waiting.values()].filter((one) => one.claim.n < n && one.claim.event.room === event.room)
}

function isBehind(
  waiting: readonly WaitingClaim[],
  now: number,
  { thresholdPdus, minAgeMs }: CatchUpRule,
  since: (event: Claim['event']) => number,
): boolean {
  const oldest = waiting[0]
  return oldest !== undefined && waiting.length > thresholdPdus && now - since(oldest.claim.event) > minAgeMs
}

/** Whether it is sticky at this moment, and the server in its room: then it is owed whatever else is skipped. */
export function isLive({ n, event }: Claim, now: number, stays: readonly Stay[]): boolean {
  if (event.stickyUntil === null || event.stickyUntil <= now) return false
  return stays.some(
    ({ room, since, leftAt }) => room === event.room && since < n && (leftAt === null || leftAt > now),
  )
}

/** Whether a newer event of the same room waited as well when it was found that the server was behind. */
function overtaken({ claim }: WaitingClaim, known: readonly WaitingClaim[], began: number): boolean {
  return known.some(
    (other) => other.claim.event.room === claim.event.room && other.claim.n > claim.n && other.seen <= began,
  )
}
