/**
 * Makes room for those that are quick, where others hang.
 *
 * Who answered quickly until now has a place like all others that do, and holds it until the time-out if it hangs: 512 that hang at once
 * would hold every place for a minute. So a request (or a dial) that takes longer than `PATIENCE_MS` counts as slow from then on, as one of the
 * share of the failing and the slow. While somebody waits for a place, or for memory, and they hold more than that share, those that
 * have waited longest are cut, as few as that needs and a few more.
 *
 * Always: nobody is cut unless somebody waits, and none that began as one of the share, which is within it. One that is cut has failed as in a
 * time-out: its transaction stays open with its id and bytes (contract 5.2), and goes again after a backoff, in the share, with its whole time.
 */
import type { Clock } from '../pace/clock.ts'
import { eitherSignal } from '../pace/either-signal.ts'
import type { PartGate } from '../pace/part-gate.ts'
import type { Reach, Ready, Remotes, SendFailed } from '../wire/send-result.ts'
import type { Bodies, Bytes } from './body-memory.ts'

export interface Impatience {
  /** Waits, and has room made meanwhile. */
  waits<T>(waiting: Promise<T>): Promise<T>
  /** A request that may be cut. `bytes`: what it holds. */
  hurry(bytes: Bytes): Hurry
  /** A new connection; the dial may be cut. */
  connect(remotes: Pick<Remotes, 'connect'>, reach: Reach): Promise<Ready | SendFailed>
}

/** A request that has to be quick while others wait. */
export interface Hurry {
  /** It begins, or begins once more: `cut` ends it before its time. */
  readonly begins: (cut: () => void) => void
  /** It has its answer. May be called more than once, and where it never began. */
  readonly ends: () => void
}

export interface ImpatienceNeeds {
  clock: Pick<Clock, 'monotonic' | 'sleep'>
  place: PartGate
  dialling: PartGate
  bodies: Bodies
  /** So many are being cut. */
  onCut?: (count: number) => void
}

/** Under way to a destination that was quick. */
interface Flight {
  /** By the monotonic clock, ms. */
  readonly since: number
  /** Null: it is a dial. */
  readonly bytes: Bytes | null
  readonly cut: () => void
}

/** After this it is slow, ms. */
export const PATIENCE_MS = 2_000
/** How often it is looked whether there are slow ones, while somebody waits, ms. */
const TICK_MS = 50
/** A tick that is later says that this process was busy: answers may be there that it has not read, ms. */
const LATE_MS = 250
/** Who was cut gives its place up when that is written down: until then no more are cut, ms. */
const REST_MS = 250
/** Of the places, one in so many is made free beyond those that are waited for. */
const ONE_OF = 16

export function makeImpatience(needs: ImpatienceNeeds): Impatience {
  const { clock, place, dialling, bodies, onCut = () => undefined } = needs
  /** Oldest first. */
  const flights = new Set<Flight>()
  let waiting = 0
  let watching = false
  let cutAt = -Infinity

  async function watch(): Promise<void> {
    watching = true
    while (waiting > 0) {
      const asked = clock.monotonic()
      await clock.sleep(TICK_MS)
      if (clock.monotonic() - asked < TICK_MS + LATE_MS) makeRoom()
    }
    watching = false
  }

  function makeRoom(): void {
    if (clock.monotonic() - cutAt < REST_MS) return
    const cut = cutFor(place, () => true) + cutFor(dialling, ({ bytes }) => bytes === null) + cutForBytes()
    if (cut === 0) return
    cutAt = clock.monotonic()
    onCut(cut)
  }

  function slow(which: (flight: Flight) => boolean): Flight[] {
    const found: Flight[] = []
    const latest = clock.monotonic() - PATIENCE_MS
    for (const flight of flights) {
      if (flight.since > latest) break
      if (which(flight)) found.push(flight)
    }
    return found
  }

  function cutFor(gate: PartGate, isOfIt: (flight: Flight) => boolean): number {
    const wanted = gate.waiting()
    if (wanted === 0) return 0
    const them = slow(isOfIt)
    const { all, recovering } = gate.limits()
    const beyond = gate.held('recovering') + them.length - recovering
    return cutOldest(them, Math.min(beyond, wanted + Math.ceil(all / ONE_OF)))
  }

  /** Those that are slow hold as much as their share and what they are to give. */
  function cutForBytes(): number {
    if (bodies.waiting('quick') === 0) return 0
    const them = slow(({ bytes }) => bytes !== null && bytes.granted > 0)
    const theirs = them.reduce((sum, { bytes }) => sum + (bytes?.granted ?? 0), 0)
    let beyond = bodies.heldBy('recovering') + theirs - bodies.share('recovering')
    let count = 0
    for (const { bytes } of them) {
      if (beyond <= 0 || count > bodies.waiting('quick')) break
      beyond -= bytes?.granted ?? 0
      count += 1
    }
    return cutOldest(them, count)
  }

  function cutOldest(them: readonly Flight[], count: number): number {
    const those = them.slice(0, Math.max(0, count))
    for (const flight of those) {
      flights.delete(flight)
      flight.cut()
    }
    return those.length
  }

  return {
    async waits(them) {
      waiting += 1
      if (!watching) void watch()
      try {
        return await them
      } finally {
        waiting -= 1
      }
    },
    hurry(bytes) {
      let flight: Flight | null = null
      const ends = (): void => {
        if (flight !== null) flights.delete(flight)
      }
      return {
        begins(cut) {
          ends()
          flight = { since: flight?.since ?? clock.monotonic(), bytes, cut }
          flights.add(flight)
        },
        ends,
      }
    },
    async connect(remotes, reach) {
      const ending = new AbortController()
      // With a reason: an abort without one makes an error, with its stack.
      const flight: Flight = { since: clock.monotonic(), bytes: null, cut: () => ending.abort(CUT) }
      flights.add(flight)
      const dial = eitherSignal(reach.signal, ending.signal)
      try {
        const ready = await remotes.connect({ ...reach, dial: dial.signal })
        const isLate = ending.signal.aborted && !reach.signal.aborted
        return isLate && ready.kind === 'failed' && ready.stage === 'aborted' ? tooLate(ready) : ready
      } finally {
        flights.delete(flight)
        dial.forget()
      }
    },
  }
}

const CUT = 'others wait for its place'

const tooLate = (failed: SendFailed): SendFailed => ({
  ...failed,
  stage: 'connect',
  message: 'no connection after two seconds, and others waited for its place',
})
