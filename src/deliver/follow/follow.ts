/**
 * Serves destinations in steady traffic without a look at their rows. After an ordinary answer a turn hands its destination over, if it is
 * owed no more than the newest few thousand positions.
 * This process then reads the log once for all destinations that it follows, and sends what comes.
 *
 *     the log ──▶ followers (which get it, by audience) ──▶ follower ──▶ transaction (running ledger)
 *     a bell (our own ingest, a wish), or 25 ms ──▶ a round: read the log, then look after every follower
 *
 * EDUs come the same way, and wait in two lists of their own (`waiting.ts`). A follower's modes are in `follower.ts`, and what moves it between them is in `life.ts`. It is let go after two idle seconds, and goes back to
 * a turn after a minute in any case.
 */
import type { Random } from '../../pace/clock.ts'
import type { DestinationState } from '../../store/delivery/destination.ts'
import { readMembers, stopFollowing } from '../../store/delivery/follow-flag.ts'
import type { Held } from '../../store/delivery/leases.ts'
import { readLog } from '../../store/delivery/log-tail.ts'
import { eitherSignal, makeSignalsUnder, type EitherSignal } from '../../pace/either-signal.ts'
import { makeNudge } from '../../pace/nudge.ts'
import { become, type Follower } from './follower.ts'
import { makeLives, type LifeNeeds } from './life.ts'
import { makeFollowers } from './followers.ts'
import { KEPT } from './log-ring.ts'
import { runningLedger } from './running-ledger.ts'
import { beginningOf, takeAll } from './waiting.ts'
import { BLOCKED, type Blocking } from '../blocking.ts'
import { isPlain } from '../rules/isolation.ts'
import type { Lease } from '../lease-keeper.ts'
import type { Together } from '../together.ts'

export interface FollowNeeds extends LifeNeeds, Pick<Together, 'begin' | 'wished'> {
  blocking: Pick<Blocking, 'whenBlocked'>
  random: Random
  /** How many destinations are followed at most. */
  most: number
}

export interface Follow {
  has(name: string): boolean
  /**
   * Takes a destination over from its turn when nothing is owed to it up to its position, and no EDU up to the two cursors; false: the turn must look
   * again. `state.now` is the time of this call.
   */
  begin(turn: { held: Held; state: DestinationState; lease: Lease }): Promise<boolean>
  /** Whether `begin` is worth asking, for a destination that was in `state` and is owed nothing of any kind up to `position`. */
  mayBegin(state: DestinationState, position: number): boolean
  /** It was woken: its rows are looked at if that is wished. What is new in the log is seen anyway. */
  woken(name: string): void
  /** There is something new in the log. */
  nudge(): void
  /** Follows the log until `stopping`; resolves when everything is let go. */
  run(): Promise<void>
}

/** Items of another process are seen after this, ms; those of this one at once. */
const POLL_MS = 25
/** Log entries read at once. */
const READ_AT_ONCE = 1_000
/** And bytes of their texts. */
const READ_BYTES = 4_000_000
/** A destination that is farther behind the head, in positions, is not followed: the others would wait while its part of the log is read. */
const NEAR = KEPT
/** After this time in steady traffic the rows are looked at, ms (and up to half as much more). */
const TERM_MS = 60_000
const PAUSE_AFTER_FAULT_MS = 500

export function makeFollow(needs: FollowNeeds): Follow {
  const { pool, clock, log, stopping } = needs
  const followers = makeFollowers<Follower>()
  const lives = makeLives(needs, followers)
  const { byName, start, isDue, mayGoOn } = lives
  const bell = makeNudge(clock)

  let under: { lease: Lease; next: () => EitherSignal; forget: () => void } | null = null

  /** A signal of its own, which ends with those of all others under this lease. */
  function signalUnder(lease: Lease): EitherSignal {
    if (under?.lease !== lease) {
      under?.forget()
      const { signal, forget } = eitherSignal(lease.signal, needs.cutting)
      under = { lease, next: makeSignalsUnder(signal), forget }
    }
    return under.next()
  }

  /** It is blocked: its request ends, and a turn gives it back. */
  function cutOff(follower: Follower, own: EitherSignal): void {
    own.abort(BLOCKED)
    follower.look = true
    takeAll(follower)
    if (follower.mode === 'idle' && byName.get(follower.state.name) === follower) start(follower)
  }

  /** Who is in these rooms, as far as the log was read. */
  async function learn(rooms: readonly number[], upto = followers.upto()): Promise<void> {
    if (rooms.length === 0) return
    const from = followers.from()
    followers.learn(await readMembers(pool, rooms, from), { from, upto })
  }

  async function follow(): Promise<void> {
    // An event that came just before a release was kept from the fanout, as its destination was still followed: this read finds it. Listed before
    // the read, since only a read that begins after a release shows all that came before it.
    const released = [...followers.all()].filter(({ mode }) => mode === 'released')
    const read = await readLog(pool, followers.upto(), { rows: READ_AT_ONCE, bytes: READ_BYTES })
    await learn(followers.missing(read), read.upto)
    for (const follower of followers.take(read, clock.monotonic())) {
      if (follower.mode === 'idle' && isDue(follower)) start(follower)
      else if (follower.mode === 'released') lives.wakeReleased(follower)
    }
    if (read.more) bell.nudge()
    else {
      for (const follower of released) {
        if (follower.mode === 'released') become(follower, 'gone')
        followers.remove(follower)
      }
    }
    lives.lookAfter()
  }

  return {
    has: (name) => byName.has(name),
    mayBegin: (state, position) =>
      needs.lingerMs > 0 &&
      mayGoOn() &&
      followers.size() < needs.most &&
      state.head - position <= NEAR &&
      followers.knowsSince(position, state.id) &&
      isOrdinary(state),
    async begin({ held, state, lease }) {
      const asked = clock.monotonic()
      const { position, durablePos, ephemeralPos, wakeSeq, narrowedSeq } = state
      const begun = { held, wakeSeq, narrowedSeq, position, durablePos, ephemeralPos }
      if (!(await needs.begin.add(begun))) return false
      const lanes = { after: position, durableAfter: durablePos, ephemeralAfter: ephemeralPos }
      const nothing = { waiting: [], durable: [], ephemeral: [], waitsUntil: null }
      await learn(followers.missingSince(beginningOf({ ...lanes, ...nothing })))
      const now = clock.monotonic()
      const own = signalUnder(lease)
      // The ledger keeps its notes in the follower itself: `books` and `follower` are one object.
      const books: Omit<Follower, 'ledger'> = {
        id: held.destination,
        ...lanes,
        ...nothing,
        look: false,
        clockAhead: state.now - asked,
        ...{
          held,
          lease,
          signal: own.signal,
          state: { ...state },
          answered: null,
          slowAt: null,
        },
        ...{ mode: 'idle', sentAt: now, endsAt: now + TERM_MS * (1 + needs.random() / 2) },
        ended: () => {
          unwatch()
          own.forget()
        },
      }
      const follower: Follower = Object.assign(books, { ledger: runningLedger(books) })
      const unwatch = needs.blocking.whenBlocked(state.name, () => cutOff(follower, own))
      // If the daemon began to stop meanwhile, it would not wait for this one. If it was blocked meanwhile, its turn gives it back.
      if (!mayGoOn() || own.signal.aborted || !followers.add(follower)) {
        follower.ended()
        await stopFollowing(pool, held)
        return false
      }
      byName.set(state.name, follower)
      if (isDue(follower)) start(follower)
      // The first one: nothing is read while there is none.
      if (followers.size() === 1) bell.nudge()
      return true
    },
    woken(name) {
      const follower = byName.get(name)
      if (follower === undefined || follower.look) return
      const { held, state } = follower
      needs.wished
        .add({ destination: held.destination, wakeSeq: state.wakeSeq })
        // If the question fails, look.
        .catch(() => true)
        .then((wished) => {
          if (!wished || byName.get(name) !== follower) return
          follower.look = true
          if (follower.mode === 'idle') start(follower)
        })
        .catch((error: unknown) =>
          log.error({ err: error, destination: name }, 'a wish for a look could not be served'),
        )
    },
    nudge() {
      if (followers.size() > 0) bell.nudge()
    },
    async run() {
      while (!needs.cutting.aborted && (!stopping.aborted || followers.size() > 0 || lives.working() > 0)) {
        await bell.wait(followers.size() > 0 ? POLL_MS : 60_000, stopping)
        if (stopping.aborted) await clock.sleep(POLL_MS)
        if (followers.size() === 0) {
          lives.lookAfter()
          continue
        }
        try {
          await follow()
        } catch (error) {
          log.warn({ err: error }, 'the log could not be followed; trying again')
          await clock.sleep(PAUSE_AFTER_FAULT_MS, stopping)
          lives.lookAfter()
        }
      }
    },
  }
}

/** Healthy, and nothing is owed to it but what the log brings. */
function isOrdinary(state: DestinationState): boolean {
  const { paused, open, gap, owed, unlistedAt, timeoutMs, waiting, isolation } = state
  const { failures, retryAt, holdUntil, adviceAt, askedAt } = waiting
  if (!isPlain(isolation)) return false
  if (paused || open !== null || gap !== null || owed.length > 0 || unlistedAt !== null) return false
  return failures === 0 && [timeoutMs, retryAt, holdUntil, adviceAt, askedAt].every((it) => it === null)
}
