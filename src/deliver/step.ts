/**
 * One look at a destination, and the one thing that follows from it.
 *
 * What a look can find, in this order: paused, or not due (let go until then); an unanswered transaction
 * (the same bytes again, or dropped where contract 5.2 ends it); a backlog that makes a gap; something to
 * send (freeze, then attempt); only cursors to move; nothing (let go).
 */
import { inTransaction } from '../store/db.ts'
import type { DestinationState } from '../store/destination-state.ts'
import { growGap, moveOn, openGap } from '../store/gaps.ts'
import { dropDoneJoins, noteLapsed } from '../store/sticky-lane.ts'
import { countTimeline } from '../store/timeline.ts'
import { ENVELOPE_BYTES } from '../matrix/transaction.ts'
import { nextAttempt, withoutImpossibleWaits } from './backoff.ts'
import { growsTo, worthCounting, type CatchUpSettings } from './catch-up.ts'
import { planTransaction, type Reading } from './plan.ts'
import { readPending } from './reading.ts'
import { repeatOpen, sendNew, type Holding, type Settled, type TransactNeeds } from './transact.ts'

export interface StepNeeds extends TransactNeeds {
  catchUp: CatchUpSettings
  maxPdus: number
  maxBodyBytes: number
  /** Told of sticky replays that lapsed before they were sent. */
  onLapsed: (count: number) => void
}

export type Step =
  /** `settled`: after an ordinary answer, where it is owed nothing any more up to `position`; else null. */
  | { kind: 'sent'; settled: Settled | null }
  | { kind: 'look again' }
  | { kind: 'let go'; lookAt: number | null; position: number | null }

const LOOK_AGAIN: Step = { kind: 'look again' }

export async function takeStep(needs: StepNeeds, holding: Holding): Promise<Step> {
  const { state } = holding
  if (state.paused) return { kind: 'let go', lookAt: null, position: null }
  const due = nextAttempt(withoutImpossibleWaits(state.waiting, state.now, needs.backoff), state.now)
  if (due > state.now) return { kind: 'let go', lookAt: due, position: null }
  if (state.open !== null) {
    return (await repeatOpen(needs, holding, state.open)) ? { kind: 'sent', settled: null } : LOOK_AGAIN
  }
  await growFreshGap(needs, holding)
  const reading = await readPending(needs.pool, state, needs.maxPdus)
  if (state.gap === null && (await openGapIfDue(needs, holding, reading))) return LOOK_AGAIN

  const limits = { maxPdus: needs.maxPdus, maxBytes: needs.maxBodyBytes - ENVELOPE_BYTES }
  const plan = planTransaction(reading, limits)
  if (plan.do === 'send') {
    const sent = await sendNew(needs, holding, plan)
    return sent === null ? LOOK_AGAIN : { kind: 'sent', settled: sent.settled }
  }
  // The sticky lane is empty: whatever its rows still covered has lapsed or gone.
  await settleJoins(needs, state)
  if (plan.do === 'move' && plan.acknowledges.closesGap && state.gap !== null) {
    await closeGap(needs, holding, state.gap.id, plan.acknowledges.position)
    return LOOK_AGAIN
  }
  const position = plan.do === 'move' ? plan.acknowledges.position : null
  return { kind: 'let go', lookAt: state.unlistedAt, position }
}

/** A gap of which nothing is acknowledged yet takes in what came since it was opened. */
async function growFreshGap(needs: StepNeeds, { held, state }: Holding): Promise<void> {
  const to = state.gap === null ? null : growsTo(state.gap, state.head)
  if (state.gap === null || to === null) return
  await growGap(needs.pool, held, state.gap, to)
  state.gap.to = to
}

/** Opens a gap where the backlog is large and old; true when it did. */
async function openGapIfDue(needs: StepNeeds, { held, state }: Holding, reading: Reading): Promise<boolean> {
  const { position, head, now, id } = state
  const oldestReceived = reading.timeline[0]?.receivedTs ?? null
  const count = worthCounting({ position, head, oldestReceived }, now, needs.catchUp)
  if (count === null) return false
  if ((await countTimeline(needs.pool, id, { after: position, upto: head }, count)) < count) return false
  const lapsed = await inTransaction(needs.pool, (db) => openGap(db, held, { from: position, to: head }))
  if (lapsed === null) return false
  needs.onLapsed(lapsed)
  needs.log.info({ destination: state.name, from: position, to: head }, 'catch-up begins')
  return true
}

async function closeGap(needs: StepNeeds, { held, state }: Holding, id: number, to: number): Promise<void> {
  const range = { from: state.position, to, readAt: state.head, gap: { id, cursor: to, closes: true } }
  await inTransaction(needs.pool, (db) => moveOn(db, held, range))
}

async function settleJoins(needs: StepNeeds, state: DestinationState): Promise<void> {
  const rooms = state.owed.flatMap(({ room }) => (room === null ? [] : [room]))
  if (rooms.length === 0) return
  needs.onLapsed(await noteLapsed(needs.pool, state.now, state.id))
  await dropDoneJoins(needs.pool, state.id, { rooms, now: state.now, head: state.head })
}
