/**
 * One turn for one destination: it is taken, then served (`serve.ts`).
 *
 * Always: what is decided is decided by the holder of the destination's lease, from rows, and every write
 * names the lease's fence. A turn that throws has half-recorded nothing; `wake/abandoned.ts` gives the destination
 * back.
 */
import { bumpWake } from '../store/delivery/leases.ts'
import { eitherSignal } from '../pace/either-signal.ts'
import { BLOCKED, type Blocking } from './blocking.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import { serve, type ServeNeeds } from './serve.ts'
import type { Together } from './together.ts'
import type { ServeTurn, Turned } from './turned.ts'

export interface TurnNeeds extends ServeNeeds, Pick<Together, 'take'> {
  /** The process' lease; `next` gives null where nothing may be done here. */
  lease: Pick<LeaseKeeper, 'next' | 'over'>
  /** Names of the destinations that have a turn in this process. Kept here, from before one is taken. */
  running: Set<string>
  /** Nothing is sent to it (`blocking.ts`); one that is blocked while it has a turn is cut off. */
  blocking: Pick<Blocking, 'isBlocked' | 'whenBlocked'>
}

const A_MOMENT_MS = 50

export function makeTurn(needs: TurnNeeds): ServeTurn {
  const { running, follow } = needs
  return async (name, signal) => {
    if (needs.blocking.isBlocked(name)) return DONE
    if (follow?.has(name) === true) {
      follow.woken(name)
      return DONE
    }
    if (running.has(name)) {
      if (await bumpWake(needs.pool, name)) return DONE
      // Its holder may just have let go, and hear of it a moment later: then no turn looks. Or its lease was over and
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

/** Takes it, if no other turn or process has it, and serves it. The caller has it in `running`. */
export async function takeAndServe(needs: TurnNeeds, name: string, signal: AbortSignal): Promise<Turned> {
  for (;;) {
    const lease = await needs.lease.next()
    if (lease === null || needs.stopping.aborted || signal.aborted) return DONE
    const taken = await needs.take.add({ worker: lease.id, name })
    if (taken.kind === 'taken') {
      const either = eitherSignal(lease.signal, signal)
      const unwatch = needs.blocking.whenBlocked(name, () => either.abort(BLOCKED))
      return serve(needs, taken.held, lease, either.signal).finally(() => {
        unwatch()
        either.forget()
      })
    }
    if (taken.kind !== 'over') return DONE
    needs.lease.over(lease.id)
  }
}
