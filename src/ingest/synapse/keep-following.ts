/**
 * The loop that follows a source: takes what there is, waits for more, and goes on after any failure. It retries
 * sooner if the window was too large, and later with each other failure. It ends with `signal`, or if this Synapse
 * must not be read.
 */
import type { Clock } from '../../pace/clock.ts'
import type { Log } from '../../observe/log.ts'
import type { Bell } from './bell.ts'
import type { Progress } from './progress.ts'
import type { ReaderLease } from './reader-lease.ts'
import { refusalOf, SynapseRefused } from './refused.ts'
import { isTooSlow } from './too-slow.ts'

export interface SourceFollowNeeds {
  /** Done once, before anything is read: whether it may be. */
  readonly check: () => Promise<void>
  /** Takes all there is now. */
  readonly catchUp: (signal: AbortSignal) => Promise<void>
  /** Reads less at once from now on; false: it is the least already. */
  readonly halve: () => boolean
  readonly bell: Pick<Bell, 'wait'>
  readonly lease: Pick<ReaderLease, 'giveWay'> | undefined
  readonly progress: Pick<Progress, 'failed'> | undefined
  readonly pollMs: number
  readonly clock: Clock
  readonly log: Log
}

/** In a row; then another process may have better luck. */
const FAILURES_ENOUGH = 3
const LONGEST_WAIT_MS = 30_000

/** @throws SynapseRefused where this Synapse must not be read */
export async function keepFollowing(needs: SourceFollowNeeds, signal: AbortSignal): Promise<void> {
  const { bell, lease, progress, pollMs, clock, log } = needs
  let checked = false
  let failures = 0
  let halved = false
  while (!signal.aborted) {
    try {
      if (!checked) await needs.check()
      checked = true
      await needs.catchUp(signal)
      if (failures > 0) log.info('Synapse: its stream is read again')
      failures = 0
    } catch (error) {
      const cause = refusalOf(error)
      progress?.failed(cause)
      if (cause instanceof SynapseRefused) throw cause
      halved = isTooSlow(error) && needs.halve()
      failures += 1
      if (failures >= FAILURES_ENOUGH) await lease?.giveWay()
      if (failures === 1) log.warn({ err: error }, 'Synapse: its stream could not be read; trying again')
    }
    if (failures === 0) await bell.wait(pollMs, signal)
    else if (halved) await clock.sleep(pollMs, signal)
    else await clock.sleep(Math.min(pollMs * 2 ** failures, LONGEST_WAIT_MS), signal)
  }
}
