/**
 * One signal made of two, or of one and a time, for as long as a turn or a request takes.
 *
 * `AbortSignal.any` is not used: while its sources live, they remember every signal that was ever made of them (65
 * bytes each in Node 20), and the lease and the process outlive millions of turns.
 */
import { setMaxListeners } from 'node:events'

export interface EitherSignal {
  /** Aborts with the first of the two. */
  signal: AbortSignal
  /** Aborts it before them. Give a reason: without one an error is made, with its stack. */
  abort: (reason: unknown) => void
  /** Has them forget it. */
  forget: () => void
}

export function eitherSignal(first: AbortSignal, second: AbortSignal): EitherSignal {
  const either = new AbortController()
  const sources = [first, second]
  const abort = (): void => {
    const source = sources.find(({ aborted }) => aborted)
    either.abort(source?.reason)
  }
  // As many as there are turns: no leak to be warned of.
  setMaxListeners(0, ...sources)
  for (const source of sources) source.addEventListener('abort', abort, { once: true })
  if (sources.some(({ aborted }) => aborted)) abort()
  return {
    signal: either.signal,
    abort: (reason) => either.abort(reason),
    forget: () => {
      for (const source of sources) source.removeEventListener('abort', abort)
    },
  }
}

/** Aborts with `signal`, or after `ms`. */
export function within(signal: AbortSignal, ms: number): EitherSignal {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), Math.max(0, ms))
  const either = eitherSignal(signal, late.signal)
  return {
    ...either,
    forget: () => {
      clearTimeout(timer)
      either.forget()
    },
  }
}

/**
 * Makes signals that abort with `parent`, of which each can be aborted by itself. To add or forget one costs the same however many there
 * are: a signal goes through all that listen to it.
 */
export function makeSignalsUnder(parent: AbortSignal): () => EitherSignal {
  const all = new Set<AbortController>()
  const abortAll = (): void => {
    for (const one of all) one.abort(parent.reason)
    all.clear()
  }
  parent.addEventListener('abort', abortAll, { once: true })
  return () => {
    const one = new AbortController()
    all.add(one)
    if (parent.aborted) abortAll()
    return { signal: one.signal, abort: (reason) => one.abort(reason), forget: () => void all.delete(one) }
  }
}
