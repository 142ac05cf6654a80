/**
 * Writes down what an attempt came to.
 *
 * Promise: when this resolves to a judgement, PostgreSQL says what happened. Otherwise the open transaction stands as it was frozen, and the
 * same bytes go out again. If a result can't be stored, a failure (`internal`) is stored instead, so that there is always a backoff. The
 * position moves in `store/delivery/results.ts`.
 */
import type { Random } from '../pace/clock.ts'
import type { CountedAttempt } from '../observe/count-attempt.ts'
import { writeAttemptResults, type AttemptResult } from '../store/delivery/results.ts'
import type { Log } from '../observe/log.ts'
import { inTransaction, isRefusedForGood, type Pool } from '../store/db.ts'
import { moveGap } from '../store/delivery/gaps.ts'
import { moveStickyCursors, noteListing } from '../store/delivery/replays.ts'
import type { SendFailed, SendResult } from '../wire/send-result.ts'
import { afterFailure, afterSuccess, backsOff, type BackoffSettings } from './rules/backoff.ts'
import { nextBatch } from './rules/catch-up.ts'
import { endWhatWasApart, noteRefusedAside } from './note-apart.ts'
import { isSuspect } from './rules/halves.ts'
import { endEdusThatCame, noteRefusedEdus } from './edus-apart.ts'
import { keptOf, taughtBy, type Kind, type Taught } from './rules/isolation.ts'
import { judge, LONGEST_TIMEOUT_MS, nextTimeout, type Judged } from './rules/outcome.ts'
import type { ApartTransaction } from './rules/plan.ts'
import type { Attempt } from './attempt.ts'
import { sayChange } from './say-change.ts'
import type { OwnTrouble } from './own-trouble.ts'
import type { Together } from './together.ts'

export interface RecordNeeds extends Pick<Together, 'results'> {
  pool: Pool
  random: Random
  backoff: BackoffSettings
  requestTimeoutMs: number
  log: Pick<Log, 'error' | 'info'>
  /** Told of each failure that is written down: it may be this process' own. */
  ours?: Pick<OwnTrouble, 'failed'>
}

/** What came of it, and what that means. */
export interface Judgement {
  result: SendResult
  judged: Judged
}

/** An answer under 5 s puts a destination into the `delivery` queue. */
export const QUICK_MS = 5_000
/** Repeats to a destination that has never listed a PDU (contract 5.5). */
const REPEATS_TO_THE_SILENT = 5

/** A failure of our own. */
export const internal = (message: string, durationMs: number): SendFailed => ({
  ...{ kind: 'failed', stage: 'internal', status: null, errcode: null, retryAfterMs: null },
  ...{ message, durationMs, handed: true },
})

/** The judgement as stored, or null: the lease had ended, and another process serves the destination now. */
export type Recorded = Judgement | null

/** Writes down what it came to; where that can't be written, that it can't. */
export async function record(
  needs: RecordNeeds,
  at: Attempt,
  { result, judged }: Judgement,
): Promise<Recorded> {
  try {
    return await writeAndSay(needs, at, { result, judged })
  } catch (error) {
    if (!isRefusedForGood(error)) throw error
    const { state, txnId, acknowledges, firstAttempt } = at
    needs.log.error(
      { err: error, destination: state.name, txnId },
      'the database refused the result of an attempt',
    )
    const failed = internal("internal error (see limpet's log)", result.durationMs)
    const judgedAnew = judge(failed, { ...acknowledges, firstAttempt })
    return writeAndSay(needs, at, { result: failed, judged: judgedAnew })
  }
}

async function writeAndSay(needs: RecordNeeds, at: Attempt, judgement: Judgement): Promise<Recorded> {
  const recorded = await write(needs, at, judgement)
  sayChange(needs.log, at, recorded)
  return recorded
}

async function write(needs: RecordNeeds, at: Attempt, judgement: Judgement): Promise<Recorded> {
  const { acknowledges } = at
  const { result, judged } = judgement
  const row = toRow(needs, at, judgement)
  const written = isPlain(at, judged)
    ? await needs.results.add(row)
    : await inTransaction(needs.pool, async (db) => {
        const [ok] = await writeAttemptResults(db, [row])
        if (ok !== true) return false
        const destination = at.held.destination
        if (acknowledges.gap !== null) {
          await moveGap(db, destination, { id: acknowledges.gap, ...gapMove(at, result, judged) })
        }
        if (judged.kind !== 'answered') {
          const said = { status: row.status, message: row.message ?? '' }
          if (row.spares) {
            await noteRefusedAside(db, at, said, finishedAtOf(at, result))
            await noteRefusedEdus(db, at, said, finishedAtOf(at, result))
          }
          return true
        }
        await endWhatWasApart(db, at, row.isolation)
        await endEdusThatCame(db, at)
        await moveStickyCursors(db, destination, acknowledges.sticky)
        const maxTries = row.lists ? Infinity : REPEATS_TO_THE_SILENT
        const ahead = acknowledges.positions.filter((_, index) => isAhead(acknowledges.lanes[index]))
        const { listed, unlisted } = judged
        await noteListing(db, { destination, listed, ahead, unlisted, maxTries })
        return true
      })
  if (written && judged.kind !== 'answered') needs.ours?.failed(at.state, row)
  return written ? judgement : null
}

/** As operators see it, in the list of transactions and in metrics. */
const outcomeOf = (judged: Judged): AttemptResult['outcome'] =>
  judged.kind === 'failed' && judged.discard ? 'never_left' : judged.kind

/** What is counted of a PDU that was sent before: no more than its lane is known. */
export const unknownPdu = (lane: string) => ({
  ...{ lane: lane.toLowerCase(), receivedTs: null, sticky: false },
})

/** What is counted of what a transaction holds. */
export type Counted = Pick<CountedAttempt, 'pdus' | 'eduTypes'>

/** What is counted of an attempt that was written down. */
export const countedOf = (
  { result, judged }: Judgement,
  startedAt: number,
  { pdus, eduTypes }: Counted,
): CountedAttempt => ({
  pdus,
  eduTypes,
  outcome: outcomeOf(judged),
  answered: judged.kind === 'answered',
  durationMs: result.durationMs,
  finishedAt: startedAt + result.durationMs,
  errors: judged.kind === 'answered' ? Object.values(judged.pduErrors ?? {}) : [],
})

/** Nothing but the destination's row changes, so the commit can be shared. */
function isPlain({ acknowledges, anySticky, apart, state }: Attempt, judged: Judged): boolean {
  if (acknowledges.gap !== null || apart !== null || acknowledges.edus?.durableTo === null) return false
  // What waits for a sign of life is due with it.
  const { isolation } = state
  if (judged.kind === 'answered' && (isolation?.apart === true || isolation?.edusApart === true)) return false
  if (judged.kind !== 'answered') return true
  return !anySticky && acknowledges.sticky.length === 0
}

function gapMove({ state, acknowledges }: Attempt, result: SendResult, judged: Judged) {
  const batch = nextBatch(state.gap?.batch ?? 1, {
    durationMs: result.durationMs,
    timedOut: judged.kind !== 'answered' && judged.timedOut,
  })
  // A failure other than a time-out says nothing about how much the destination can take.
  const told = judged.kind === 'answered' || judged.timedOut
  const answered = judged.kind === 'answered'
  return {
    cursor: answered ? acknowledges.gapCursor : null,
    batch: told ? batch : null,
    closes: answered && acknowledges.closesGap,
  }
}

function toRow(
  needs: RecordNeeds,
  at: Attempt,
  { result, judged }: Judgement,
): AttemptResult & Pick<Taught, 'spares'> {
  const { held, state, txnId, startedAt, acknowledges } = at
  const { durationMs } = result
  const answered = judged.kind === 'answered'
  const finishedAt = finishedAtOf(at, result)
  const taught = teach(needs, at, { result, judged })
  const waiting = answered
    ? afterSuccess(state.waiting, startedAt)
    : taught.spares
      ? state.waiting
      : afterFailure(
          state.waiting,
          {
            ...{ kind: judged.kind, retryAfterMs: judged.retryAfterMs, afterTakeover: at.afterTakeover },
            ...{ startedAt, soonMs: taught.soonMs },
          },
          finishedAt,
          { settings: needs.backoff, random: needs.random },
        )
  return {
    held,
    txnId,
    startedAt,
    durationMs: Math.round(durationMs),
    outcome: outcomeOf(judged),
    status: result.kind === 'failed' ? result.status : 200,
    message: result.kind === 'failed' ? result.message : null,
    errorKind: result.kind === 'failed' ? result.stage : null,
    acknowledges,
    answered,
    discard: !answered && (judged.discard || taught.ends),
    mayHaveArrived: !answered && taught.ends && judged.timedOut,
    isolation: taught.isolation,
    spares: taught.spares,
    waiting,
    failuresBefore: state.waiting.failures,
    timeoutMs: nextTimeout(state.timeoutMs, needs.requestTimeoutMs, {
      timedOut: !answered && judged.timedOut,
      answered,
      durationMs,
    }),
    quick: answered && at.connectMs + durationMs < QUICK_MS,
    lists: state.lists || (answered && judged.listsAny),
    pduErrors: answered ? judged.pduErrors : null,
    unlisted: answered ? judged.unlisted : [],
  }
}

/** Times in the database are whole milliseconds. */
const finishedAtOf = ({ startedAt, writtenMs }: Attempt, { durationMs }: SendResult): number =>
  startedAt + Math.round(writtenMs + durationMs)

/** A replay, or what is apart: no position says that it is sent. */
const isAhead = (letter: string | undefined): boolean => letter !== 't' && letter !== 'c'

function kindOf({ apart, acknowledges: { positions, edus }, state: { isolation } }: Attempt): Kind {
  if (apart !== null) return apart.kind
  if (edus?.durableTo === null) return 'aside'
  const isSearched = isolation?.edus !== undefined && positions.length === 0
  return isSearched && (edus?.positions.length ?? 0) > 0 ? 'edus' : 'ordinary'
}

/** What it teaches of the destination's refusals. */
function teach(needs: RecordNeeds, at: Attempt, { result, judged }: Judgement): Taught {
  const { state, acknowledges, apart, bytes } = at
  const pdus = acknowledges.positions.length
  const timeoutMs = state.timeoutMs ?? needs.requestTimeoutMs
  const now = finishedAtOf(at, result)
  const areSuspects =
    apart?.rows.every((row) => isSuspect(row) || !acknowledges.positions.includes(row.pos)) === true
  const came =
    judged.kind === 'answered'
      ? { answered: true as const }
      : {
          ...{ answered: false as const, refused: judged.refused, status: judged.status },
          message: result.kind === 'failed' ? result.message : '',
          atLongest: judged.timedOut && timeoutMs >= LONGEST_TIMEOUT_MS,
        }
  const taught = taughtBy(
    state.isolation,
    came,
    {
      kind: kindOf(at),
      areSuspects,
      txnId: at.txnId,
      pdus,
      parts: acknowledges.edus?.positions.length ?? 0,
      bytes,
    },
    { now, firstMs: needs.backoff.first_ms, early: backsOff(state.waiting, now) },
  )
  const isThrough = came.answered && apart !== null && !halvesRemain(apart, acknowledges.positions)
  if (!isThrough || taught.isolation === null) return taught
  return { ...taught, isolation: keptOf({ ...taught.isolation, search: null }) }
}

const halvesRemain = ({ rows }: ApartTransaction, done: readonly number[]): boolean =>
  rows.some(({ pos, grp }) => grp !== null && !done.includes(pos))
