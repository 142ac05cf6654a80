/**
 * Outcomes that are still good, by key, for as long as each may be kept.
 *
 * Always: at most `most` are kept, of which the one that was used least recently gives way; what is over goes with the next use
 * after `SWEEP_MS`. A time is over as soon as one of the two clocks says so: one stands still while the machine sleeps, the other jumps.
 */
import type { Clock } from '../../pace/clock.ts'

export interface AnswerCache<Value> {
  /** And for how long it may still be kept, ms. */
  get(key: string): { readonly value: Value; readonly leftMs: number } | null
  set(key: string, value: Value, keptMs: number): void
  clear(): void
  readonly size: number
}

interface Entry<Value> {
  value: Value
  untilMs: number
  untilWallMs: number
  keptMs: number
}

const SWEEP_MS = 30_000

export function makeAnswerCache<Value>({ clock, most }: { clock: Clock; most: number }): AnswerCache<Value> {
  // In the order of their use.
  const entries = new Map<string, Entry<Value>>()
  let sweptMs = clock.monotonic()

  const leftOf = ({ untilMs, untilWallMs, keptMs }: Entry<Value>): number =>
    Math.min(untilMs - clock.monotonic(), untilWallMs - clock.now(), keptMs)

  function sweep(): void {
    if (clock.monotonic() - sweptMs < SWEEP_MS) return
    sweptMs = clock.monotonic()
    for (const [key, entry] of entries) if (leftOf(entry) <= 0) entries.delete(key)
  }

  return {
    get(key) {
      sweep()
      const entry = entries.get(key)
      if (entry === undefined) return null
      entries.delete(key)
      const leftMs = leftOf(entry)
      if (leftMs <= 0) return null
      entries.set(key, entry)
      return { value: entry.value, leftMs }
    },
    set(key, value, keptMs) {
      sweep()
      entries.delete(key)
      if (keptMs <= 0) return
      const times = { untilMs: clock.monotonic() + keptMs, untilWallMs: clock.now() + keptMs, keptMs }
      entries.set(key, { value, ...times })
      const [oldest] = entries.keys()
      if (entries.size > most && oldest !== undefined) entries.delete(oldest)
    },
    clear: () => entries.clear(),
    get size() {
      return entries.size
    },
  }
}
