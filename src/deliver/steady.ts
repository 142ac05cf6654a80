/**
 * One transaction of a followed destination: when a connection is there, what waits for it is frozen, together with the
 * acknowledgement of the transaction before, and sent.
 *
 * Always: as in `transact.ts` and `attempt.ts`, to which everything goes that isn't an ordinary answer.
 */
import type { Batcher } from '../batcher.ts'
import type { Clock } from '../clock.ts'
import { makeTxnId, type ServerName } from '../matrix/ids.ts'
import { ENVELOPE_BYTES } from '../matrix/transaction.ts'
import { pooledRandom } from '../pooled-random.ts'
import type { Advance, Answered } from '../store/advance.ts'
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/destination-state.ts'
import type { Held } from '../store/leases.ts'
import { dropTransaction } from '../store/open-transactions.ts'
import type { Reach, Ready } from '../wire/send-result.ts'
import { begin, countedOf, QUICK_MS, record, sendOrFail } from './attempt.ts'
import { wantedForSome, type Bytes } from './bodies.ts'
import type { Waiting } from './followers.ts'
import type { Lease } from './lease-keeper.ts'
import { judge, type Judged } from './outcome.ts'
import type { ReachNeeds } from './reach.ts'
import type { Body, BodyEvent } from './shared-bodies.ts'

export interface SteadyNeeds extends ReachNeeds {
  pool: Pool
  clock: Clock
  /** Shares commits between destinations. */
  advance: Batcher<Advance, number | null>
  /** The body of a transaction that holds these. */
  bodyOf: (events: readonly BodyEvent[]) => Body
  maxPdus: number
}

export interface Steady {
  held: Held
  lease: Lease
  /** Aborts when the lease is lost or the daemon can't wait any longer. */
  signal: AbortSignal
  /** As it was when it was looked at last; its position as acknowledged since. */
  state: DestinationState
  /** The open transaction, answered; it ends with the next freeze, or at once where nothing waits. */
  answered: Answered | null
  waiting: Waiting[]
  look: boolean
  /** Its last answer took long, and came then, ms since the epoch: it belongs into the other lane. Null: it was quick. */
  slowAt: number | null
}

/** Sends one transaction of what waits. `upto`: up to where the log has been read. */
export function sendWaiting(needs: SteadyNeeds, steady: Steady, upto: () => number): Promise<void> {
  // What it holds is decided when it has a place and a connection, not before: it may be taken away while it waits for one.
  return needs.place.within(async () => {
    if (steady.look) return
    const { lease, signal, state } = steady
    const reach = { destination: state.name as ServerName, stillHeld: lease.stillHeld, signal }
    const ready = needs.takeIdle(reach) ?? (await connected(needs, steady, reach))
    if (ready === null) return
    const wanted = wantedForSome(steady.waiting, needs)
    let bytes = needs.bodies.take(wanted)
    try {
      bytes ??= await needs.bodies.enter(wanted, signal)
      if (bytes === null) steady.look = true
      else if (!mustLook(steady)) await send(needs, steady, upto(), ready, bytes)
    } finally {
      bytes?.end()
      ready.letGo()
    }
  })
}

/** It may have come to that while something was waited for. */
const mustLook = ({ look }: Steady): boolean => look

/**
 * A new connection, where there is no idle one. Where that fails a turn finds out the same and writes it down: here nobody knows what
 * time the database has.
 */
async function connected(needs: SteadyNeeds, steady: Steady, reach: Reach): Promise<Ready | null> {
  const ready = await needs.connect(reach)
  if (ready.kind === 'failed') {
    steady.look = true
    return null
  }
  if (!steady.look) return ready
  ready.letGo()
  return null
}

function choose(waiting: readonly Waiting[], maxPdus: number, most: number): Waiting[] {
  let bytes = ENVELOPE_BYTES
  let count = 0
  for (const one of waiting) {
    bytes += one.bytes
    if (count >= maxPdus || (count > 0 && bytes > most)) break
    count += 1
  }
  return waiting.slice(0, count)
}

async function send(
  needs: SteadyNeeds,
  steady: Steady,
  upto: number,
  ready: Ready,
  granted: Bytes,
): Promise<void> {
  const { held, state } = steady
  const chosen = choose(steady.waiting, needs.maxPdus, granted.granted)
  if (chosen.length === 0) return
  const all = chosen.length === steady.waiting.length
  const events = chosen.map(({ event }) => event)
  const last = events.at(-1)?.pos ?? 0
  const txnId = makeTxnId(pooledRandom)
  const { bytes: body, originServerTs } = needs.bodyOf(events)
  granted.keep(body.length)
  const positions = events.map(({ pos }) => pos)
  const toPos = all ? Math.max(last, upto) : last
  const next = { txnId, originServerTs, bytes: body.length, positions, toPos, readAt: upto }
  const { wakeSeq, narrowedSeq } = state
  const begun = await begin(needs, () =>
    needs.advance.add({ held, wakeSeq, narrowedSeq, answered: steady.answered, next }),
  )
  if (begun === null) {
    steady.look = true
    return
  }
  const { startedAt } = begun
  steady.answered = null
  steady.waiting = steady.waiting.slice(chosen.length)
  const eventIds = events.map(({ eventId }) => eventId)
  const { connectMs } = ready
  const result = await sendOrFail(needs, ready, state.name, {
    ...{ txnId, body, eventIds, timeoutMs: needs.requestTimeoutMs },
  })
  granted.end()
  if (result.kind === 'failed' && result.stage === 'aborted') {
    steady.look = true
    // Nothing had left: the next look puts it together anew.
    if (!result.handed) await dropTransaction(needs.pool, held, txnId)
    return
  }
  const judged = judge(result, { positions, eventIds, firstAttempt: true })
  const anySticky = events.some(({ sticky }) => sticky)
  const isSlow = connectMs + result.durationMs >= QUICK_MS
  if (judged.kind === 'answered' && !isSlow && isOrdinary(steady, judged) && !anySticky) {
    const { durationMs } = result
    steady.answered = { txnId, durationMs, unlisted: judged.unlisted }
    state.position = toPos
  } else {
    steady.look = true
    if (isSlow) steady.slowAt = startedAt + result.durationMs
    const acknowledges = {
      ...{ positions, lanes: 't'.repeat(positions.length), eventIds, fromPos: state.position, toPos },
      ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
    }
    const at = { held, state, txnId, acknowledges, ...begun, connectMs, firstAttempt: true, anySticky }
    const { kind } = await record(needs, { ...at, afterTakeover: false }, result, judged)
    if (kind !== 'written') return
  }
  const pdus = events.map(({ receivedTs, sticky }) => ({ lane: 't', receivedTs, sticky }))
  needs.onAttempt(countedOf({ result, judged }, startedAt, pdus))
}

/** Nothing changes but its position. */
function isOrdinary({ state }: Steady, judged: Extract<Judged, { kind: 'answered' }>): boolean {
  return judged.pduErrors === null && (state.lists || !judged.listsAny)
}

/** Writes down the last answer, where nothing is frozen after it. */
export async function settle(needs: SteadyNeeds, steady: Steady): Promise<void> {
  const { held, state, answered } = steady
  if (answered === null) return
  // Refused only where the lease is over: then the same bytes go out again, from its next holder.
  const { wakeSeq, narrowedSeq } = state
  if ((await needs.advance.add({ held, wakeSeq, narrowedSeq, answered, next: null })) === null) {
    steady.look = true
  }
  steady.answered = null
}
