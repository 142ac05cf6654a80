/**
 * Serves destinations in steady traffic without a look at their rows: after its last transaction a turn hands its
 * destination over, this process follows the log for it, and sends what comes.
 *
 * Always: under the same lease and fence as the turn; nothing is frozen after somebody else's wish or a redaction that
 * is not known here (`advance.ts` asks). What is not ordinary goes back to a turn that looks at the rows: a sticky
 * event, a failure, a slow answer, a join. Nobody is kept for long without traffic, nor for ever with it.
 */
import type { Batcher } from '../batcher.ts'
import type { Clock, Random } from '../clock.ts'
import type { Log } from '../observe/log.ts'
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/destination-state.ts'
import { stopFollowing, type Following, type Known, type Stretch } from '../store/follow.ts'
import { giveWay, type Held } from '../store/leases.ts'
import { readLog } from '../store/log-tail.ts'
import { eitherSignal, type EitherSignal } from '../either-signal.ts'
import type { Wake } from './fanout.ts'
import { makeFollowers, type Followed } from './followers.ts'
import type { Lease } from './lease-keeper.ts'
import type { Turned } from './turn.ts'
import { settle, sendWaiting, type Steady, type SteadyNeeds } from './steady.ts'

export interface FollowNeeds extends SteadyNeeds {
  pool: Pool
  clock: Clock
  random: Random
  log: Log
  begin: Batcher<Following, readonly Stretch[] | null>
  release: Batcher<Following, boolean>
  /** Whether somebody wishes a look at its rows. */
  wished: Batcher<Known, boolean>
  wake: Wake
  /** Looks at the rows and serves, under the same lease, until there is nothing to do; then it lets go. */
  serveOn: (held: Held, lease: Lease, signal: AbortSignal) => Promise<Turned>
  /** The same for one that turned out to be held no more; it is taken first, if nobody else has it. */
  takeAgain: (name: string, signal: AbortSignal) => Promise<Turned>
  /** Names that have a turn in this process or are followed by it. */
  running: Set<string>
  /** How long after the last transaction, ms; 0: not at all. */
  lingerMs: number
  /** Most of them at once. */
  most: number
  /** False: everybody is let go, and nobody is taken over, until it is true again. Left out: always true. */
  mayWork?: () => boolean
  /** Aborts when the daemon stops: nothing new is begun. */
  stopping: AbortSignal
  /** Aborts when it can't wait any longer for what is under way. */
  cutting: AbortSignal
}

export interface Follow {
  has(name: string): boolean
  /** Takes a destination over from its turn, which owes it nothing up to its position; false: the turn must look again. */
  begin(turn: { held: Held; state: DestinationState; lease: Lease }): Promise<boolean>
  /** Whether `begin` is worth asking, for a destination that was in `state` and is owed nothing up to `position`. */
  mayBegin(state: DestinationState, position: number): boolean
  /** It was woken: its rows are looked at if somebody wishes that. What is new in the log is seen anyway. */
  woken(name: string): void
  /** There is something new in the log. */
  nudge(): void
  /** Follows the log until `stopping`; resolves when everything is let go. */
  run(): Promise<void>
}

interface Follower extends Followed, Steady {
  mode: 'idle' | 'busy' | 'leaving' | 'released'
  /** Its last transaction, by the monotonic clock, ms. */
  sentAt: number
  /** Its rows are looked at then, whatever happens. */
  endsAt: number
}

/** Items of another process are seen after this, ms; those of this one at once. */
const POLL_MS = 25
const RUNG = Symbol('rung')
/** Log entries read at once. */
const READ_AT_ONCE = 1_000
/** And bytes of their texts. */
const READ_BYTES = 4_000_000
/** What waits longer for one destination is read from the log again: memory does not grow with a backlog, ms. */
const OLDEST_MS = 5_000
/** Who is farther behind the head, in positions, reads the log by itself: all others would wait for it. */
const NEAR = READ_AT_ONCE
/** After so long with steady traffic the rows are looked at once, ms (and up to half as much more). */
const TERM_MS = 60_000
/** An answer waits so long for the next transaction, to be written with it, ms; in a crash before that it is repeated. */
const SETTLE_MS = 100
const PAUSE_AFTER_FAULT_MS = 500

export function makeFollow(needs: FollowNeeds): Follow {
  const { pool, clock, log, running, stopping } = needs
  const followers = makeFollowers<Follower>()
  const byName = new Map<string, Follower>()
  let ring: () => void = () => undefined
  let rung = false
  let working = 0

  const ended = (): boolean => stopping.aborted
  const mayGoOn = (): boolean => !ended() && needs.mayWork?.() !== false
  let both: ({ lease: Lease } & EitherSignal) | null = null

  /** One for all that a lease holds. */
  function signalOf(lease: Lease): AbortSignal {
    if (both?.lease !== lease) {
      both?.forget()
      both = { lease, ...eitherSignal(lease.signal, needs.cutting) }
    }
    return both.signal
  }

  function forget(follower: Follower): void {
    followers.remove(follower)
    if (byName.get(follower.state.name) === follower) byName.delete(follower.state.name)
  }

  /** It is nobody's here any more. */
  function finish(follower: Follower): void {
    forget(follower)
    running.delete(follower.state.name)
  }

  const isTired = ({ sentAt }: Follower): boolean => clock.monotonic() - sentAt > needs.lingerMs
  const mustSettle = ({ answered, sentAt }: Follower): boolean =>
    answered !== null && clock.monotonic() - sentAt >= SETTLE_MS

  function start(follower: Follower): void {
    follower.mode = 'busy'
    working += 1
    void work(follower)
      .catch((error: unknown) => {
        // Its rows say what is unanswered; `abandoned.ts` gives it back.
        log[ended() ? 'info' : 'error'](
          { err: error, destination: follower.state.name },
          'a followed destination broke off',
        )
        finish(follower)
      })
      .finally(() => (working -= 1))
  }

  async function work(follower: Follower): Promise<void> {
    while (!follower.look && mayGoOn()) {
      if (!follower.lease.stillHeld()) {
        finish(follower)
        return
      }
      if (clock.monotonic() > follower.endsAt) follower.look = true
      else if (follower.waiting.length > 0) {
        await sendWaiting(needs, follower, () => followers.upto())
        follower.sentAt = clock.monotonic()
      } else if (mustSettle(follower)) await settle(needs, follower)
      else if (isTired(follower)) break
      else {
        follower.mode = 'idle'
        return
      }
    }
    await (follower.look ? leave(follower) : letGo(follower))
  }

  /** Back to a turn. */
  async function leave(follower: Follower): Promise<void> {
    follower.mode = 'leaving'
    forget(follower)
    if (follower.answered !== null) await settle(needs, follower)
    const { name } = follower.state
    const turned = await backToTurn(follower)
    if (turned.followed !== true) running.delete(name)
    if (turned.again) wake(name, turned.quick === true)
  }

  async function backToTurn({ held, lease, signal, slowAt, state }: Follower): Promise<Turned> {
    if (!(await stopFollowing(pool, held))) return needs.takeAgain(state.name, needs.cutting)
    if (slowAt === null) return needs.serveOn(held, lease, signal)
    // The slow have few places of their own: it waits for one of these.
    const quick = await giveWay(pool, held, Math.ceil(slowAt))
    return { again: quick !== null, quick: quick === true }
  }

  const isConcerned = ({ waiting, look }: Follower): boolean => waiting.length > 0 || look

  async function letGo(follower: Follower): Promise<void> {
    follower.mode = 'leaving'
    if (follower.answered !== null) await settle(needs, follower)
    const { held, state, waiting } = follower
    // Who must look is given nothing any more: only the rows know what it is owed.
    if (follower.look) return leave(follower)
    const position = waiting.length > 0 ? state.position : Math.max(state.position, followers.upto())
    const { wakeSeq, narrowedSeq } = state
    if (!(await needs.release.add({ held, wakeSeq, narrowedSeq, position }))) return leave(follower)
    running.delete(state.name)
    byName.delete(state.name)
    // What came before the commit woke nobody: the read that begins after it tells (`run`).
    follower.mode = 'released'
    if (isConcerned(follower)) wakeReleased(follower)
  }

  function wakeReleased(follower: Follower): void {
    followers.remove(follower)
    wake(follower.state.name, true)
  }

  /** By now it may be somebody else's: no fault of the queue's is its. */
  function wake(name: string, quick: boolean): void {
    needs
      .wake([{ name, quick }])
      .catch((error: unknown) => log.debug({ err: error }, 'a wake was lost; the sweep finds it'))
  }

  function lookAfter(): void {
    const now = clock.monotonic()
    for (const follower of byName.values()) {
      const [oldest] = follower.waiting
      if (follower.mode === 'busy' && oldest !== undefined && now - oldest.readAt > OLDEST_MS) {
        follower.look = true
        follower.waiting = []
      }
      if (follower.mode !== 'idle') continue
      if (!follower.lease.stillHeld()) finish(follower)
      else if (follower.look || mustSettle(follower) || isTired(follower) || !mayGoOn()) start(follower)
    }
  }

  async function follow(): Promise<void> {
    const released = [...followers.all()].filter(({ mode }) => mode === 'released')
    const read = await readLog(pool, followers.upto(), { rows: READ_AT_ONCE, bytes: READ_BYTES })
    for (const follower of followers.take(read, clock.monotonic())) {
      if (follower.mode === 'idle') start(follower)
      else if (follower.mode === 'released') wakeReleased(follower)
    }
    if (read.more) rung = true
    else for (const follower of released) followers.remove(follower)
    lookAfter()
  }

  async function pause(ms: number): Promise<void> {
    if (rung) return
    const bell = new AbortController()
    // Without a reason, each call makes an error with its stack.
    ring = () => bell.abort(RUNG)
    const either = eitherSignal(stopping, bell.signal)
    await clock.sleep(ms, either.signal)
    either.forget()
  }

  return {
    has: (name) => byName.has(name),
    mayBegin: (state, position) =>
      needs.lingerMs > 0 &&
      mayGoOn() &&
      followers.size() < needs.most &&
      state.head - position <= NEAR &&
      followers.knowsSince(position) &&
      isOrdinary(state),
    async begin({ held, state, lease }) {
      const { position, wakeSeq, narrowedSeq } = state
      const stretches = await needs.begin.add({ held, wakeSeq, narrowedSeq, position })
      if (stretches === null) return false
      const now = clock.monotonic()
      const follower: Follower = {
        id: held.destination,
        rooms: new Map(stretches.map((stretch) => [stretch.room, stretch])),
        after: position,
        waiting: [],
        look: false,
        ...{ held, lease, signal: signalOf(lease), state: { ...state }, answered: null, slowAt: null },
        ...{ mode: 'idle', sentAt: now, endsAt: now + TERM_MS * (1 + needs.random() / 2) },
      }
      // Two stretches in one room (it left and is back): the look that follows sees the newer one only. And a stop that
      // came meanwhile waits for nobody who is added after it.
      if (!mayGoOn() || follower.rooms.size < stretches.length || !followers.add(follower)) {
        await stopFollowing(pool, held)
        return false
      }
      byName.set(state.name, follower)
      if (follower.waiting.length > 0 || follower.look) start(follower)
      ring()
      return true
    },
    woken(name) {
      const follower = byName.get(name)
      if (follower === undefined || follower.look) return
      const { held, state } = follower
      needs.wished
        .add({ destination: held.destination, wakeSeq: state.wakeSeq })
        // What could not be asked is looked at.
        .catch(() => true)
        .then((wished) => {
          if (!wished || byName.get(name) !== follower) return
          follower.look = true
          if (follower.mode === 'idle') start(follower)
        })
        .catch((error: unknown) => log.error({ err: error, destination: name }, 'a wish was lost'))
    },
    nudge() {
      if (followers.size() === 0) return
      rung = true
      ring()
    },
    async run() {
      while (!needs.cutting.aborted && (!ended() || followers.size() > 0 || working > 0)) {
        await pause(followers.size() > 0 ? POLL_MS : 60_000)
        rung = false
        if (ended()) await clock.sleep(POLL_MS)
        if (followers.size() === 0) {
          lookAfter()
          continue
        }
        try {
          await follow()
        } catch (error) {
          log.warn({ err: error }, 'the log could not be followed; trying again')
          await clock.sleep(PAUSE_AFTER_FAULT_MS, stopping)
          lookAfter()
        }
      }
    },
  }
}

/** Healthy, and nothing is owed to it but what the log brings. */
function isOrdinary({ paused, open, gap, owed, unlistedAt, timeoutMs, waiting }: DestinationState): boolean {
  const { failures, retryAt, holdUntil, adviceAt, askedAt } = waiting
  if (paused || open !== null || gap !== null || owed.length > 0 || unlistedAt !== null) return false
  return failures === 0 && [timeoutMs, retryAt, holdUntil, adviceAt, askedAt].every((it) => it === null)
}
