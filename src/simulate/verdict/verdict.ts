/**
 * What should each server have, what does it have, and did anything happen that must never happen?
 *
 * Every event that a server is owed has exactly one end: received, skipped by a catch-up that was allowed, lapsed,
 * pending (its server stayed dead), or missing. The verdict knows the story and what the servers recorded, and nothing
 * of limpet's own records. It holds the promises of contract 5 against them.
 */
import { lists } from '../story/record.ts'
import type { Heard, HeardTransaction, Told } from '../story/record.ts'
import { checkAllowed } from './allowed.ts'
import { followBacklog, isLive } from './backlog.ts'
import type { CatchUpRule } from './backlog.ts'
import { makeClaims, owedByJoin } from './claims.ts'
import type { Claims } from './claims.ts'
import { checkOrder, checkQuietJoin } from './order.ts'

export interface Rules extends CatchUpRule {
  /** When the story ended, ms since the epoch. */
  readonly endedAt: number
  /** Servers that were dead from beginning to end: what they are owed stays owed. */
  readonly dead: ReadonlySet<string>
  /** Joins at which nothing else waited. */
  readonly quietJoins: readonly { readonly server: string; readonly room: string }[]
}

export interface ServerVerdict {
  readonly server: string
  readonly dead: boolean
  readonly owed: number
  readonly received: number
  /** Left out by a catch-up, as it may. */
  readonly skipped: number
  /** Sticky no more when its turn came, and so not replayed. */
  readonly lapsed: readonly string[]
  /** Still owed to a dead server. */
  readonly pending: number
  readonly missing: readonly string[]
  readonly notEntitled: readonly string[]
  /** Events that came as sticky replays: after a join, after a gap, or because no answer listed them. */
  readonly replayed: number
  /** Those of them that came because the server was behind. */
  readonly caughtUp: number
  /** Those of these that may have come as ordinary traffic: what the server saw does not tell. */
  readonly doubtful: number
  readonly transactions: number
  /** Transactions that were sent more than once, the same bytes under the same id. */
  readonly repeated: number
  /** PDUs of each transaction of its quiet join. */
  readonly joinSizes: readonly number[]
  /** What a correct sender never does, in words. */
  readonly faults: readonly string[]
}

export interface Verdict {
  readonly good: boolean
  readonly servers: readonly ServerVerdict[]
  readonly totals: Readonly<
    Record<
      | 'owed'
      | 'received'
      | 'skipped'
      | 'lapsed'
      | 'pending'
      | 'missing'
      | 'notEntitled'
      | 'replayed'
      | 'doubtful'
      | 'transactions'
      | 'repeated'
      | 'faults',
      number
    >
  >
}

export function judgeRun(told: Iterable<Told>, heard: readonly Heard[], rules: Rules): Verdict {
  const claims = makeClaims(told)
  const servers = heard.map((one) => judgeServer(claims, one, rules))
  const sum = (of: (one: ServerVerdict) => number) => servers.reduce((total, one) => total + of(one), 0)
  const totals = {
    owed: sum(({ owed }) => owed),
    received: sum(({ received }) => received),
    skipped: sum(({ skipped }) => skipped),
    lapsed: sum(({ lapsed }) => lapsed.length),
    pending: sum(({ pending }) => pending),
    missing: sum(({ missing }) => missing.length),
    notEntitled: sum(({ notEntitled }) => notEntitled.length),
    replayed: sum(({ replayed }) => replayed),
    doubtful: sum(({ doubtful }) => doubtful),
    transactions: sum(({ transactions }) => transactions),
    repeated: sum(({ repeated }) => repeated),
    faults: sum(({ faults }) => faults.length),
  }
  const good = totals.missing === 0 && totals.notEntitled === 0 && totals.faults === 0
  return { good, servers, totals }
}

export function judgeServer(claims: Claims, heard: Heard, rules: Rules): ServerVerdict {
  const { serverName: server, transactions } = heard
  const dead = rules.dead.has(server)
  const own = claims.of(server)
  const stays = claims.staysOf(server)
  const allowed = checkAllowed({ claims, server }, transactions)
  const backlog = followBacklog({ claims: own, stays, transactions }, rules)
  const quiet = rules.quietJoins
    .filter((join) => join.server === server)
    .map(({ room }) => checkQuietJoin({ claims, server }, room, transactions))

  const arrived = arrivals(transactions)
  const ends = { received: 0, skipped: 0, pending: 0 }
  const lapsed: string[] = []
  const missing: string[] = []
  const replays = owedByJoin(claims, server, rules.endedAt)
  const entitled = new Set(own.map(({ event }) => event.eventId))
  const owed = [...own, ...replays.filter(({ event }) => !entitled.has(event.eventId))]
  for (const claim of owed) {
    const { eventId, stickyUntil } = claim.event
    // Of a sticky event it must say that it has it: servers drop what they don't know the room of.
    const wanted = isLive(claim, rules.endedAt, stays) || !entitled.has(eventId)
    const has =
      arrived.has(eventId) && (!wanted || heard.received.has(eventId) || listed(transactions, eventId))
    if (has) ends.received += 1
    else if (dead) ends.pending += 1
    else if (stickyUntil !== null && stickyUntil <= rules.endedAt && !arrived.has(eventId)) {
      const dropped = !entitled.has(eventId) || backlog.skippable.has(eventId)
      ;(dropped ? lapsed : missing).push(eventId)
    } else if (backlog.skippable.has(eventId)) ends.skipped += 1
    else missing.push(eventId)
  }
  const faults = [
    ...heard.violations,
    ...allowed.faults,
    ...backlog.faults,
    ...checkOrder({ claims, server }, transactions),
    ...quiet.flatMap((one) => one.faults),
    ...(heard.mostOpenAtOnce > 1 ? [`${heard.mostOpenAtOnce} requests were open at once`] : []),
    ...transactions
      .filter(({ answered }) => !answered && !dead)
      .map(({ txnId }) => `transaction ${txnId} was left unanswered`),
  ]
  return {
    server,
    dead,
    owed: owed.length,
    ...ends,
    lapsed,
    missing,
    notEntitled: [...allowed.notEntitled, ...(heard.edus?.notEntitled ?? [])],
    replayed: allowed.joinReplays.size + backlog.replayed.size + allowed.repeats,
    caughtUp: backlog.replayed.size,
    doubtful: backlog.doubtful.size,
    transactions: transactions.length,
    repeated: transactions.filter(({ requestsAt }) => requestsAt.length > 1).length,
    joinSizes: quiet.flatMap(({ sizes }) => sizes),
    faults,
  }
}

/** Ids of all events in transactions that were processed. */
function arrivals(transactions: readonly HeardTransaction[]): Set<string> {
  return new Set(transactions.flatMap(({ response, pduIds }) => (response === null ? [] : pduIds)))
}

function listed(transactions: readonly HeardTransaction[], eventId: string): boolean {
  return transactions.some((one) => one.pduIds.includes(eventId) && lists(one, eventId))
}
