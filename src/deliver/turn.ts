/**
 * One turn for one destination: take it, then look and do, until there is nothing to do.
 *
 * Always: what is decided is decided by the holder of the destination's lease, from rows, and every write
 * names the lease's fence. A turn that throws has half-recorded nothing; `abandoned.ts` gives the destination
 * back. A turn lets go only if nobody wished another look since it looked last.
 */
import { loadDestination } from '../store/destination-state.ts'
import { bumpWake, giveWay, releaseDestination, takeDestination, type Held } from '../store/leases.ts'
import { eitherSignal } from '../either-signal.ts'
import type { Follow } from './follow/follow.ts'
import type { Lease, LeaseKeeper } from './lease-keeper.ts'
import { look, type LookNeeds } from './look.ts'

export interface TurnNeeds extends LookNeeds {
  /** The process' lease; `next` gives null where nothing may be done here. */
  lease: Pick<LeaseKeeper, 'next' | 'over'>
  /** Names of the destinations that have a turn in this process. Kept here, from before one is taken. */
  running: Set<string>
  /** Takes over destinations that may get more at once; null: nobody does. */
  follow: Pick<Follow, 'has' | 'mayBegin' | 'begin' | 'woken'> | null
  /** Aborts when the daemon stops: the transaction under way may end, no other is begun. */
  stopping: AbortSignal
}

export interface Turned {
  /** It gave up its turn although more is left. */
  again: boolean
  /** It is followed from now on: its follower has it in `running`. */
  followed?: boolean
  /** Then: whether it belongs into the lane of those that answer quickly; it may have become slow meanwhile. */
  quick?: boolean
}

/** Serves one destination. */
export type Turn = (destination: string, signal: AbortSignal) => Promise<Turned>

/** A turn that has sent so many gives way to others. */
const TRANSACTIONS_A_TURN = 50
const TURN_MS = 5_000
const A_MOMENT_MS = 50

export function makeTurn(needs: TurnNeeds): Turn {
  const { running, follow } = needs
  return async (name, signal) => {
    if (follow?.has(name) === true) {
      follow.woken(name)
      return DONE
    }
    if (running.has(name)) {
      if (await bumpWake(needs.pool, name)) return DONE
      // Its holder may just have let go, and hear of it a moment later: then nobody looks. Or its lease was over and
      // it still waits for an answer, which may take long.
      await needs.clock.sleep(A_MOMENT_MS, signal)
      return { again: true }
    }
    running.add(name)
    let followed = false
    try {
      const turned = await takeAndServe(needs, name, signal)
      followed = turned.followed === true
      return turned
    } finally {
      if (!followed) running.delete(name)
    }
  }
}

const DONE: Turned = { again: false }
const FOLLOWED: Turned = { again: false, followed: true }

/** Takes it, if nobody else has it, and serves it. The caller has it in `running`. */
export async function takeAndServe(needs: TurnNeeds, name: string, signal: AbortSignal): Promise<Turned> {
  for (;;) {
    const lease = await needs.lease.next()
    if (lease === null || needs.stopping.aborted || signal.aborted) return DONE
    const taken = await takeDestination(needs.pool, lease.id, name)
    if (taken.kind === 'taken') {
      const either = eitherSignal(lease.signal, signal)
      return serve(needs, taken.held, lease, either.signal).finally(either.forget)
    }
    if (taken.kind !== 'over') return DONE
    needs.lease.over(lease.id)
  }
}

/** Serves one that is held, until there is nothing to do or its turn is used up; then it lets go. */
export async function serve(
  needs: TurnNeeds,
  held: Held,
  lease: Lease,
  signal: AbortSignal,
): Promise<Turned> {
  const { pool, clock, stopping, follow } = needs
  let began: number | null = null
  for (let sent = 0; ;) {
    const state = await loadDestination(pool, held)
    if (state?.held !== true) return DONE
    // Its time runs from its first connection: what it waited for before that, others had.
    const usedUp = sent >= TRANSACTIONS_A_TURN || (began !== null && clock.monotonic() - began > TURN_MS)
    if (usedUp || stopping.aborted || signal.aborted) {
      const quick = await giveWay(pool, held, state.now)
      return { again: usedUp && quick !== null, quick: quick === true }
    }
    const looked = await look(needs, { held, state, lease, signal })
    if (looked.kind === 'give way') {
      const quick = await giveWay(pool, held, state.now)
      return { again: quick !== null, quick: quick === true }
    }
    if (looked.kind === 'sent') {
      sent += 1
      began ??= looked.connectedAt
      const { settled } = looked
      if (settled === null || follow?.mayBegin(state, settled.position) !== true) continue
      if (await follow.begin({ held, state: { ...state, ...settled }, lease })) return FOLLOWED
    }
    if (looked.kind !== 'let go') continue
    const { lookAt, position } = looked
    const { wakeSeq, head: readAt } = state
    if (await releaseDestination(pool, held, { wakeSeq, lookAt, position, readAt })) return DONE
  }
}
