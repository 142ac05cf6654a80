/**
 * One life of a destination that this process follows.
 *
 *     idle ──▶ busy ──▶ leaving ──▶ released
 *       ▲───────┘│         │            │
 *       └────────┴─────────┴──▶ gone ◀──┘
 *
 * | mode     | it                                                        | what ends it                                        |
 * | -------- | --------------------------------------------------------- | --------------------------------------------------- |
 * | idle     | waits for the log; its last answer may still be unwritten | something to send, a wish, its linger or term, stop |
 * | busy     | sends what waits, one transaction after another           | nothing waits; a look is due; nothing for a while   |
 * | leaving  | writes down its last answer, then lets go or looks        | its row is free, or a turn has it                   |
 * | released | its row is free; what came before that woke nobody        | the read of the log that began after that           |
 * | gone     | is nothing here any more                                  |                                                     |
 *
 * Always: a follower works under the lease and fence of its turn. Nothing is frozen after a wish or a redaction that the follower has not seen
 * (`store/delivery/acknowledge-and-freeze.ts` asks). Everything else goes back to a turn: a failure, a slow answer, a sticky event, a join.
 */
import type { ServerName } from '../../matrix/ids.ts'
import type { Log } from '../../observe/log.ts'
import type { DestinationState } from '../../store/delivery/destination.ts'
import type { Held } from '../../store/delivery/leases.ts'
import type { Reach, Ready } from '../../wire/send-result.ts'
import { forPdus, type Bytes } from '../body-memory.ts'
import type { EduNeeds, WithEdus } from '../edus.ts'
import type { Lease } from '../lease-keeper.ts'
import type { ReachNeeds } from '../reach.ts'
import { sendPlanned, type TransactionNeeds } from '../transaction.ts'
import type { Followed } from './followers.ts'
import type { Ledger } from '../ledger.ts'
import { noteWait, planWaiting, wantedForWaiting } from './plan-waiting.ts'
import { isSlow, type Books } from './running-ledger.ts'

export type Mode = 'idle' | 'busy' | 'leaving' | 'released' | 'gone'

const NEXT: Readonly<Record<Mode, readonly Mode[]>> = {
  idle: ['busy', 'gone'],
  busy: ['idle', 'leaving', 'gone'],
  leaving: ['released', 'gone'],
  released: ['gone'],
  gone: [],
}

export interface Follower extends Followed, Books {
  mode: Mode
  ledger: Ledger
  held: Held
  lease: Lease
  /** Aborts when the lease is lost, the daemon can't wait any longer, or it is blocked. */
  signal: AbortSignal
  /** Nothing of it is under way any more. */
  ended: () => void
  /** As it was when it was looked at last; its position, and what is known of its EDUs, as acknowledged since. */
  state: DestinationState
  /** The database's clock less the monotonic one, as was last seen, ms. */
  clockAhead: number
  /** When its last answer came, if that was slow, ms since the epoch; null: it was quick. */
  slowAt: number | null
  /** Its last transaction, by the monotonic clock, ms. */
  sentAt: number
  /** Its rows are looked at then, whatever happens. */
  endsAt: number
}

/** @throws Error for a step that no life has: a defect of ours. */
export function become(follower: Follower, mode: Mode): void {
  if (!NEXT[follower.mode].includes(mode))
    throw new Error(`a followed destination can't be ${mode} after ${follower.mode}`)
  follower.mode = mode
  if (mode === 'released' || mode === 'gone') follower.ended()
}

export interface FollowerNeeds extends TransactionNeeds, ReachNeeds, Pick<EduNeeds, 'edus'> {
  maxPdus: number
  log: Log
}

/** Ms since the epoch, by the database's clock. */
export const nowFor = ({ clock }: Pick<FollowerNeeds, 'clock'>, { clockAhead }: Follower): number =>
  Math.floor(clock.monotonic() + clockAhead)

/** Sends one transaction of what waits, if any of it goes now; else false. `upto`: up to where the log has been read. */
export async function sendWaiting(
  needs: FollowerNeeds,
  follower: Follower,
  upto: () => number,
): Promise<boolean> {
  const { place, impatience } = needs
  // What waits for its time takes no place. Where that has come, to plan it here and there would be twice the work.
  const { waiting, waitsUntil } = follower
  const isTime = waitsUntil !== null && nowFor(needs, follower) >= waitsUntil.at
  if (waiting.length === 0 && !isTime && !goesNow(needs, follower, upto())) return false
  const leave = place.take('quick') ?? (await impatience.waits(place.enter('quick')))
  try {
    // What it holds is decided when it has a place and a connection, not before: it may be taken away while it waits for one.
    return await sendFromPlace(needs, follower, upto)
  } finally {
    leave?.()
  }
}

function goesNow(needs: FollowerNeeds, follower: Follower, upto: number): boolean {
  const when = { now: nowFor(needs, follower), upto }
  const plan = planWaiting(needs, follower, when, (maxBodyBytes) => maxBodyBytes)
  if (plan.do === 'wait') wait(follower, plan)
  return plan.do === 'send'
}

/** Something that waits neither goes nor has a time: the rows decide. */
function wait(follower: Follower, plan: Extract<WithEdus, { do: 'wait' }>): void {
  noteWait(follower, plan)
  if (plan.at === null && follower.durable.length + follower.ephemeral.length > 0) follower.look = true
}

async function sendFromPlace(needs: FollowerNeeds, follower: Follower, upto: () => number): Promise<boolean> {
  if (follower.look) return false
  const { lease, signal, state } = follower
  const reach = { destination: state.name as ServerName, stillHeld: lease.stillHeld, signal }
  const ready = needs.takeIdle(reach) ?? (await connected(needs, follower, reach))
  if (ready === null) return false
  const wanted = wantedForWaiting(follower, needs)
  let bytes = needs.bodies.take(wanted)
  try {
    bytes ??= await needs.impatience.waits(needs.bodies.enter(wanted, signal))
    if (bytes === null) follower.look = true
    else if (!mustLook(follower)) return await send(needs, follower, upto(), { ready, bytes })
    return false
  } finally {
    bytes?.end()
    ready.giveBack()
  }
}

/** It may have come to that while something was waited for. */
const mustLook = ({ look }: Follower): boolean => look

/**
 * A new connection, if there is no idle one. If that fails, a turn will find out the same and record it: a follower does not know the
 * database's time.
 */
async function connected(needs: FollowerNeeds, follower: Follower, reach: Reach): Promise<Ready | null> {
  // It has a place already, so it must not wait for another.
  const dialled = needs.dialling.take('quick')
  if (dialled === null) {
    follower.look = true
    return null
  }
  const ready = await needs.impatience.connect(needs, reach).finally(dialled)
  if (ready.kind === 'failed') {
    follower.look = true
    return null
  }
  if (!follower.look) return ready
  ready.giveBack()
  return null
}

async function send(
  needs: FollowerNeeds,
  follower: Follower,
  upto: number,
  { ready, bytes }: { ready: Ready; bytes: Bytes },
): Promise<boolean> {
  const { held, state } = follower
  const when = { now: nowFor(needs, follower), upto }
  const plan = planWaiting(needs, follower, when, (maxBodyBytes) => forPdus(bytes, maxBodyBytes))
  if (plan.do === 'wait') {
    // Its time may have come to an end while it waited for its place.
    wait(follower, plan)
    return false
  }
  const hurry = needs.impatience.hurry(bytes)
  const via = { held, state, ready, bytes, hurry, ledger: follower.ledger, apart: null }
  const ended = await sendPlanned(needs, via, plan, upto)
  if (ended.kind === 'ended') {
    const { attempt, result } = ended
    follower.clockAhead = attempt.startedAt + result.durationMs - needs.clock.monotonic()
    if (ended.kept) return true
  }
  follower.look = true
  if (ended.kind === 'ended' && isSlow(ended.attempt, ended)) {
    follower.slowAt = ended.attempt.startedAt + ended.result.durationMs
  }
  return true
}
