/**
 * One attempt and what it came to: send the frozen bytes, judge the answer, write it down.
 *
 * Promise: when this resolves 'written', PostgreSQL says what happened. In every other case the open
 * transaction stands as it was frozen, and the same bytes go out again. Nothing that an answer holds, and no defect of
 * ours in what is made of it, ends without backoff: what can't be written down is written down as a failure (`internal`).
 */
import type { Clock, Random } from '../clock.ts'
import type { Batcher } from '../batcher.ts'
import type { CountedAttempt } from '../observe/count-attempt.ts'
import { writeAttemptResults, type AttemptResult } from '../store/attempt-results.ts'
import type { Log } from '../observe/log.ts'
import { inTransaction, isRefusedForGood, type Pool } from '../store/db.ts'
import type { DestinationState, StoredAcknowledges } from '../store/destination-state.ts'
import { moveGap } from '../store/gaps.ts'
import type { Held } from '../store/leases.ts'
import { moveStickyCursors, noteListing } from '../store/replays.ts'
import type { Ready, SendFailed, SendRequest, SendResult } from '../wire/send-result.ts'
import { afterFailure, afterSuccess, type BackoffSettings } from './backoff.ts'
import { nextBatch } from './catch-up.ts'
import { judge, nextTimeout, type Judged } from './outcome.ts'

export interface RecordNeeds {
  pool: Pool
  random: Random
  backoff: BackoffSettings
  requestTimeoutMs: number
  /** Shares commits between destinations. */
  results: Batcher<AttemptResult, boolean>
  log: Pick<Log, 'error'>
}

/** When an attempt began, the connection being there. */
export interface Begun {
  /** By the database's clock, when it wrote that the attempt begins. */
  startedAt: number
  /** What that write took at most, ms: the request goes out so long after `startedAt`. */
  writtenMs: number
}

export interface Attempt extends Begun {
  held: Held
  state: DestinationState
  /** Null: there was none yet when it turned out that the destination can't be reached. */
  txnId: string | null
  acknowledges: StoredAcknowledges
  firstAttempt: boolean
  /** The attempt before it was another worker's. */
  afterTakeover: boolean
  /** Whether any of its PDUs is sticky; true where that is not known. */
  anySticky: boolean
  /** What it took to have a connection, ms: a server that lets us wait for one is slow. */
  connectMs: number
}

export type Attempted =
  | { kind: 'written'; result: SendResult; judged: Judged }
  /** Cut off by ourselves (lease lost, daemon stops): says nothing about the destination. */
  | { kind: 'aborted'; neverLeft: boolean }
  /** The lease was over before it could be written down: somebody else serves the destination now. */
  | { kind: 'lost' }

/** An answer under 5 s puts a destination into the `delivery` lane. */
export const QUICK_MS = 5_000
/** Repeats to a destination that has never listed a PDU (contract 5.5). */
const REPEATS_TO_THE_SILENT = 5

/** Has the beginning of an attempt written, which gives the time, or null where it was forbidden. */
export async function begin(
  { clock }: { clock: Clock },
  write: () => Promise<number | null>,
): Promise<Begun | null> {
  const asked = clock.monotonic()
  const startedAt = await write()
  return startedAt === null ? null : { startedAt, writtenMs: clock.monotonic() - asked }
}

/** Sends it over a connection that is there, and writes down what it came to. */
export async function attempt(
  needs: RecordNeeds,
  at: Attempt & { txnId: string },
  { ready, body }: { ready: Ready; body: Buffer },
): Promise<Attempted> {
  const { state, acknowledges, txnId } = at
  const timeoutMs = state.timeoutMs ?? needs.requestTimeoutMs
  const request = { txnId, body, eventIds: acknowledges.eventIds, timeoutMs }
  const result = await sendOrFail(needs, ready, state.name, request)
  if (result.kind === 'failed' && result.stage === 'aborted')
    return { kind: 'aborted', neverLeft: !result.handed }
  const judged = judge(result, { ...acknowledges, firstAttempt: at.firstAttempt })
  return record(needs, at, result, judged)
}

/** `send` never throws; if it does, that is a failure too. */
export async function sendOrFail(
  { log }: Pick<RecordNeeds, 'log'>,
  ready: Ready,
  destination: string,
  request: SendRequest,
): Promise<SendResult> {
  try {
    return await ready.send(request)
  } catch (error) {
    log.error({ err: error, destination, txnId: request.txnId }, 'sending threw')
    return internal('sending it broke off, the log says more', 0)
  }
}

const internal = (message: string, durationMs: number): SendFailed => ({
  ...{ kind: 'failed', stage: 'internal', status: null, errcode: null, retryAfterMs: null },
  ...{ message, durationMs, handed: true },
})

/** Writes down what it came to; where that can't be written, that it can't. */
export async function record(
  needs: RecordNeeds,
  at: Attempt,
  result: SendResult,
  judged: Judged,
): Promise<Attempted> {
  try {
    return await write(needs, at, result, judged)
  } catch (error) {
    if (!isRefusedForGood(error)) throw error
    const { state, txnId, acknowledges, firstAttempt } = at
    needs.log.error({ err: error, destination: state.name, txnId }, 'what an attempt came to was refused')
    const failed = internal('what it came to could not be written down, the log says more', result.durationMs)
    return write(needs, at, failed, judge(failed, { ...acknowledges, firstAttempt }))
  }
}

async function write(
  needs: RecordNeeds,
  at: Attempt,
  result: SendResult,
  judged: Judged,
): Promise<Attempted> {
  const { acknowledges } = at
  const row = toRow(needs, at, result, judged)
  const written = isPlain(at, judged)
    ? await needs.results.add(row)
    : await inTransaction(needs.pool, async (db) => {
        const [ok] = await writeAttemptResults(db, [row])
        if (ok !== true) return false
        const destination = at.held.destination
        if (acknowledges.gap !== null) {
          await moveGap(db, destination, { id: acknowledges.gap, ...gapMove(at, result, judged) })
        }
        if (judged.kind !== 'answered') return true
        await moveStickyCursors(db, destination, acknowledges.sticky)
        const maxTries = row.lists ? Infinity : REPEATS_TO_THE_SILENT
        const ahead = acknowledges.positions.filter((_, index) => acknowledges.lanes[index] === 's')
        const { listed, unlisted } = judged
        await noteListing(db, { destination, listed, ahead, unlisted, maxTries })
        return true
      })
  return written ? { kind: 'written', result, judged } : { kind: 'lost' }
}

/** As operators see it, in the list of transactions and in metrics. */
const outcomeOf = (judged: Judged): AttemptResult['outcome'] =>
  judged.kind === 'failed' && judged.discard ? 'never_left' : judged.kind

/** What is counted of a PDU that was sent before: no more than its lane is known. */
export const unknownPdu = (lane: string) => ({ lane, receivedTs: null, sticky: false })

/** What is counted of an attempt that was written down. */
export const countedOf = (
  { result, judged }: Pick<Extract<Attempted, { kind: 'written' }>, 'result' | 'judged'>,
  startedAt: number,
  pdus: CountedAttempt['pdus'],
): CountedAttempt => ({
  pdus,
  outcome: outcomeOf(judged),
  answered: judged.kind === 'answered',
  durationMs: result.durationMs,
  finishedAt: startedAt + result.durationMs,
})

/** Nothing but the destination's row changes, so the commit can be shared. */
function isPlain({ acknowledges, anySticky }: Attempt, judged: Judged): boolean {
  if (acknowledges.gap !== null) return false
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

function toRow(needs: RecordNeeds, at: Attempt, result: SendResult, judged: Judged): AttemptResult {
  const { held, state, txnId, startedAt, acknowledges } = at
  const { durationMs } = result
  const answered = judged.kind === 'answered'
  // Times in the database are whole milliseconds.
  const finishedAt = startedAt + Math.round(at.writtenMs + durationMs)
  const waiting = answered
    ? afterSuccess(state.waiting, startedAt)
    : afterFailure(
        state.waiting,
        { kind: judged.kind, retryAfterMs: judged.retryAfterMs, afterTakeover: at.afterTakeover, startedAt },
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
    discard: !answered && judged.discard,
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
