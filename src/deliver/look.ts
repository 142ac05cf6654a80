/**
 * One look at a destination, and the one thing that follows from it.
 *
 * What a look can find, in this order: an operator's wish to skip what is owed (done at once); paused, or not due (let go until then); an unanswered transaction that contract 5.2 ends
 * (it is dropped); nothing that is owed (cursors move, or it is let go); something owed. Then a connection comes first
 * (`reach.ts`), and what follows is decided when it is there: an unanswered transaction goes again; a backlog makes a gap;
 * what is planned is frozen and sent.
 */
import { inTransaction } from '../store/db.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import { growGap, moveOn, openGap } from '../store/delivery/gaps.ts'
import { dropTransaction } from '../store/delivery/results.ts'
import { skipOwed } from '../store/delivery/skips.ts'
import { dropDoneJoins, noteLapsed } from '../store/delivery/sticky-lane.ts'
import type { Gate } from '../pace/gate.ts'
import type { Spare } from '../pace/spare.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { Log } from '../observe/log.ts'
import type { Ready } from '../wire/send-result.ts'
import { apartOf, lookBeside, NOTHING_BESIDE, planApart, type Beside } from './beside.ts'
import { forPdus } from './body-memory.ts'
import { gapIsDue } from './gap-due.ts'
import { growsTo, type CatchUpSettings } from './rules/catch-up.ts'
import { asksAbout, limitsFor } from './rules/isolation.ts'
import { ROWS } from './ledger.ts'
import { planTransaction, type Sending } from './rules/plan.ts'
import { limitsBeside, planWithEdus, readEdus, type EduNeeds, type WithEdus } from './edus.ts'
import { lookForEdus, type LookedForEdus } from './edus-apart.ts'
import { moveEduCursors } from '../store/delivery/edus.ts'
import type { EduCursors } from '../store/delivery/leases.ts'
import { settledBy, settledUntil, type AllSettled } from './settled.ts'
import type { Find } from './find.ts'
import { noteUnfound, reach, type Connected, type Holding, type ReachNeeds } from './reach.ts'
import { letGoLast } from './let-go-last.ts'
import { cameAfter, mustGoLast } from './rules/last.ts'
import { readIfNothingIsOwed, readPending } from './reading.ts'
import { readApart } from '../store/delivery/apart.ts'
import { askWhoseFault } from './whose-fault.ts'
import { whenToTry, type WhenNeeds } from './when.ts'
import { mustBeDropped, sendAgain, sendPlanned, type TransactionNeeds } from './transaction.ts'

export interface LookNeeds
  extends TransactionNeeds, ReachNeeds, Pick<WhenNeeds, 'deadline'>, Pick<EduNeeds, 'edus'> {
  log: Log
  catchUp: CatchUpSettings
  maxPdus: number
  /** Limits how many destinations that are far behind read at the same time, so that followed ones get the database too. */
  farLooks: Gate
  /** Limits at how many of those without a connection it is looked at the same time whether they are owed anything. */
  firstLooks: Gate
  /** Those without a connection wait here: steady traffic goes first. */
  spare: Spare
  /** Where it is, before it gets a place to be dialled. */
  find: Find
  /** Told of sticky replays that lapsed before they were sent. */
  onLapsed: (count: number) => void
}

export type Looked =
  /**
   * It was tried, whatever came of that: the next look finds in its rows what there is to do. `connectedAt`: since when it has had its
   * connection, by the monotonic clock, ms.
   */
  | { kind: 'sent'; settled: AllSettled | null; connectedAt: number }
  | { kind: 'look again' }
  /** No place came free for a long time. */
  | { kind: 'give way' }
  | {
      kind: 'let go'
      lookAt: number | null
      position: number | null
      deadlineAt?: number | null
      /** How far the lanes of its EDUs are; null or absent: where they were. */
      edus?: EduCursors | null
      /** Nothing is owed but EDUs that wait for their time, and it is connected; null or absent: it is not known to be so. */
      settled?: AllSettled | null
    }

/** It is woken when it is known where it is; after this by its row, if that was lost, ms. */
const SLOW_LOOK_MS = 60_000

type Waiting = Exclude<WithEdus, Sending>

const LOOK_AGAIN: Looked = { kind: 'look again' }

export async function look(needs: LookNeeds, holding: Holding): Promise<Looked> {
  const { state } = holding
  // Also where it is paused or waits: nothing is sent, and nothing is under way.
  if (state.skipUpto !== null) {
    if (await skipOwed(needs.pool, holding.held, state.skipUpto))
      needs.log.info({ destination: state.name, upto: state.skipUpto }, 'an operator gave up what was owed')
    return LOOK_AGAIN
  }
  if (state.paused) return { kind: 'let go', lookAt: null, position: null }
  const when = await whenToTry(needs, state)
  if (when.kind === 'later')
    return { kind: 'let go', lookAt: when.lookAt, position: null, deadlineAt: when.deadlineAt }
  const isConnected = needs.isConnected(state.name as ServerName)
  if (!isConnected) await needs.spare.wait(holding.signal, state.waiting.failures > 0)
  if (state.open !== null) {
    if (mustBeDropped(state.open, state.now)) {
      await dropTransaction(needs.pool, holding.held, state.open.txnId)
      return LOOK_AGAIN
    }
  } else if (!isConnected) {
    const beside = await lookBeside(needs, holding, { maxPdus: needs.maxPdus, maxBytes: needs.maxBodyBytes })
    const ofEdus = await lookForEdus(needs, holding)
    const nothing =
      beside.first === null && beside.then === null && ofEdus.first === null
        ? await needs.firstLooks.within(() => planIfNothingGoes(needs, state))
        : null
    if (nothing !== null) return move(needs, holding, nothing, firstOfBoth(beside, ofEdus))
  }
  if (!needs.isConnected(state.name as ServerName)) {
    const began = needs.clock.monotonic()
    const found = await needs.find({ name: state.name as ServerName, quick: state.quick }, holding.signal)
    if (holding.signal.aborted) return LOOK_AGAIN
    if (found.kind === 'no place') return { kind: 'give way' }
    if (found.kind === 'slow') return { kind: 'let go', lookAt: state.now + SLOW_LOOK_MS, position: null }
    if (found.kind === 'failed') {
      await noteUnfound(needs, holding, found, began)
      return LOOK_AGAIN
    }
  }
  const reached = await reach(needs, holding, when.still, (ready, connected) => send(needs, connected, ready))
  if (reached.kind === 'no place') return { kind: 'give way' }
  return reached.kind === 'done' ? (reached.value ?? LOOK_AGAIN) : LOOK_AGAIN
}

/** When more is due of what is apart, ms since the epoch; null: nothing is. */
function firstOfBoth(beside: Pick<Beside, 'nextAt'>, ofEdus: LookedForEdus): Pick<Beside, 'nextAt'> {
  const times = [beside.nextAt, ofEdus.nextAt].filter((at) => at !== null)
  return { nextAt: times.length === 0 ? null : Math.min(...times) }
}

/** For a plan from an empty reading. */
const NO_LIMITS = { maxPdus: 0, maxBytes: 0 }
/** Of EDUs, to know whether any goes now. */
const FEW_BYTES = 65_536

/** Before there is a connection. Null: something goes. */
async function planIfNothingGoes(needs: LookNeeds, state: DestinationState): Promise<Waiting | null> {
  const reading = await readIfNothingIsOwed(needs.pool, state)
  if (reading === null) return null
  const lanes = await readEdus(needs, state, FEW_BYTES)
  const plan = planTransaction(reading, NO_LIMITS)
  const next = planWithEdus(
    needs,
    state,
    { plan, lanes, reading },
    { maxPdus: 0, maxBytes: needs.maxBodyBytes },
  )
  return next.do === 'wait' ? next : null
}

/** What goes to it now that it is there. */
async function send(needs: LookNeeds, holding: Connected, ready: Ready): Promise<Looked> {
  const { held, state, bytes, hurry } = holding
  const connectedAt = needs.clock.monotonic()
  const via = { held, state, ready, bytes, hurry, ledger: ROWS, apart: null }
  if (state.open !== null) {
    const { isolation, open } = state
    const all = isolation?.apart === true ? await readApart(needs.pool, state.id) : NOTHING_BESIDE.apart
    const apart = apartOf(open, all)
    if (asksAbout(isolation, open)) {
      await askWhoseFault(needs, via, open, apart)
      return LOOK_AGAIN
    }
    const ended = await sendAgain(needs, { ...via, apart }, open)
    return ended.kind === 'not sent' ? LOOK_AGAIN : { kind: 'sent', settled: null, connectedAt }
  }
  const { maxPdus, maxBodyBytes } = limitsFor(state.isolation, state.now, needs)
  const limits = { maxPdus, maxBytes: forPdus(bytes, maxBodyBytes) }
  // First: a room that was waiting may be one of the others from now on.
  const beside = await lookBeside(needs, holding, limits)
  await growFreshGap(needs, holding)
  // Before the timeline is read: what makes a gap is not sent, and to read it is what costs most.
  if (state.gap === null && (await few(needs, state, () => openGapIfDue(needs, holding)))) return LOOK_AGAIN
  const sendThis = async (sending: Sending, left: EduCursors | null = null): Promise<Looked> => {
    const ended = await sendPlanned(needs, via, sending, state.head)
    if (ended.kind === 'not sent') return LOOK_AGAIN
    const isPlain = sending.apart === undefined && beside === NOTHING_BESIDE && sending.edus?.cursors !== null
    const settled = isPlain ? settledBy(ended, sending, left) : null
    return { kind: 'sent', settled, connectedAt }
  }
  const first = beside.first && (await planApart(needs.pool, state, beside.first, beside.apart))
  if (first !== null) return sendThis(first)
  const ofEdus = await lookForEdus(needs, holding)
  if (ofEdus.first !== null) return sendThis(ofEdus.first)
  const reading = await few(needs, state, () => readPending(needs.pool, state, limits))
  const lanes = await readEdus(needs, state, Math.floor(limits.maxBytes / 2))
  const plan = planTransaction(reading, limitsBeside(lanes, reading, limits))
  if (plan.do === 'send' && mustGoLast(plan, reading)) {
    await letGoLast(needs.pool, holding, plan)
    return LOOK_AGAIN
  }
  const next = planWithEdus(needs, state, { plan, lanes, reading }, limits)
  const left = lanes && { durable: lanes.durable.cursor, ephemeral: lanes.ephemeral.cursor }
  if (next.do === 'send' && !cameAfter(reading, beside.thenFrom)) return sendThis(next, left)
  const then = beside.then && (await planApart(needs.pool, state, beside.then, beside.apart))
  if (then !== null) return sendThis(then)
  if (next.do === 'send') return sendThis(next, left)
  const others = firstOfBoth(beside, ofEdus)
  const looked = await move(needs, holding, next, others)
  if (looked.kind !== 'let go' || others.nextAt !== null) return looked
  const now = Math.round(state.now + needs.clock.monotonic() - connectedAt)
  return { ...looked, settled: settledUntil(state, next, now) }
}

/** A destination that is farther behind the head than this is far behind. */
const FAR = 1_000

function few<T>({ farLooks }: LookNeeds, state: DestinationState, read: () => Promise<T>): Promise<T> {
  const isFar = state.gap !== null || state.head - state.position > FAR
  return isFar ? farLooks.within(read) : read()
}

/** Nothing is sent: cursors move, and the destination is let go unless a gap was closed. */
async function move(
  needs: LookNeeds,
  holding: Holding,
  { plan, edus, at }: Waiting,
  { nextAt }: Pick<Beside, 'nextAt'>,
): Promise<Looked> {
  const { state } = holding
  // More of them may be behind what was read.
  if (edus !== null && (edus.durable < state.durableHead || edus.ephemeral < state.eduHead)) {
    await moveEduCursors(needs.pool, holding.held, edus)
    return LOOK_AGAIN
  }
  // The sticky lane is empty: whatever its rows still covered has lapsed or gone.
  await settleJoins(needs, state)
  if (plan.do === 'move' && plan.acknowledges.closesGap && state.gap !== null) {
    await closeGap(needs, holding, state.gap.id, plan.acknowledges.position)
    return LOOK_AGAIN
  }
  const position = plan.do === 'move' ? plan.acknowledges.position : null
  const times = [state.unlistedAt, nextAt, at].filter((at) => at !== null)
  return { kind: 'let go', lookAt: times.length === 0 ? null : Math.min(...times), position, edus }
}

/** A gap of which nothing is acknowledged yet takes in what came since it was opened. */
async function growFreshGap(needs: LookNeeds, { held, state }: Holding): Promise<void> {
  const to = state.gap === null ? null : growsTo(state.gap, state.head)
  if (state.gap === null || to === null) return
  await growGap(needs.pool, held, state.gap, to)
  state.gap.to = to
}

/** Opens a gap where the backlog is large and old; true when it did. */
async function openGapIfDue(needs: LookNeeds, { held, state }: Holding): Promise<boolean> {
  if (!(await gapIsDue(needs.pool, state, needs.catchUp))) return false
  const { position, head } = state
  const lapsed = await inTransaction(needs.pool, (db) => openGap(db, held, { from: position, to: head }))
  if (lapsed === null) return false
  needs.onLapsed(lapsed)
  needs.log.info({ destination: state.name, from: position, to: head }, 'catch-up begins')
  return true
}

async function closeGap(needs: LookNeeds, { held, state }: Holding, id: number, to: number): Promise<void> {
  const range = { from: state.position, to, readAt: state.head, gap: { id, cursor: to, closes: true } }
  await inTransaction(needs.pool, (db) => moveOn(db, held, range))
}

async function settleJoins(needs: LookNeeds, state: DestinationState): Promise<void> {
  const rooms = state.owed.flatMap(({ room }) => (room === null ? [] : [room]))
  if (rooms.length === 0) return
  needs.onLapsed(await noteLapsed(needs.pool, state.now, state.id))
  await dropDoneJoins(needs.pool, state.id, { rooms, now: state.now, head: state.head })
}
