/**
 * What becomes of a destination that is followed: it sends, it lets go, or it goes back to a turn. Its modes are in `follower.ts`.
 */
import { stopFollowing } from '../../store/delivery/follow-flag.ts'
import { giveWay, type Held } from '../../store/delivery/leases.ts'
import type { Wake } from '../wake/fanout.ts'
import type { Lease } from '../lease-keeper.ts'
import type { Together } from '../together.ts'
import type { Turned } from '../turned.ts'
import { become, nowFor, sendWaiting, type Follower, type FollowerNeeds } from './follower.ts'
import type { Followers } from './followers.ts'
import { mayGo } from './plan-waiting.ts'
import { settle } from './running-ledger.ts'
import { takeAll } from './waiting.ts'

export interface LifeNeeds extends FollowerNeeds, Pick<Together, 'release'> {
  wake: Wake
  /** Looks at the rows and serves, under the same lease, until there is nothing to do; then it lets go. */
  serveOn: (held: Held, lease: Lease, signal: AbortSignal) => Promise<Turned>
  /** The same for a destination that this process no longer holds: it is taken again first, if it is free. */
  takeAgain: (name: string, signal: AbortSignal) => Promise<Turned>
  /** Names that have a turn in this process or are followed by it. */
  running: Set<string>
  /** How long a destination is followed after its last transaction, ms; 0: not at all. */
  lingerMs: number
  /** False: every destination is let go, and none is taken over, until it is true again. Left out: always true. */
  mayWork?: () => boolean
  /** Aborts when the daemon stops: nothing new is begun. */
  stopping: AbortSignal
  /** Aborts when it can't wait any longer for what is under way. */
  cutting: AbortSignal
}

export interface Lives {
  /** By the names of the destinations; one that is let go is not in it. */
  byName: Map<string, Follower>
  /** Something is to be done for one that is idle. */
  start: (follower: Follower) => void
  /** Whether something of what waits for it may go now, or a look is due. */
  isDue: (follower: Follower) => boolean
  /** Something came for one that was let go before another turn would be woken for it. */
  wakeReleased(follower: Follower): void
  /** Starts those that are idle and have something to do beside what the log brings. */
  lookAfter(): void
  /** How many are not idle. */
  working(): number
  mayGoOn: () => boolean
}

/** Events and durable EDUs that wait longer than this (ms) are dropped here and read by a turn, so that memory does not grow with a backlog. */
const OLDEST_MS = 30_000
/** Where more positions than this came since the first of what waits for its time, it is sent before a turn looks, which would read all that again; but only for so long, ms. */
const MANY = 500
const TERM_MORE_MS = 15_000
/** An answer is kept this long to be written with the next freeze, ms. After a crash before that, the transaction goes again. */
const SETTLE_MS = 100

export function makeLives(needs: LifeNeeds, followers: Followers<Follower>): Lives {
  const { pool, clock, log, running, stopping } = needs
  const byName = new Map<string, Follower>()
  let working = 0

  const ended = (): boolean => stopping.aborted
  const mayGoOn = (): boolean => !ended() && needs.mayWork?.() !== false

  /** No event is given to it any more. */
  function forget(follower: Follower): void {
    followers.remove(follower)
    if (byName.get(follower.state.name) === follower) byName.delete(follower.state.name)
  }

  /** This process does not serve it any more. */
  function finish(follower: Follower): void {
    become(follower, 'gone')
    forget(follower)
    running.delete(follower.state.name)
  }

  // EDUs that wait for their time are sent by who has them: a turn would read them again.
  const isTired = ({ sentAt, ephemeral }: Follower): boolean =>
    ephemeral.length === 0 && clock.monotonic() - sentAt > needs.lingerMs
  const isDue = (follower: Follower): boolean => follower.look || mayGo(follower, nowFor(needs, follower))
  const isTermOver = ({ endsAt, ephemeral }: Follower): boolean => {
    const upto = followers.upto()
    const more = upto - (ephemeral[0]?.edu.pos ?? upto) > MANY ? TERM_MORE_MS : 0
    return clock.monotonic() > endsAt + more
  }
  const mustSettle = ({ answered, sentAt }: Follower): boolean =>
    answered !== null && clock.monotonic() - sentAt >= SETTLE_MS

  function start(follower: Follower): void {
    become(follower, 'busy')
    working += 1
    void work(follower)
      .catch((error: unknown) => {
        // Its rows say what is unanswered; `wake/abandoned.ts` gives it back.
        log[ended() ? 'info' : 'error'](
          { err: error, destination: follower.state.name },
          'serving a followed destination failed',
        )
        if (follower.mode !== 'gone') finish(follower)
      })
      .finally(() => (working -= 1))
  }

  async function work(follower: Follower): Promise<void> {
    while (!follower.look && mayGoOn()) {
      if (!follower.lease.stillHeld()) {
        finish(follower)
        return
      }
      if (isTermOver(follower)) follower.look = true
      else if (isDue(follower)) {
        if (await sendWaiting(needs, follower, () => followers.upto())) follower.sentAt = clock.monotonic()
      } else if (mustSettle(follower)) await writeDown(follower)
      else if (isTired(follower)) break
      else {
        become(follower, 'idle')
        return
      }
    }
    await (follower.look ? leave(follower) : letGo(follower))
  }

  /** Its last answer. */
  async function writeDown(follower: Follower): Promise<void> {
    if (!(await settle(needs, follower))) follower.look = true
  }

  /**
   * Back to a turn. What still waits is read again from the rows. After a failure the turn finds the destination not due, and lets it go with
   * the time of its next attempt.
   */
  async function leave(follower: Follower): Promise<void> {
    if (follower.mode === 'busy') become(follower, 'leaving')
    forget(follower)
    if (follower.answered !== null) await writeDown(follower)
    const { name } = follower.state
    const turned = await backToTurn(follower)
    become(follower, 'gone')
    if (turned.followed !== true) running.delete(name)
    if (turned.again) wake(name, turned.quick === true)
  }

  async function backToTurn({ held, lease, signal, slowAt, state }: Follower): Promise<Turned> {
    if (!(await stopFollowing(pool, held))) return needs.takeAgain(state.name, needs.cutting)
    if (slowAt === null) return needs.serveOn(held, lease, signal)
    // A slow destination goes to the queue `recovery`, which has few places of its own.
    const quick = await giveWay(pool, held, Math.ceil(slowAt))
    return { again: quick !== null, quick: quick === true }
  }

  const isConcerned = ({ waiting, durable, ephemeral, look }: Follower): boolean =>
    waiting.length + durable.length + ephemeral.length > 0 || look

  /** Its row is freed, with its position and the cursors of its EDUs. Where it can't be (a wish, something narrowed), it goes back to a turn. */
  async function letGo(follower: Follower): Promise<void> {
    become(follower, 'leaving')
    if (follower.answered !== null) await writeDown(follower)
    const { held, state, waiting, durable, ephemeral } = follower
    // A follower that must look gets no more events: only the rows know what its destination is owed.
    if (follower.look) return leave(follower)
    const { wakeSeq, narrowedSeq } = state
    const upto = (settled: number, left: readonly unknown[]) =>
      left.length > 0 ? settled : Math.max(settled, followers.upto())
    const position = upto(state.position, waiting)
    const durablePos = upto(state.durablePos, durable)
    const ephemeralPos = upto(state.ephemeralPos, ephemeral)
    const released = { held, wakeSeq, narrowedSeq, position, durablePos, ephemeralPos }
    if (!(await needs.release.add(released))) return leave(follower)
    running.delete(state.name)
    byName.delete(state.name)
    // What came before the commit woke no turn: the read that begins after it tells (`follow` in follow.ts).
    become(follower, 'released')
    if (isConcerned(follower)) wakeReleased(follower)
  }

  function wakeReleased(follower: Follower): void {
    become(follower, 'gone')
    followers.remove(follower)
    wake(follower.state.name, true)
  }

  /** A wake that fails is only logged: the destination may already be held by another process. */
  function wake(name: string, quick: boolean): void {
    needs
      .wake([{ name, quick }])
      .catch((error: unknown) => log.debug({ err: error }, 'a wake was lost; the sweep finds it'))
  }

  function lookAfter(): void {
    const now = clock.monotonic()
    for (const follower of byName.values()) {
      const readAt = Math.min(follower.waiting[0]?.readAt ?? now, follower.durable[0]?.readAt ?? now)
      if (follower.mode === 'busy' && now - readAt > OLDEST_MS) {
        follower.look = true
        takeAll(follower)
      }
      if (follower.mode !== 'idle') continue
      if (!follower.lease.stillHeld()) finish(follower)
      else if (isDue(follower) || mustSettle(follower) || isTired(follower) || !mayGoOn()) start(follower)
    }
  }

  return { byName, start, isDue, wakeReleased, lookAfter, working: () => working, mayGoOn }
}
