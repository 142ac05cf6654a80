/**
 * Several ways to the same thing: which of them gets there first?
 *
 * RFC 8305, 5: one attempt after another, each a little later than the one before, or at once where one has failed. None
 * is cut off for that: the first that succeeds wins, and only then are the others ended. An attempt that is getting on
 * (`moved`) gives itself as long again, and one that waits for something of our own (`hold`) starts no other.
 */
import { timerMs } from '../pace/clock.ts'

export interface Runner {
  /** Ends with the race: an attempt has to give up at once, and to leave nothing behind. */
  readonly signal: AbortSignal
  /** From now until `moved` no further attempt starts. */
  hold(): void
  moved(): void
}

export type Attempted<T, F> =
  { readonly kind: 'won'; readonly value: T } | { readonly kind: 'lost'; readonly why: F }

export interface Race<P, T, F> {
  readonly places: readonly P[]
  readonly attempt: (place: P, runner: Runner) => Promise<Attempted<T, F>>
  readonly staggerMs: number
  readonly signal: AbortSignal
  /** For what was won a moment after another, or after the end. */
  readonly discard: (value: T) => void
}

export type Raced<P, T, F> =
  | { readonly kind: 'won'; readonly place: P; readonly value: T }
  /** In the order in which they failed; all of them, except where `signal` ended it. */
  | { readonly kind: 'lost'; readonly whys: readonly F[] }

/** RFC 8305, 8: "Connection Attempt Delay". */
export const STAGGER_MS = 250

export function race<P, T, F>({
  places,
  attempt,
  staggerMs,
  signal,
  discard,
}: Race<P, T, F>): Promise<Raced<P, T, F>> {
  return new Promise((resolve, reject) => {
    const whys: F[] = []
    const ending = new AbortController()
    let timer: NodeJS.Timeout | undefined
    let started = 0
    let running = 0
    let over = false
    const holding = new Set<Runner>()

    const abort = () => {
      over = true
      clearTimeout(timer)
      ending.abort()
      if (running === 0) end({ kind: 'lost', whys })
    }
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    else next()

    function end(raced: Raced<P, T, F>): void {
      resolve(raced)
      forget()
    }

    /** What an attempt throws is an error of ours. */
    function fail(error: unknown): void {
      reject(error instanceof Error ? error : new Error('something was thrown that is not an error'))
      forget()
    }

    function forget(): void {
      over = true
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      ending.abort()
    }

    function wait(): void {
      clearTimeout(timer)
      if (!over && holding.size === 0 && started < places.length) timer = setTimeout(next, timerMs(staggerMs))
    }

    function next(): void {
      const place = places[started]
      if (place === undefined) {
        if (running === 0) end({ kind: 'lost', whys })
        return
      }
      started++
      running++
      const runner: Runner = {
        signal: ending.signal,
        hold() {
          holding.add(runner)
          clearTimeout(timer)
        },
        moved() {
          holding.delete(runner)
          wait()
        },
      }
      wait()
      attempt(place, runner).then((attempted) => {
        running--
        holding.delete(runner)
        if (attempted.kind === 'lost') whys.push(attempted.why)
        else if (over) discard(attempted.value)
        else end({ kind: 'won', place, value: attempted.value })
        if (!over) next()
        else if (running === 0) end({ kind: 'lost', whys })
      }, fail)
    }
  })
}
