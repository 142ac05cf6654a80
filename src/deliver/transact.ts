/**
 * From a plan to an attempt, over a connection that is there: freeze the transaction, or take up the one that is unanswered,
 * and send it.
 *
 * Always: id and exact bytes are stored before the first byte goes out, and an unanswered transaction goes
 * again as it is until it is answered or one of the three reasons of contract 5.2 ends it.
 */
import type { Batcher } from '../batcher.ts'
import type { Clock } from '../clock.ts'
import { makeTxnId } from '../matrix/ids.ts'
import { assembleTransaction } from '../matrix/transaction.ts'
import type { CountedAttempt } from '../observe/count-attempt.ts'
import type { Log } from '../observe/log.ts'
import { pooledRandom } from '../pooled-random.ts'
import {
  readOpenTexts,
  type DestinationState,
  type OpenTransaction,
  type StoredAcknowledges,
} from '../store/destination-state.ts'
import { dropTransaction, repeatTransaction, type Frozen } from '../store/open-transactions.ts'
import {
  attempt,
  begin,
  countedOf,
  QUICK_MS,
  unknownPdu,
  type Attempt,
  type Attempted,
  type RecordNeeds,
} from './attempt.ts'
import type { Plan } from './plan.ts'
import type { Connected, Holding } from './reach.ts'
import type { Ready } from '../wire/send-result.ts'

export interface TransactNeeds extends RecordNeeds {
  clock: Clock
  /** Our server name, `origin` of transactions. */
  origin: string
  /** Shares commits between destinations. */
  freeze: Batcher<Frozen, number | null>
  onAttempt: (attempt: CountedAttempt) => void
  log: Log
}

/** Receivers forget transaction ids after this (contract 5.2), ms. */
const FORGOTTEN_MS = 86_400_000

/** Whether an unanswered transaction ends unanswered: a text of it was taken away, or receivers have forgotten its id. */
export const hasEnded = ({ void: isVoid, createdAt }: OpenTransaction, now: number): boolean =>
  isVoid || now - createdAt >= FORGOTTEN_MS

/** Sends the unanswered transaction again; false: look again. */
export async function repeatOpen(
  needs: TransactNeeds,
  holding: Connected,
  open: OpenTransaction,
  ready: Ready,
): Promise<boolean> {
  const { txnId, worker } = open
  const { held, state } = holding
  holding.bytes.keep(open.bytes)
  const texts = await readOpenTexts(needs.pool, held.destination, open)
  const body = texts === null ? null : bytesOf(needs, open, texts, state.name)
  const acknowledges = { ...open.acknowledges, eventIds: (texts ?? []).map(({ eventId }) => eventId) }
  if (body === null || hasEnded(open, state.now)) {
    await dropTransaction(needs.pool, held, txnId)
    return false
  }
  const begun = await begin(needs, () => repeatTransaction(needs.pool, held, txnId))
  if (begun === null) return false
  const afterTakeover = worker !== held.worker
  const again = { txnId, acknowledges, ...begun, afterTakeover, firstAttempt: false, anySticky: true }
  const attempted = await deliver(needs, holding, again, { ready, body })
  count(needs, attempted, begun.startedAt, Array.from(acknowledges.lanes, unknownPdu))
  return true
}

/** Its exact bytes; null where they are not what they were. */
function bytesOf(
  { origin, log }: TransactNeeds,
  { txnId, originServerTs, bytes }: OpenTransaction,
  texts: readonly { pdu: string }[],
  destination: string,
): Buffer | null {
  const pduTexts = texts.map(({ pdu }) => pdu)
  const body = Buffer.from(assembleTransaction({ origin, originServerTs, pduTexts }))
  if (body.length === bytes) return body
  log.error({ destination, txnId }, 'an unanswered transaction is not what it was: made anew')
  return null
}

/** What an ordinary answer leaves: a destination that is owed nothing up to `position`. */
export interface Settled {
  position: number
  /** It has listed a PDU in an answer. */
  lists: boolean
}

/** Freezes and sends what was planned; null: what it was planned from is so no more, look again. */
export async function sendNew(
  needs: TransactNeeds,
  holding: Connected,
  { pdus, soonestLapse, acknowledges: moves }: Extract<Plan, { do: 'send' }>,
  ready: Ready,
): Promise<{ settled: Settled | null } | null> {
  const { held, state } = holding
  const txnId = makeTxnId(pooledRandom)
  const pduTexts = pdus.map(({ pdu }) => pdu)
  const body = Buffer.from(assembleTransaction({ origin: needs.origin, originServerTs: state.now, pduTexts }))
  holding.bytes.keep(body.length)
  const acknowledges: StoredAcknowledges = {
    positions: pdus.map(({ pos }) => pos),
    lanes: pdus.map(({ lane }) => lane).join(''),
    eventIds: pdus.map(({ eventId }) => eventId),
    fromPos: state.position,
    toPos: moves.position,
    gap: state.gap?.id ?? null,
    gapCursor: moves.gapCursor,
    closesGap: moves.closesGap,
    sticky: moves.sticky,
  }
  const { now: originServerTs, head: readAt, narrowedSeq } = state
  const frozen: Frozen = {
    held,
    txnId,
    bytes: body.length,
    originServerTs,
    acknowledges,
    readAt,
    narrowedSeq,
    soonestLapse,
  }
  const begun = await begin(needs, () => needs.freeze.add(frozen))
  if (begun === null) return null
  const anySticky = pdus.some(({ sticky }) => sticky) || state.owed.length > 0
  const first = { txnId, acknowledges, ...begun, afterTakeover: false, firstAttempt: true, anySticky }
  const attempted = await deliver(needs, holding, first, { ready, body })
  count(needs, attempted, begun.startedAt, pdus)
  const isSlow = ready.connectMs >= QUICK_MS
  const settled =
    anySticky || isSlow || state.gap !== null ? null : settledBy(attempted, state, moves.position)
  return { settled }
}

function settledBy(attempted: Attempted, state: DestinationState, position: number): Settled | null {
  if (attempted.kind !== 'written' || attempted.judged.kind !== 'answered') return null
  if (attempted.result.durationMs >= QUICK_MS) return null
  return { position, lists: state.lists || attempted.judged.listsAny }
}

type Prepared = Omit<Attempt, 'held' | 'state' | 'connectMs' | 'txnId'> & { txnId: string }

async function deliver(
  needs: TransactNeeds,
  { held, state }: Holding,
  prepared: Prepared,
  over: { ready: Ready; body: Buffer },
): Promise<Attempted> {
  const attempted = await attempt(needs, { ...prepared, held, state, connectMs: over.ready.connectMs }, over)
  // Cut off before anything left: the next look puts it together anew.
  if (attempted.kind === 'aborted' && attempted.neverLeft && prepared.firstAttempt) {
    await dropTransaction(needs.pool, held, prepared.txnId)
  }
  return attempted
}

function count(
  needs: TransactNeeds,
  attempted: Attempted,
  startedAt: number,
  pdus: CountedAttempt['pdus'],
): void {
  if (attempted.kind !== 'written') {
    needs.onAttempt({ pdus, outcome: attempted.kind, answered: false, durationMs: 0, finishedAt: startedAt })
    return
  }
  needs.onAttempt(countedOf(attempted, startedAt, pdus))
}
