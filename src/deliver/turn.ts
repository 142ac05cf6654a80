/**
 * One turn for one destination: take it, then look, decide and do, until there is nothing to do.
 *
 * Always: what is decided is decided by the holder of the destination's lease, from rows, and every write
 * names the lease's fence. A turn that throws has half-recorded nothing; the sweep or the next wake goes on.
 *
 * What a look can find, in this order: a lease lost meanwhile (somebody else goes on); paused, or not due
 * (let go until then); an unanswered transaction (the same bytes again, or dropped where contract 5.2 ends
 * it); something to send (freeze, then attempt); only cursors to move; nothing (let go).
 */
import { randomBytes } from 'node:crypto'
import type { Batcher } from '../batcher.ts'
import type { Clock } from '../clock.ts'
import { makeTxnId } from '../matrix/ids.ts'
import { assembleTransaction } from '../matrix/transaction.ts'
import type { Log } from '../observe/log.ts'
import { inTransaction } from '../store/db.ts'
import {
  loadDestination,
  type DestinationState,
  type StoredAcknowledges,
} from '../store/destination-state.ts'
import { growGap, moveOn, openGap } from '../store/gaps.ts'
import { bumpWake, releaseDestination, takeDestination, type Held } from '../store/leases.ts'
import { dropTransaction, repeatTransaction, type Frozen } from '../store/open-transactions.ts'
import { dropDoneJoins, noteLapsed } from '../store/sticky-lane.ts'
import { timelinePositions } from '../store/timeline.ts'
import { attempt, type AttemptNeeds, type Attempted } from './attempt.ts'
import { nextAttempt, withoutImpossibleWaits } from './backoff.ts'
import { growsTo, worthCounting, type CatchUpSettings } from './catch-up.ts'
import type { Lease } from './lease-keeper.ts'
import { planTransaction, type Plan, type Reading } from './plan.ts'
import { readPending } from './reading.ts'

/** What the turn tells the rest of the daemon as it goes. */
export interface TurnEvents {
  attempted(at: { state: DestinationState; acknowledges: StoredAcknowledges; attempted: Attempted }): void
  lapsed(count: number): void
}

export interface TurnNeeds extends AttemptNeeds {
  /** Our server name, `origin` of transactions. */
  origin: string
  lease: () => Lease | null
  freeze: Batcher<Frozen, number | null>
  clock: Clock
  catchUp: CatchUpSettings
  maxPdus: number
  maxBodyBytes: number
  /** Aborts when the daemon stops: the transaction under way may end, no other is begun. */
  stopping: AbortSignal
  events: TurnEvents
  log: Log
}

export type Turn = (destination: string, signal: AbortSignal) => Promise<{ again: boolean }>

/** A turn that has sent so much gives way to others. */
const TRANSACTIONS_A_TURN = 50
const TURN_MS = 5_000
/** Receivers forget transaction ids after this (contract 5.2), ms. */
const FORGOTTEN_MS = 86_400_000
/** What a transaction's body holds beside its PDUs, at most, bytes. */
const ENVELOPE_BYTES = 1_024

export function makeTurn(needs: TurnNeeds): Turn {
  const running = new Set<string>()
  return async (name, signal) => {
    const lease = needs.lease()
    if (lease === null || needs.stopping.aborted) return { again: false }
    if (running.has(name)) {
      await bumpWake(needs.pool, name)
      return { again: false }
    }
    running.add(name)
    try {
      const held = await takeDestination(needs.pool, lease.id, name)
      if (held === null) return { again: false }
      return await serve(needs, held, lease, AbortSignal.any([lease.signal, signal]))
    } finally {
      running.delete(name)
    }
  }
}

async function serve(
  needs: TurnNeeds,
  held: Held,
  lease: Lease,
  signal: AbortSignal,
): Promise<{ again: boolean }> {
  const started = needs.clock.monotonic()
  for (let sent = 0; ;) {
    const state = await loadDestination(needs.pool, held)
    if (state?.held !== true) return { again: false }
    const usedUp = sent >= TRANSACTIONS_A_TURN || needs.clock.monotonic() - started > TURN_MS
    if (usedUp || needs.stopping.aborted || signal.aborted) {
      await releaseDestination(needs.pool, held, { wakeSeq: null, lookAt: state.now, position: null })
      return { again: usedUp }
    }
    const step = await takeStep(needs, held, state, lease, signal)
    if (step.kind === 'sent') sent += 1
    if (step.kind !== 'let go') continue
    const { lookAt, position } = step
    if (await releaseDestination(needs.pool, held, { wakeSeq: state.wakeSeq, lookAt, position }))
      return { again: false }
  }
}

type Step =
  | { kind: 'sent' }
  | { kind: 'look again' }
  | { kind: 'let go'; lookAt: number | null; position: number | null }

async function takeStep(
  needs: TurnNeeds,
  held: Held,
  state: DestinationState,
  lease: Lease,
  signal: AbortSignal,
): Promise<Step> {
  if (state.paused) return { kind: 'let go', lookAt: null, position: null }
  const due = nextAttempt(withoutImpossibleWaits(state.waiting, state.now, needs.backoff), state.now)
  if (due > state.now) return { kind: 'let go', lookAt: due, position: null }
  if (state.open !== null) return repeat(needs, held, state, state.open, lease, signal)

  await growFreshGap(needs, held, state)
  const reading = await readPending(needs.pool, state, needs.maxPdus)
  if (state.gap === null && (await openGapIfDue(needs, held, state, reading))) return { kind: 'look again' }
  const plan = planTransaction(reading, {
    maxPdus: needs.maxPdus,
    maxBytes: needs.maxBodyBytes - ENVELOPE_BYTES,
  })
  if (plan.do === 'send') return sendNew(needs, held, state, plan, lease, signal)
  // The sticky lane is empty: whatever its rows still covered has lapsed or gone.
  await settleJoins(needs, state)
  if (plan.do === 'move' && plan.acknowledges.closesGap && state.gap !== null) {
    const gap = { id: state.gap.id, cursor: plan.acknowledges.gapCursor, closes: true }
    const range = { from: state.position, to: plan.acknowledges.position, gap }
    await inTransaction(needs.pool, (db) => moveOn(db, held, range))
    return { kind: 'look again' }
  }
  const position = plan.do === 'move' ? plan.acknowledges.position : null
  return { kind: 'let go', lookAt: state.unlistedAt, position }
}

/** A gap of which nothing is acknowledged yet takes in what came since it was opened. */
async function growFreshGap(needs: TurnNeeds, held: Held, state: DestinationState): Promise<void> {
  const to = state.gap === null ? null : growsTo(state.gap, state.head)
  if (state.gap === null || to === null) return
  needs.events.lapsed(await growGap(needs.pool, held, state.gap, to))
  state.gap.to = to
}

/** Opens a gap where the backlog is large and old; true when it did. */
async function openGapIfDue(
  needs: TurnNeeds,
  held: Held,
  state: DestinationState,
  reading: Reading,
): Promise<boolean> {
  const { position, head, now, id } = state
  const oldestReceived = reading.timeline[0]?.receivedTs ?? null
  const count = worthCounting({ position, head, oldestReceived }, now, needs.catchUp)
  if (count === null) return false
  const waiting = await timelinePositions(needs.pool, id, { after: position, upto: head }, count)
  if (waiting.length < count) return false
  const lapsed = await inTransaction(needs.pool, (db) => openGap(db, held, { from: position, to: head }))
  if (lapsed === null) return false
  needs.events.lapsed(lapsed)
  needs.log.info({ destination: state.name, from: position, to: head }, 'catch-up begins')
  return true
}

async function settleJoins(needs: TurnNeeds, state: DestinationState): Promise<void> {
  const rooms = state.owed.flatMap(({ room }) => (room === null ? [] : [room]))
  if (rooms.length === 0) return
  needs.events.lapsed(await noteLapsed(needs.pool, state.now, state.id))
  await dropDoneJoins(needs.pool, state.id, { rooms, now: state.now, head: state.head })
}

async function repeat(
  needs: TurnNeeds,
  held: Held,
  state: DestinationState,
  open: NonNullable<DestinationState['open']>,
  lease: Lease,
  signal: AbortSignal,
): Promise<Step> {
  const { txnId, body } = open
  if (body === null || state.now - open.createdAt >= FORGOTTEN_MS) {
    await dropTransaction(needs.pool, held, txnId)
    return { kind: 'look again' }
  }
  const startedAt = await repeatTransaction(needs.pool, held, txnId)
  if (startedAt === null) return { kind: 'look again' }
  const { acknowledges } = open
  const afterTakeover = open.worker !== held.worker
  return deliver(
    needs,
    {
      held,
      state,
      txnId,
      body,
      acknowledges,
      startedAt,
      afterTakeover,
      firstAttempt: false,
      anySticky: true,
    },
    lease,
    signal,
  )
}

async function sendNew(
  needs: TurnNeeds,
  held: Held,
  state: DestinationState,
  plan: Extract<Plan, { do: 'send' }>,
  lease: Lease,
  signal: AbortSignal,
): Promise<Step> {
  const { pdus, acknowledges: moves } = plan
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
  const { soonestLapse } = plan
  const startedAt = await needs.freeze.add({
    held,
    txnId,
    body,
    acknowledges,
    readAt: state.head,
    soonestLapse,
  })
  if (startedAt === null) return { kind: 'look again' }
  const anySticky = pdus.some(({ sticky }) => sticky) || state.owed.length > 0
  return deliver(
    needs,
    {
      held,
      state,
      txnId,
      body,
      acknowledges,
      startedAt,
      afterTakeover: false,
      firstAttempt: true,
      anySticky,
    },
    lease,
    signal,
  )
}

type Prepared = Omit<Parameters<typeof attempt>[1], 'stillHeld' | 'signal'>

async function deliver(
  needs: TurnNeeds,
  prepared: Prepared,
  lease: Lease,
  signal: AbortSignal,
): Promise<Step> {
  const { state, held, txnId, acknowledges, firstAttempt } = prepared
  const attempted = await attempt(needs, { ...prepared, stillHeld: () => lease.stillHeld(), signal })
  needs.events.attempted({ state, acknowledges, attempted })
  // Cut off before anything left: the next look puts it together anew.
  if (attempted.kind === 'aborted' && attempted.neverLeft && firstAttempt)
    await dropTransaction(needs.pool, held, txnId)
  return { kind: 'sent' }
}
