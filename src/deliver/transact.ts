/**
 * From a plan to an attempt: freeze the transaction, or take up the one that is unanswered, and send it.
 *
 * Always: id and exact bytes are stored before the first byte goes out, and an unanswered transaction goes
 * again as it is until it is answered or one of the three reasons of contract 5.2 ends it.
 */
import { randomBytes } from 'node:crypto'
import type { Batcher } from '../batcher.ts'
import type { Gate } from '../gate.ts'
import { makeTxnId } from '../matrix/ids.ts'
import { assembleTransaction } from '../matrix/transaction.ts'
import type { CountedAttempt } from '../observe/count-attempt.ts'
import type { Log } from '../observe/log.ts'
import type { DestinationState, OpenTransaction, StoredAcknowledges } from '../store/destination-state.ts'
import type { Held } from '../store/leases.ts'
import { dropTransaction, repeatTransaction, type Frozen } from '../store/open-transactions.ts'
import { attempt, outcomeOf, QUICK_MS, type Attempt, type Attempted, type AttemptNeeds } from './attempt.ts'
import type { Lease } from './lease-keeper.ts'
import type { Plan } from './plan.ts'

export interface TransactNeeds extends AttemptNeeds {
  /** Our server name, `origin` of transactions. */
  origin: string
  /** Shares commits between destinations. */
  freeze: Batcher<Frozen, number | null>
  /** Requests in flight. A place is taken before a transaction is frozen: what waits for one may still change. */
  place: Gate
  onAttempt: (attempt: CountedAttempt) => void
  log: Log
}

/** A destination in the hands of this worker. */
export interface Holding {
  held: Held
  state: DestinationState
  lease: Lease
  /** Aborts when the lease is lost or the daemon can't wait any longer. */
  signal: AbortSignal
}

/** Receivers forget transaction ids after this (contract 5.2), ms. */
const FORGOTTEN_MS = 86_400_000

/** Sends the unanswered transaction again, or ends it; false: look again. */
export const repeatOpen: typeof repeat = (needs, ...given) =>
  needs.place.within(() => repeat(needs, ...given))

async function repeat(
  needs: TransactNeeds,
  holding: Holding,
  { txnId, made, createdAt, acknowledges, worker }: OpenTransaction,
): Promise<boolean> {
  const { held, state } = holding
  const body = made === null ? null : assembleTransaction({ origin: needs.origin, ...made })
  if (made !== null && body !== null && Buffer.byteLength(body) !== made.bytes) {
    needs.log.error(
      { destination: state.name, txnId },
      'an unanswered transaction is not what it was: made anew',
    )
  }
  if (body === null || Buffer.byteLength(body) !== made?.bytes || state.now - createdAt >= FORGOTTEN_MS) {
    await dropTransaction(needs.pool, held, txnId)
    return false
  }
  const startedAt = await repeatTransaction(needs.pool, held, txnId)
  if (startedAt === null) return false
  const afterTakeover = worker !== held.worker
  const again = { txnId, body, acknowledges, startedAt, afterTakeover, firstAttempt: false, anySticky: true }
  const attempted = await deliver(needs, holding, again)
  count(needs, attempted, startedAt, Array.from(acknowledges.lanes, unknownPdu))
  return true
}

const unknownPdu = (lane: string) => ({ lane, receivedTs: null, sticky: false })

/** What an ordinary answer leaves: a destination that is owed nothing up to `position`. */
export interface Settled {
  position: number
  /** It has listed a PDU in an answer. */
  lists: boolean
}

/** Freezes and sends what was planned; null: it was forbidden at the last moment, look again. */
export const sendNew: typeof freezeAndSend = (needs, ...given) =>
  needs.place.within(() => freezeAndSend(needs, ...given))

async function freezeAndSend(
  needs: TransactNeeds,
  holding: Holding,
  { pdus, soonestLapse, acknowledges: moves }: Extract<Plan, { do: 'send' }>,
): Promise<{ settled: Settled | null } | null> {
  const { held, state } = holding
  const txnId = makeTxnId(randomBytes)
  const pduTexts = pdus.map(({ pdu }) => pdu)
  const body = assembleTransaction({ origin: needs.origin, originServerTs: state.now, pduTexts })
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
  const originServerTs = state.now
  const frozen: Frozen = { held, txnId, body, originServerTs, acknowledges, readAt: state.head, soonestLapse }
  const startedAt = await needs.freeze.add(frozen)
  if (startedAt === null) return null
  const anySticky = pdus.some(({ sticky }) => sticky) || state.owed.length > 0
  const first = { txnId, body, acknowledges, startedAt, afterTakeover: false, firstAttempt: true, anySticky }
  const attempted = await deliver(needs, holding, first)
  count(needs, attempted, startedAt, pdus)
  if (anySticky || attempted.kind !== 'written' || attempted.judged.kind !== 'answered')
    return { settled: null }
  if (attempted.result.durationMs >= QUICK_MS) return { settled: null }
  const lists = state.lists || attempted.judged.listsAny
  return { settled: state.gap === null ? { position: moves.position, lists } : null }
}

type Prepared = Omit<Attempt, 'held' | 'state' | 'stillHeld' | 'signal'>

async function deliver(
  needs: TransactNeeds,
  { held, state, lease, signal }: Holding,
  prepared: Prepared,
): Promise<Attempted> {
  const stillHeld = () => lease.stillHeld()
  const attempted = await attempt(needs, { ...prepared, held, state, stillHeld, signal })
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
  const { result, judged } = attempted
  needs.onAttempt({
    pdus,
    outcome: outcomeOf(judged),
    answered: judged.kind === 'answered',
    durationMs: result.durationMs,
    finishedAt: startedAt + result.durationMs,
  })
}
