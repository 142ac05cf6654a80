/**
 * At most this many bytes are held at once. A caller that finds too few free waits, in the order of arrival.
 *
 * One takes what is free up to what it wants, and at least what it needs; what it does not need after all it gives back at once.
 * There are parts, each of which holds at most its own share of the whole, so that those of one part can't take everything.
 * Always: what needs more than there is goes alone, when nothing else is held; within a part the order is kept, and
 * a waiter that is blocked only by the whole is overtaken by none. So each waiter gets its turn while holders end; no holder waits.
 */
export interface ByteGate<Part extends string> {
  /** At once, or null. */
  take(wanted: Wanted<Part>): Bytes | null
  /** Waits; null where `signal` ended the wait. */
  enter(wanted: Wanted<Part>, signal?: AbortSignal): Promise<Bytes | null>
  /** Bytes that are held now. */
  held(): number
  /** Of these, those of one part. */
  heldBy(part: Part): number
  /** How many of a part wait. */
  waiting(part: Part): number
  /** What a part may hold. */
  share(part: Part): number
  /** From now on so many. Where there are fewer than before, who holds some keeps them. */
  resize(whole: number, shares: Readonly<Record<Part, number>>): void
}

export interface Wanted<Part extends string> {
  part: Part
  least: number
  /** No less than `least`. */
  most: number
}

/** What one holds. */
export interface Bytes {
  /** How many it holds. */
  readonly granted: number
  /** How many it really needs: the rest is given back. A little more than was granted is counted, without a wait. */
  keep(bytes: number): void
  /** Nothing any more. May be called more than once. */
  end(): void
}

interface Waiter<Part extends string> {
  wanted: Wanted<Part>
  admit: () => void
}

/** A class: to make an object with a getter of its own takes several times as long, for each transaction. */
class HeldBytes implements Bytes {
  granted: number
  readonly #change: (more: number) => void
  #ended = false

  constructor(granted: number, change: (more: number) => void) {
    this.granted = granted
    this.#change = change
  }

  keep(bytes: number): void {
    if (this.#ended || bytes === this.granted) return
    const more = bytes - this.granted
    this.granted = bytes
    this.#change(more)
  }

  end(): void {
    this.keep(0)
    this.#ended = true
  }
}

export function makeByteGate<Part extends string>(
  whole: number,
  shares: Readonly<Record<Part, number>>,
): ByteGate<Part> {
  let held = 0
  const heldByPart = new Map<Part, number>()
  const waiting = new Set<Waiter<Part>>()
  const waitingOf = new Map<Part, number>()
  // Somebody waits for bytes of the whole: who comes later waits too.
  let wholeIsWanted = false

  const heldBy = (part: Part): number => heldByPart.get(part) ?? 0
  const waitsFor = (part: Part): boolean => (waitingOf.get(part) ?? 0) > 0
  const fitsShare = ({ part, least }: Wanted<Part>): boolean =>
    heldBy(part) === 0 || heldBy(part) + least <= shares[part]
  const fitsWhole = ({ least }: Wanted<Part>): boolean => held === 0 || held + least <= whole

  function hold(part: Part, bytes: number): void {
    held += bytes
    heldByPart.set(part, heldBy(part) + bytes)
  }

  function give({ part, least, most }: Wanted<Part>): Bytes {
    const free = Math.min(whole - held, shares[part] - heldBy(part))
    const granted = Math.max(least, Math.min(most, free))
    hold(part, granted)
    return new HeldBytes(granted, (more) => {
      hold(part, more)
      if (more < 0 && waiting.size > 0) admit()
    })
  }

  /** Lets in who waits, as far as there is room. */
  function admit(): void {
    const full = new Set<Part>()
    wholeIsWanted = false
    for (const waiter of waiting) {
      const { part } = waiter.wanted
      if (full.has(part)) continue
      if (!fitsShare(waiter.wanted)) full.add(part)
      else if (fitsWhole(waiter.wanted)) waiter.admit()
      else {
        wholeIsWanted = true
        return
      }
    }
  }

  function take(wanted: Wanted<Part>): Bytes | null {
    if (waiting.size > 0 && (wholeIsWanted || waitsFor(wanted.part))) return null
    return fitsShare(wanted) && fitsWhole(wanted) ? give(wanted) : null
  }

  function wait(wanted: Wanted<Part>, signal: AbortSignal | undefined): Promise<Bytes | null> {
    const { part } = wanted
    return new Promise((resolve) => {
      const waiter = { wanted, admit: () => end(give(wanted)) }
      const giveUp = () => {
        end(null)
        // Who waited behind it may have room.
        admit()
      }
      function end(came: Bytes | null): void {
        waiting.delete(waiter)
        waitingOf.set(part, (waitingOf.get(part) ?? 1) - 1)
        signal?.removeEventListener('abort', giveUp)
        resolve(came)
      }
      if (!waitsFor(part) && fitsShare(wanted)) wholeIsWanted = true
      waiting.add(waiter)
      waitingOf.set(part, (waitingOf.get(part) ?? 0) + 1)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  return {
    take,
    enter(wanted, signal) {
      if (signal?.aborted === true) return Promise.resolve(null)
      const taken = take(wanted)
      return taken === null ? wait(wanted, signal) : Promise.resolve(taken)
    },
    held: () => held,
    heldBy,
    waiting: (part) => waitingOf.get(part) ?? 0,
    share: (part) => shares[part],
    resize(nextWhole, nextShares) {
      whole = nextWhole
      shares = nextShares
      admit()
    },
  }
}
