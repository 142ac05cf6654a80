/**
 * How many questions are under way at once, without those that get no answer standing in the way of those that would.
 *
 * A question starts in the quick room. If it is unanswered after `slotMs`, it moves on to the slow room, and its quick place is free for
 * the next; so the quick room always moves. If the slow room is full, the question is given up and asked anew, with its whole time, when
 * a place there is free: silent names wait for each other and for nobody else. Waiting for a place is never part of a question's time.
 */
import type { Clock } from '../../pace/clock.ts'
import { makeGate } from '../../pace/gate.ts'

export interface QueryRooms {
  /** What `work` gives, run once, or twice if it was given up. Null: `signal` ended the wait for a place. */
  run<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T | null>
  readonly underWay: number
  readonly waiting: number
}

export interface QueryRoomsNeeds {
  readonly clock: Clock
  readonly quick: number
  readonly slow: number
  readonly slotMs: number
}

export function makeQueryRooms({ clock, quick, slow, slotMs }: QueryRoomsNeeds): QueryRooms {
  const quickRoom = makeGate(quick)
  const slowRoom = makeGate(slow)
  let underWay = 0
  let waiting = 0

  async function counted<T>(work: Promise<T>): Promise<T> {
    waiting += 1
    return work.finally(() => (waiting -= 1))
  }

  async function run<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T | null> {
    let leave = await counted(quickRoom.enter(signal))
    if (leave === null) return null
    underWay += 1
    try {
      const first = start(work, signal)
      if (await first.endsWithin(slotMs)) return await first.working
      const slowPlace = slowRoom.take()
      if (slowPlace !== null) {
        leave()
        leave = slowPlace
        return await first.working
      }
      first.giveUp()
      await first.working
    } finally {
      underWay -= 1
      leave()
    }
    leave = await counted(slowRoom.enter(signal))
    if (leave === null) return null
    underWay += 1
    try {
      return await start(work, signal).working
    } finally {
      underWay -= 1
      leave()
    }
  }

  function start<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal) {
    const given = new AbortController()
    const giveUp = (): void => given.abort()
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    const working = work(given.signal).finally(() => signal.removeEventListener('abort', giveUp))
    async function endsWithin(ms: number): Promise<boolean> {
      const ended = new AbortController()
      const slot = clock.sleep(ms, ended.signal).then(() => false)
      const done = working.then(
        () => true,
        () => true,
      )
      const within = await Promise.race([done, slot])
      ended.abort()
      return within
    }
    return { working, giveUp, endsWithin }
  }

  return {
    run,
    get underWay() {
      return underWay
    },
    get waiting() {
      return waiting
    },
  }
}
