/**
 * How many questions are under way at once, without those that get no answer standing in the way of those that would.
 *
 * A question starts in the quick room. If it is unanswered after `slotMs`, it moves on to the slow room, and its quick place is free for
 * the next; so the quick room always moves. If the slow room is full, the question is given up. Later it is asked anew, for another
 * slot: an answer that took long to find is ready by then. If it is unanswered still and the slow room still full, it waits for a place
 * there and is asked anew with its whole time. So silent names wait for each other, and others do not wait for them.
 * Waiting for a place is never part of a question's time.
 */
import { makeGate } from '../../pace/gate.ts'
import type { Leave } from '../../pace/gate.ts'
import { deadline } from './deadline.ts'

type Work<T> = (signal: AbortSignal) => Promise<T>

export interface QueryRooms {
  /** What `work` gives, run once, or up to three times if it was given up. Null: `signal` ended the wait for a place. */
  run<T>(work: Work<T>, signal: AbortSignal): Promise<T | null>
  readonly underWay: number
  readonly waiting: number
}

const GIVEN_UP = Symbol('given up')

export interface QueryRoomsNeeds {
  readonly quick: number
  readonly again: number
  readonly slow: number
  readonly slotMs: number
}

export function makeQueryRooms({ quick, again, slow, slotMs }: QueryRoomsNeeds): QueryRooms {
  const quickRoom = makeGate(quick)
  const againRoom = makeGate(again)
  const slowRoom = makeGate(slow)
  let underWay = 0
  let waiting = 0

  async function counted<T>(
    place: Promise<Leave | null>,
    work: (leave: Leave) => Promise<T>,
  ): Promise<T | null> {
    waiting += 1
    const leave = await place.finally(() => (waiting -= 1))
    if (leave === null) return null
    underWay += 1
    return work(leave).finally(() => (underWay -= 1))
  }

  async function run<T>(work: Work<T>, signal: AbortSignal): Promise<T | null> {
    for (const room of [quickRoom, againRoom]) {
      const told = await counted(room.enter(signal), (leave) => briefly(work, leave, signal))
      if (told !== GIVEN_UP) return told
    }
    return counted(slowRoom.enter(signal), async (leave) => {
      try {
        return await start(work, signal).working
      } finally {
        leave()
      }
    })
  }

  /** With a place of a quick room, then with one of the slow room, if there is one. */
  async function briefly<T>(
    work: Work<T>,
    quickPlace: Leave,
    signal: AbortSignal,
  ): Promise<T | typeof GIVEN_UP> {
    let leave = quickPlace
    try {
      const { working, giveUp, endsWithin } = start(work, signal)
      if (await endsWithin(slotMs)) return await working
      const slowPlace = slowRoom.take()
      if (slowPlace === null) {
        giveUp()
        const told = await working
        return signal.aborted ? told : GIVEN_UP
      }
      leave()
      leave = slowPlace
      return await working
    } finally {
      leave()
    }
  }

  function start<T>(work: Work<T>, signal: AbortSignal) {
    const given = new AbortController()
    const giveUp = (): void => given.abort(GIVEN_UP)
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    const working = work(given.signal).finally(() => signal.removeEventListener('abort', giveUp))
    const endsWithin = (ms: number): Promise<boolean> =>
      new Promise((resolve) => {
        const forget = deadline(ms, () => resolve(false))
        const ended = (): void => {
          forget()
          resolve(true)
        }
        working.then(ended, ended)
      })
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
