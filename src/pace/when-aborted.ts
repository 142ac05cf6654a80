/**
 * Who wants to know of a signal's end for the time of one request? A signal may see thousands of requests, and to be one of its own
 * listeners and none again costs several times as much: it makes an object for each and goes through all that listen.
 *
 * Always: of those that are there when it aborts each is told once, in the order in which they came; a signal that has aborted tells nobody
 * any more. One that throws keeps none of the others from being told.
 */

export interface ToldOfAbort {
  /** The signal has aborted. */
  aborted(): void
}

const listening = new WeakMap<AbortSignal, Set<ToldOfAbort>>()

/** From now on it is told. */
export function tellOfAbort(signal: AbortSignal, who: ToldOfAbort): void {
  if (signal.aborted) return
  let all = listening.get(signal)
  if (all === undefined) {
    all = new Set()
    listening.set(signal, all)
    signal.addEventListener('abort', tellAll, { once: true })
  }
  all.add(who)
}

/** It is not told any more. */
export function tellNoMore(signal: AbortSignal, who: ToldOfAbort): void {
  listening.get(signal)?.delete(who)
}

function tellAll(this: AbortSignal): void {
  const all = listening.get(this)
  for (const who of all ?? []) {
    all?.delete(who)
    try {
      who.aborted()
    } catch (error) {
      // As a signal does with what its listeners throw.
      process.nextTick(() => {
        throw error
      })
    }
  }
}
