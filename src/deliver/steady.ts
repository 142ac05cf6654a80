/**
 * One transaction of a followed destination: what waits for it is frozen, together with the acknowledgement of the
 * transaction before, and sent.
 *
 * Always: as in `transact.ts` and `attempt.ts`, to which everything goes that isn't an ordinary answer.
 */
import type { Batcher } from '../batcher.ts'
import type { Clock } from '../clock.ts'
import type { Gate } from '../gate.ts'
import { makeTxnId, type ServerName } from '../matrix/ids.ts'
import { ENVELOPE_BYTES } from '../matrix/transaction.ts'
import type { CountedAttempt } from '../observe/count-attempt.ts'
import { pooledRandom } from '../pooled-random.ts'
import type { Advance, Answered } from '../store/advance.ts'
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/destination-state.ts'
import type { Held } from '../store/leases.ts'
import { dropTransaction } from '../store/open-transactions.ts'
import type { Send, SendResult } from '../wire/send.ts'
import { begin, countedOf, QUICK_MS, record, sendOrFail, type RecordNeeds } from './attempt.ts'
import type { Waiting } from './followers.ts'
import type { Lease } from './lease-keeper.ts'
import { judge, type Judged } from './outcome.ts'
import type { Body, BodyEvent } from './shared-bodies.ts'

export interface SteadyNeeds extends RecordNeeds {
  pool: Pool
  send: Send
  clock: Clock
  /** Requests in flight. */
  place: Gate
  /** Shares commits between destinations. */
  advance: Batcher<Advance, number | null>
  onAttempt: (attempt: CountedAttempt) => void
  /** The body of a transaction that holds these. */
  bodyOf: (events: readonly BodyEvent[]) => Body
  maxPdus: number
  maxBodyBytes: number
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
  // What it holds is decided when it has a place, not before: it may be taken away while it waits for one.
  return needs.place.within(() => (steady.look ? Promise.resolve() : send(needs, steady, upto())))
}

function choose(waiting: readonly Waiting[], { maxPdus, maxBodyBytes }: SteadyNeeds): Waiting[] {
  let bytes = ENVELOPE_BYTES
  let count = 0
  for (const one of waiting) {
    bytes += one.bytes
    if (count >= maxPdus || (count > 0 && bytes > maxBodyBytes)) break
    count += 1
  }
  return waiting.slice(0, count)
}

async function send(needs: SteadyNeeds, steady: Steady, upto: number): Promise<void> {
  const { held, lease, state } = steady
  const chosen = choose(steady.waiting, needs)
  if (chosen.length === 0) return
  const all = chosen.length === steady.waiting.length
  const events = chosen.map(({ event }) => event)
  const last = events.at(-1)?.pos ?? 0
  const txnId = makeTxnId(pooledRandom)
  const { text: body, bytes, originServerTs } = needs.bodyOf(events)
  const positions = events.map(({ pos }) => pos)
  const toPos = all ? Math.max(last, upto) : last
  const next = { txnId, originServerTs, bytes, positions, toPos, readAt: upto }
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
  const result = await sendOrFail(needs, {
    destination: state.name as ServerName,
    txnId,
    body,
    eventIds,
    timeoutMs: needs.requestTimeoutMs,
    stillHeld: () => lease.stillHeld(),
    signal: steady.signal,
  })
  if (result.kind === 'failed' && result.stage === 'aborted') {
    steady.look = true
    // Nothing had left: the next look puts it together anew.
    if (!result.handed) await dropTransaction(needs.pool, held, txnId)
    return
  }
  const judged = judge(result, { positions, eventIds, firstAttempt: true })
  const anySticky = events.some(({ sticky }) => sticky)
  if (judged.kind === 'answered' && isOrdinary(steady, result, judged) && !anySticky) {
    const { durationMs } = result
    steady.answered = { txnId, durationMs, unlisted: judged.unlisted }
    state.position = toPos
  } else {
    steady.look = true
    if (result.durationMs >= QUICK_MS) steady.slowAt = startedAt + result.durationMs
    const acknowledges = {
      ...{ positions, lanes: 't'.repeat(positions.length), eventIds, fromPos: state.position, toPos },
      ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
    }
    const at = { held, state, txnId, acknowledges, ...begun, firstAttempt: true, afterTakeover: false }
    const { kind } = await record(needs, { ...at, anySticky }, result, judged)
    if (kind !== 'written') return
  }
  const pdus = events.map(({ receivedTs, sticky }) => ({ lane: 't', receivedTs, sticky }))
  needs.onAttempt(countedOf({ result, judged }, startedAt, pdus))
}

/** Nothing changes but its position. */
function isOrdinary(
  { state }: Steady,
  result: SendResult,
  judged: Extract<Judged, { kind: 'answered' }>,
): boolean {
  if (judged.pduErrors !== null || result.durationMs >= QUICK_MS) return false
  return state.lists || !judged.listsAny
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
