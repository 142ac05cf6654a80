/**
 * Whom this process woke a moment ago, and for what: a job that waits for its turn is not added again and again.
 *
 * Always: forgotten after ten seconds. Whatever the queue has lost is woken again then.
 */
import type { Clock } from '../../pace/clock.ts'

export interface Woken {
  /** It was woken for this a moment ago. */
  has(name: string, why: number | null): boolean
  note(name: string, why: number | null): void
}

/** A destination is not woken again for the same before this, ms: its job may wait for its turn. */
const PATIENCE_MS = 10_000

export function makeWoken(clock: Clock): Woken {
  // In the order in which they were woken.
  const woken = new Map<string, { why: number | null; at: number }>()

  function forgetOld(): void {
    const now = clock.monotonic()
    for (const [name, { at }] of woken) {
      if (now - at <= PATIENCE_MS) return
      woken.delete(name)
    }
  }

  return {
    has(name, why) {
      forgetOld()
      const last = woken.get(name)
      return last !== undefined && last.why === why
    },
    note(name, why) {
      woken.delete(name)
      woken.set(name, { why, at: clock.monotonic() })
    },
  }
}
