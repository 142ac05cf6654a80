/**
 * What does a refusal teach, and whose fault is it? (contract 5.9) Pure: what is known of a destination and what came of a request in, what
 * is known then out.
 *
 *     refused ──▶ refused ──▶ refused ──▶ an empty transaction ──▶ not answered 200: its own trouble, backoff
 *        (soon)      (soon)                       └──▶ answered 200: what was refused is searched (`halves.ts`)
 *
 * Always: being wrong costs a delay, never an event.
 */
import { eduSearchAfterAnswer } from './edu-search.ts'
import type { DestinationState } from '../../store/delivery/destination.ts'
import { NOTHING_LEARNED, type Isolation, type Learned, type Searching } from '../../store/isolation.ts'

/** How a transaction came to hold what it holds: from the lanes, a half of a search, what was set aside, or the EDUs that are searched. */
export type Kind = 'ordinary' | 'half' | 'aside' | 'edus'

/** What came of a request whose transaction was not empty. */
export type Came =
  | { answered: true }
  | {
      answered: false
      /** A whole HTTP answer that refuses it. */
      refused: boolean
      status: number | null
      message: string
      /** It took as long as a request may take at most. */
      atLongest: boolean
    }

export interface Taught {
  isolation: Isolation | null
  /** The transaction ends, and what it held is planned anew. */
  ends: boolean
  /** The next attempt is not after this, ms; null: the backoff says when. */
  soonMs: number | null
  /** The destination is not in trouble: its backoff stays as it is. */
  spares: boolean
}

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
/** Refusals before an empty transaction asks. */
const REFUSALS = 3
/** Time-outs before fewer PDUs go at once. */
const TIMEOUTS = 3
const STEPS_AN_HOUR = 20

export function taughtBy(
  known: Isolation | null,
  came: Came,
  sent: {
    kind: Kind
    areSuspects: boolean
    txnId: string | null
    pdus: number
    parts: number
    bytes: number
  },
  /** `early`: the attempt was brought forward, and the backoff goes on. */
  { now, firstMs, early }: { now: number; firstMs: number; early: boolean },
): Taught {
  const was = known ?? NOTHING_LEARNED
  const plain = { ends: false, soonMs: null, spares: false }
  if (came.answered) return { ...plain, isolation: keptOf(afterAnswer(was, sent)) }
  const items = sent.pdus + sent.parts
  if (came.status === 413 && items > 1) {
    // However small it was: one PDU goes under any limit, so this ends there.
    const bytes = { most: Math.floor(sent.bytes / 2), at: now }
    return { ...plain, isolation: { ...was, bytes }, ends: true, soonMs: firstMs }
  }
  if (came.atLongest) {
    const timeouts = was.timeouts + 1
    if (timeouts < TIMEOUTS || sent.pdus < 2) return { ...plain, isolation: { ...was, timeouts } }
    const pdus = { most: Math.floor(sent.pdus / 2), at: now }
    return { ...plain, isolation: { ...was, timeouts: 0, pdus }, ends: true }
  }
  // A question that could not be asked is asked at the next attempt, and belongs to that one then.
  if (!isRefusal(came, items))
    return { ...plain, isolation: keptOf(was.asks ? { ...was, asksEarly: true } : was) }
  if (sent.kind === 'aside') return { ...plain, isolation: keptOf(was), ends: true, spares: true }
  // Suspects have been refused before, with others: they are asked about at once, but not where a gateway refuses, maybe at random. What goes in the
  // same way as its room waited, or as it goes last, is one of them only after the three refusals that anything has.
  const isHalf = sent.kind === 'half' && was.search !== null
  const refusals = was.refusals + 1
  const last = { status: came.status, message: came.message }
  const isSuspect = (isHalf && sent.areSuspects) || sent.kind === 'edus'
  const asks = (isSuspect && !isOfGateway(came.status)) || refusals >= REFUSALS
  const turned = was.search && { ...was.search, turn: 'half' as const }
  const search = isHalf && asks ? stepped(was.search, now) : turned
  const asksOf = sent.txnId !== null && { asksOf: sent.txnId }
  const isolation = { ...was, refusals, last, asks, ...asksOf, asksEarly: asks && early, search }
  return { ...plain, isolation, soonMs: asks ? null : firstMs * 2 ** (refusals - 1) }
}

/** Whether an empty transaction has still to ask about this one: another one that was refused may have ended without an answer since. */
export const asksAbout = (isolation: Isolation | null, { txnId }: { txnId: string }): boolean =>
  isolation?.asks === true && (isolation.asksOf === undefined || isolation.asksOf === txnId)

/** A 410, a 429 and what says when to come again are not refusals of what was sent; nor is a 413, unless one item is too large. */
function isRefusal({ refused, status }: Extract<Came, { answered: false }>, items: number): boolean {
  return refused && status !== 410 && status !== 429 && (status !== 413 || items === 1)
}

/** Something arrived: whatever was concluded from refusals before is past, and a search goes on. */
function afterAnswer(
  { edus: wereSearched, ...was }: Isolation,
  { kind, parts }: { kind: Kind; parts: number },
): Isolation {
  const { search } = was
  const turn = kind === 'half' ? 'other' : 'half'
  const edus = eduSearchAfterAnswer(wereSearched, { parts, searched: kind === 'edus' })
  return {
    ...was,
    ...(edus !== undefined && { edus }),
    ...{ refusals: 0, last: null, asks: false, locked: null, timeouts: 0 },
    search:
      search === null
        ? null
        : { ...search, other: true, turn, unsure: 0, waitUntil: stillWaits(search, kind) },
  }
}

/** What a gateway refused alone waits for its next try, whatever else arrives meanwhile; what waited for anything to arrive does no longer. */
const stillWaits = ({ unsure, waitUntil }: Searching, arrived: Kind): number | null =>
  arrived === 'half' || unsure > 0 ? null : waitUntil

const stepped = (search: Searching | null, now: number): Searching | null =>
  search && { ...search, turn: 'other', steps: [...search.steps, now].slice(-STEPS_AN_HOUR) }

/** Somebody wants it to be tried now. */
export const isBrought = ({ waiting, now }: Pick<DestinationState, 'waiting' | 'now'>): boolean =>
  [waiting.askedAt, waiting.adviceAt].some((at) => at !== null && at <= now)

/** When the next half may be sent, ms since the epoch; null: at once. `brought`: somebody wants it to be tried now. */
export function halfAt(
  { search }: { search: Pick<Searching, 'steps' | 'waitUntil'> | null },
  now: number,
  brought: boolean,
): number | null {
  if (search === null) return null
  const eldest = search.steps.length < STEPS_AN_HOUR ? undefined : search.steps.at(-STEPS_AN_HOUR)
  // What lies ahead is from a clock that has been set back since.
  const full = eldest === undefined || eldest > now ? 0 : eldest + HOUR_MS
  const until = search.waitUntil ?? 0
  // A wait beyond the longest was written by a clock that was wrong.
  const waits = brought || until > now + DAY_MS ? 0 : until
  const at = Math.max(full, waits)
  return at > now ? at : null
}

/** What may go into one transaction, with what is learned of it. */
export function limitsFor(
  isolation: Isolation | null,
  now: number,
  { maxPdus, maxBodyBytes }: { maxPdus: number; maxBodyBytes: number },
): { maxPdus: number; maxBodyBytes: number } {
  if (isolation === null) return { maxPdus, maxBodyBytes }
  return {
    maxPdus: Math.min(maxPdus, mostOf(isolation.pdus, now)),
    maxBodyBytes: Math.min(maxBodyBytes, mostOf(isolation.bytes, now)),
  }
}

/** What a limit is by now: twice as much after each day. */
const mostOf = (learned: Learned | null, now: number): number =>
  learned === null ? Infinity : learned.most * 2 ** Math.max(0, Math.floor((now - learned.at) / DAY_MS))

/** Null where nothing of it would change what is sent. */
export function keptOf(isolation: Isolation): Isolation | null {
  const { refusals, asks, locked, timeouts, bytes, pdus, search, apart } = isolation
  const isNothing =
    refusals === 0 && !asks && locked === null && timeouts === 0 && bytes === null && pdus === null
  const isSearched = search !== null || isolation.edus !== undefined
  return isNothing && !isSearched && !apart && isolation.edusApart !== true ? null : isolation
}

/** Whether all that is known of it are limits: then it is served as any other. */
export const isPlain = (isolation: Isolation | null): boolean =>
  isolation === null ||
  (isolation.refusals === 0 &&
    isolation.locked === null &&
    isolation.search === null &&
    isolation.edus === undefined &&
    isolation.edusApart !== true &&
    !isolation.apart)

/** The waits before the next attempt to one that answers everything by 401 or 403, ms, without jitter. */
export const LOCKED_INTERVALS: readonly number[] = [...[1, 2, 4, 8, 16].map((n) => n * HOUR_MS), DAY_MS]

/** That of one that has answered so for so many times in a row before. */
export const lockedInterval = (locked: number): number => LOCKED_INTERVALS[locked] ?? DAY_MS

/** Whether an answer is that of a proxy or a CDN before the server: it is hardly ever about what was sent. */
export const isOfGateway = (status: number | null): boolean =>
  status !== null && ((status >= 502 && status <= 504) || (status >= 520 && status <= 530))

/** Whether an answer to something says that nobody is let in. */
export const isLock = (status: number | null): boolean => status === 401 || status === 403
