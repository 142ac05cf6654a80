/**
 * Serves those that are at hand, with an idle connection of this process, at once, and wakes the others through the queue.
 *
 * The queue is first come, first served, and thousands that are not connected may wait there; each of those takes a dial, those at hand take
 * none. Nor are they behind those that hang: what takes long does not count among the few that are served at once. What is begun here and does not end is found by the sweep, as what the queue loses is.
 */
import type { Log } from '../../observe/log.ts'
import type { Clock } from '../../pace/clock.ts'
import type { Sleeper } from '../../store/delivery/wake-lists.ts'
import { PATIENCE_MS } from '../impatience.ts'
import type { ServeTurn } from '../turned.ts'
import type { Wake } from './fanout.ts'

export interface AtHandNeeds {
  /** Through the queue. */
  wake: Wake
  turn: ServeTurn
  /** Whether this process has an idle connection to it. */
  isConnected: (name: string) => boolean
  /** Aborts when nothing new is begun any more. */
  stopping: AbortSignal
  /** Ends what is under way. */
  cutting: AbortSignal
  clock: Pick<Clock, 'monotonic'>
  log: Log
}

export interface AtHand {
  wake: Wake
  /** Resolves when nothing that was begun here is under way. */
  ended(): Promise<void>
}

/** Destinations that are served here at once, beside those that take long; more than that have the queue's limits. */
const AT_ONCE = 64

export function makeAtHand({ wake, turn, isConnected, stopping, cutting, clock, log }: AtHandNeeds): AtHand {
  const serving = new Map<string, Promise<void>>()
  /** Those of them that have not taken long so far, and since when, oldest first. */
  const young = new Map<string, number>()

  function isFull(): boolean {
    const latest = clock.monotonic() - PATIENCE_MS
    for (const [name, since] of young) {
      if (since > latest) break
      young.delete(name)
    }
    return young.size >= AT_ONCE
  }

  async function serve({ name, quick }: Sleeper): Promise<void> {
    try {
      const turned = await turn(name, cutting)
      if (turned.again) await wake([{ name, quick: turned.quick ?? quick }])
    } catch (error) {
      log[stopping.aborted ? 'info' : 'error']({ err: error, destination: name }, 'a turn failed')
    } finally {
      serving.delete(name)
      young.delete(name)
    }
  }

  return {
    async wake(sleepers) {
      const toQueue = sleepers.filter((sleeper) => {
        const { name, quick } = sleeper
        // One that is being served may end before it sees why it is woken: the queue keeps that.
        const waits = serving.has(name) || isFull()
        if (!quick || waits || stopping.aborted || !isConnected(name)) return true
        young.set(name, clock.monotonic())
        serving.set(name, serve(sleeper))
        return false
      })
      if (toQueue.length > 0) await wake(toQueue)
    },
    async ended() {
      await Promise.all(serving.values())
    },
  }
}
