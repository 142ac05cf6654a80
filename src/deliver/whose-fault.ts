/**
 * Asks whose fault it is that transactions are refused: sends an empty one, and concludes from the answer (contract 5.9).
 *
 * Always: an empty transaction is never kept, and has a new id each time. What its answer says is written in one commit with what is
 * concluded: the refused transaction ends and its PDUs are apart, or a half is sorted, or nothing is concluded. After a crash before that commit the
 * question is asked again.
 */
import type { Clock, Random } from '../pace/clock.ts'
import { makeTxnId } from '../matrix/ids.ts'
import { pooledRandom } from '../matrix/pooled-random.ts'
import { assembleTransaction } from '../matrix/transaction.ts'
import type { Log } from '../observe/log.ts'
import { isDurableEdu } from '../store/delivery/edus.ts'
import { countDoubtfulEdus, takeOutEdu } from '../store/delivery/edus-apart.ts'
import { addToCounter } from '../store/ingest/content.ts'
import { waitOfEdu } from './edus-apart.ts'
import { afterRefusedEdus } from './rules/edu-search.ts'
import { sortApart, takeApart } from '../store/delivery/take-apart.ts'
import { inTransaction, type Db, type Pool } from '../store/db.ts'
import type { OpenTransaction } from '../store/delivery/destination.ts'
import { dropTransaction, writeAttemptResults, type AttemptResult } from '../store/delivery/results.ts'
import { NOTHING_LEARNED, type Isolation } from '../store/isolation.ts'
import type { SendResult } from '../wire/send-result.ts'
import type { OwnTrouble } from './own-trouble.ts'
import { afterFailure, backsOff, waitOfHalf, type BackoffSettings } from './rules/backoff.ts'
import { afterRefusedHalf, afterRefusedWhole, type Sorted } from './rules/halves.ts'
import { isLock, isOfGateway, lockedInterval } from './rules/isolation.ts'
import { judge } from './rules/outcome.ts'
import type { ApartTransaction } from './rules/plan.ts'
import { takeOut } from './take-out.ts'
import { sendOrFail, type Via } from './transaction.ts'

export interface WhoseFaultNeeds {
  pool: Pool
  clock: Clock
  random: Random
  backoff: BackoffSettings
  requestTimeoutMs: number
  maxPdus: number
  origin: string
  log: Log
  /** Told of each failure: it may be our own fault. */
  ours?: Pick<OwnTrouble, 'failed'>
}

/** Asks about the unanswered transaction, which was refused. `apart`: what it is of what is apart; null: it is from the lanes. */
export async function askWhoseFault(
  needs: WhoseFaultNeeds,
  via: Via,
  open: OpenTransaction,
  apart: ApartTransaction | null,
): Promise<void> {
  const { state, bytes } = via
  const txnId = makeTxnId(pooledRandom)
  const originServerTs = needs.clock.now()
  const body = Buffer.from(assembleTransaction({ origin: needs.origin, originServerTs, pduTexts: [] }))
  bytes.keep(body.length)
  const result = await sendOrFail(needs, via, { txnId, body, eventIds: [] })
  if (result.kind === 'failed' && result.stage === 'aborted') return
  const now = state.now + Math.round(result.durationMs)
  if (result.kind === 'failed') {
    const row = theirs(needs, via, txnId, result, now)
    const [written] = await writeAttemptResults(needs.pool, [row])
    if (written === true) needs.ours?.failed(state, row)
    return
  }
  await inTransaction(needs.pool, (db) => conclude(needs, db, { via, open, apart, txnId, result, now }))
}

/** The attempt as a row: it moves nothing. */
function rowOf(
  { held, state }: Via,
  txnId: string,
  result: SendResult,
  is: Pick<AttemptResult, 'waiting' | 'isolation' | 'message' | 'outcome'>,
): AttemptResult {
  const { position, timeoutMs, quick, lists, now } = state
  const acknowledges = {
    ...{ positions: [], lanes: '', eventIds: [], fromPos: position, toPos: position },
    ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
  }
  return {
    ...{ held, txnId, startedAt: now, durationMs: Math.round(result.durationMs), acknowledges },
    status: result.kind === 'failed' ? result.status : 200,
    errorKind: result.kind === 'failed' ? result.stage : null,
    ...{ answered: false, discard: false, failuresBefore: state.waiting.failures },
    ...{ timeoutMs, quick, lists, pduErrors: null, unlisted: [], ...is },
  }
}

/** The empty one was not answered 200 either: the destination is in trouble, and nothing is concluded. */
function theirs(
  { backoff, random }: WhoseFaultNeeds,
  via: Via,
  txnId: string,
  result: Extract<SendResult, { kind: 'failed' }>,
  now: number,
): AttemptResult {
  const { state } = via
  const was = state.isolation ?? NOTHING_LEARNED
  const judged = judge(result, { positions: [], eventIds: [], firstAttempt: true })
  const kind = judged.kind === 'answered' ? 'failed' : judged.kind
  const isLocked = isLock(result.status) && isLock(was.last?.status ?? null)
  // Sticky events, `server_up` and operators bring attempts forward, many an hour: the wait grows with those of its own alone.
  const isEarly = was.asksEarly === true && backsOff(state.waiting, now)
  const locked = isLocked ? (isEarly ? was.locked : (was.locked ?? -1) + 1) : null
  const waiting = afterFailure(
    state.waiting,
    {
      ...{ kind, retryAfterMs: result.retryAfterMs, afterTakeover: false, startedAt: state.now },
      lockedMs: locked === null || isEarly ? null : lockedInterval(locked),
    },
    now,
    { settings: backoff, random },
  )
  // It was not brought forward: it belongs to the attempt before it.
  const { failures, deadlineTries } = state.waiting
  return rowOf(via, txnId, result, {
    waiting: { ...waiting, failures, deadlineTries },
    isolation: { ...was, asks: false, locked },
    message: result.message,
    outcome: kind,
  })
}

interface Asked {
  via: Via
  open: OpenTransaction
  apart: ApartTransaction | null
  txnId: string
  result: SendResult
  now: number
}

/** The empty one was answered 200: it is what the other held. */
async function conclude(needs: WhoseFaultNeeds, db: Db, it: Asked): Promise<void> {
  const { via, open, apart, txnId, result, now } = it
  const { held, state } = via
  if ((open.acknowledges.edus?.positions.length ?? 0) > 0) return concludeOfEdus(needs, db, it)
  const was = state.isolation ?? NOTHING_LEARNED
  const at = {
    now,
    maxPdus: needs.maxPdus,
    interval: (failures: number) => waitOfHalf(failures, needs.backoff),
  }
  const sorted =
    apart === null
      ? afterRefusedWhole(was, at)
      : afterRefusedHalf(apart.rows, open.acknowledges.positions, was, at)
  const isolation: Isolation = {
    ...{ ...was, asks: false, locked: null, apart: true, search: sorted.search },
    // Of the next that a gateway refuses too, only the third refusal counts.
    refusals: isOfGateway(was.last?.status ?? null) ? 0 : was.refusals,
  }
  const row = rowOf(via, txnId, result, {
    waiting: sorted.backsOff ? state.waiting : atOnce(state.waiting, sorted.search?.other === true),
    ...{ isolation, outcome: 'answered', message: wordsOf(sorted, open, apart) },
  })
  const [written] = await writeAttemptResults(db, [row])
  if (written !== true) return
  if (apart === null) await takeAllApart(db, via, open, now)
  else {
    await dropTransaction(db, held, open.txnId)
    const [pos, ...more] = open.acknowledges.positions
    const { last } = was
    const said = pos !== undefined && more.length === 0 && last !== null ? { pos, ...last } : null
    await sortApart(db, held.destination, sorted, said)
  }
  const { setAside, held: rooms } = sorted.found
  if (setAside.length === 0) return
  needs.log.warn(
    { destination: state.name, positions: setAside, rooms },
    'a PDU that is refused is set aside',
  )
}

/** The same, where it held EDUs. What it held else goes apart from them, and is searched where it is refused again. */
async function concludeOfEdus(
  { backoff, log }: WhoseFaultNeeds,
  db: Db,
  { via: { held, state, ...via }, open, txnId, result, now }: Asked,
): Promise<void> {
  const was = state.isolation ?? NOTHING_LEARNED
  const { positions, edus } = open.acknowledges
  const alone = edus?.positions.length === 1 && positions.length === 0 ? (edus.positions[0] ?? null) : null
  const durable = alone !== null && (await isDurableEdu(db, alone))
  const doubtful = await countDoubtfulEdus(db, state.id)
  const gateway = isOfGateway(was.last?.status ?? null)
  const { search, takesOut, backsOff } = afterRefusedEdus(
    was.edus,
    { pdus: positions.length, parts: edus?.positions.length ?? 0, gateway, pos: alone, durable, doubtful },
    { now, interval: (failures) => waitOfHalf(failures, backoff) },
  )
  const isolation: Isolation = {
    ...{ ...was, asks: false, locked: null, edus: search, refusals: gateway ? 0 : was.refusals },
    ...(takesOut !== null && durable && { edusApart: true }),
  }
  const row = rowOf({ held, state, ...via }, txnId, result, {
    waiting: backsOff ? state.waiting : atOnce(state.waiting, search.other),
    ...{
      isolation,
      outcome: 'answered',
      message: wordsOfEdus(positions.length, edus?.positions.length ?? 0, takesOut),
    },
  })
  const [written] = await writeAttemptResults(db, [row])
  if (written !== true) return
  if (takesOut === null) {
    await dropTransaction(db, held, open.txnId, { handed: false })
    return
  }
  const cursors = { durable: edus?.durableTo ?? 0, ephemeral: edus?.ephemeralTo ?? 0 }
  const { status, message } = was.last ?? { status: null, message: '' }
  const nextAt = now + waitOfEdu(0)
  const isOut = await takeOutEdu(db, held, {
    ...{ txnId: open.txnId, cursors, pos: durable ? alone : null, sure: takesOut === 'sure', now, nextAt },
    ...{ status, message },
  })
  // What a purge has taken meanwhile is not refused any more.
  if (!isOut) return
  if (!durable) await addToCounter(db, 'given_up:edu_refused', 1)
  if (takesOut === 'sure')
    log.warn(
      { destination: state.name, position: alone, durable },
      'an EDU that is refused is out of its lane',
    )
}

function wordsOfEdus(pdus: number, parts: number, takesOut: 'sure' | 'doubtful' | null): string {
  const asked = 'an empty transaction was answered 200'
  if (takesOut === 'sure')
    return `${asked}: the EDU that was refused is set aside, or dropped if it is not durable`
  if (takesOut === 'doubtful') return `${asked}, and nothing else: the EDU that was refused is out of the way`
  if (pdus > 0) return `${asked}: PDUs and EDUs that were refused together go apart from each other`
  if (parts > 1) return `${asked}: fewer of the EDUs that were refused go at once`
  return `${asked}, and nothing else: nothing is concluded of the EDU that was refused`
}

/** What the operator reads of it. */
function wordsOf(sorted: Sorted, { acknowledges }: OpenTransaction, apart: ApartTransaction | null): string {
  const count = acknowledges.positions.length
  const them = `${count} PDU${count === 1 ? '' : 's'} that ${count === 1 ? 'was' : 'were'} refused`
  if (sorted.found.setAside.length > 0)
    return `an empty transaction was answered 200: the PDU that was refused is set aside`
  if (apart !== null && count === 1 && sorted.search?.other === true)
    return `an empty transaction was answered 200, but a gateway may refuse anything: the PDU is tried alone again`
  if (apart !== null && count === 1)
    return `an empty transaction was answered 200, and nothing else: nothing is concluded`
  return `an empty transaction was answered 200: the ${them} ${count === 1 ? 'is' : 'are'} sent in halves`
}

async function takeAllApart(
  db: Db,
  via: Via,
  { acknowledges, txnId }: OpenTransaction,
  now: number,
): Promise<void> {
  const { positions, lanes, fromPos, toPos } = acknowledges
  await takeOut(db, via, acknowledges, (read) =>
    takeApart(db, via.held, { txnId, fromPos, toPos, positions, lanes, ...read }, now),
  )
}

/** It answers, so its refusal is not counted as a failure of its own, and nothing is waited for. `takes`: it takes other things, so it fails in no way. */
function atOnce(waiting: Via['state']['waiting'], takes: boolean): Via['state']['waiting'] {
  const { failures, failingSince } = waiting
  const left = failures > 1 ? failures - 1 : failures
  return {
    ...waiting,
    ...{ retryAt: null, retryInterval: null },
    ...(takes ? { failures: 0, failingSince: null } : { failures: left, failingSince }),
  }
}
