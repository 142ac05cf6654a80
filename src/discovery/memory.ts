/**
 * Remembers what lookups answered, in front of a table that all processes share.
 *
 * - One lookup is in flight a name; who comes meanwhile waits for the same one.
 * - What is fresh is told at once. In the last part of its life it is also asked for again, in the background.
 * - What is past its life is asked for again, and callers wait for that, but no longer than `patienceMs`. After that the caller gets what is
 *   remembered, and from then on nobody waits for this name while anything is remembered of it. So a host that
 *   swallows packets stands in the way once.
 * - What replaces what, and when, is in `kept.ts`. Ages count by two clocks, and the larger one holds: a machine that
 *   slept, or whose clock was set, trusts nothing for longer.
 *
 * Always: at most `most` names are remembered; the one that was asked for longest ago goes first.
 */
import type { Clock, Random } from '../pace/clock.ts'
import { keptAfter } from './kept.ts'
import type { KeptAnswer, Rating } from './kept.ts'
import type { HowToLookUp } from './lookups.ts'
import type { Aged, SharedClient } from './share.ts'

export interface Remembered<A> {
  readonly answer: A
  /**
   * `asked`: the lookup ended just now. `shared`: another process asked. `fresh`: remembered. `stale`: remembered, past its
   * time, and asked for again in the background.
   */
  readonly state: 'asked' | 'shared' | 'fresh' | 'stale'
  readonly ageMs: number
  /** Until it is past its time; not positive if it is. */
  readonly leftMs: number
  /** Until it is worth while to ask again: more than `leftMs` where it is past its time because lookups fail. */
  readonly againMs: number
  readonly failures: number
}

export interface AnswerMemory<A> {
  /** `anew`: asks whatever is remembered. Rejects only where the lookup itself rejects. */
  get(key: string, options?: { readonly anew?: boolean }): Promise<Remembered<A>>
  /** What is remembered, without asking. */
  peek(key: string): Remembered<A> | null
  /** For the end of a trouble of our own: what failed is asked again as if it had not. */
  forgetFailures(): void
  counts(): { readonly remembered: number; readonly inFlight: number }
}

export interface MemoryNeeds<A> {
  readonly lookUp: (key: string, how: HowToLookUp) => Promise<A>
  readonly rate: (answer: A) => Rating
  /** Null: of this process alone. */
  readonly shared: SharedClient<A> | null
  /** Whether a failure says enough to go on with. Else who comes after its time waits for the lookup to end. */
  readonly failureServes: boolean
  readonly most: number
  readonly patienceMs: number
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** A lookup in the background rejected: a defect of ours. */
  readonly onBug: (error: unknown) => void
}

/**
 * Lookups in the background at once; what is over that is asked for when the next comes. What somebody waits for is not bound by it: however
 * many delegations end in the same moment, nobody is told an old one that was not asked for again.
 */
const MOST_IN_BACKGROUND = 64

interface Entry<A> {
  readonly kept: KeptAnswer<A>
  readonly rating: Rating
  /** Its age is 0 at these times of the two clocks. */
  readonly bornMonotonic: number
  readonly bornWall: number
  readonly fromOthers: boolean
  /** The last lookup outlasted the patience. */
  readonly slow: boolean
}

export function makeAnswerMemory<A>(needs: MemoryNeeds<A>): AnswerMemory<A> {
  const { lookUp, rate, shared, most, patienceMs, clock, random, signal } = needs
  // In the order in which they were last asked for.
  const entries = new Map<string, Entry<A>>()
  const inFlight = new Map<string, Promise<Entry<A>>>()
  let inBackground = 0

  async function get(key: string, { anew = false } = {}): Promise<Remembered<A>> {
    const entry = entryOf(key)
    if (entry === null || anew) return lookedUp(await flight(key, anew))
    entries.delete(key)
    entries.set(key, entry)
    const ageMs = ageOf(entry)
    if (ageMs < entry.kept.refreshMs) return told(entry, ofAge(entry))
    if (entry.rating.rank === 'failed' && !needs.failureServes) return lookedUp(await flight(key, false))
    const isFresh = ageMs < entry.kept.freshMs
    const newer = inTheBackground(key, !isFresh && !entry.slow)
    if (isFresh) return told(entry, 'fresh')
    if (newer === null || entry.slow) return told(entry, 'stale')
    const wait = new AbortController()
    const first = await Promise.race([newer, clock.sleep(patienceMs, wait.signal)])
    wait.abort()
    if (first !== undefined && first !== null) return lookedUp(first)
    const now = entries.get(key)
    if (now !== undefined) entries.set(key, { ...now, slow: true })
    return told(entry, 'stale')
  }

  /** Null where too many are under way and nobody waits for it; resolves with null where the lookup rejected. */
  function inTheBackground(key: string, isAwaited: boolean): Promise<Entry<A> | null> | null {
    if (!isAwaited && !inFlight.has(key) && inBackground >= MOST_IN_BACKGROUND) return null
    inBackground++
    return flight(key, false)
      .catch((error: unknown) => {
        needs.onBug(error)
        return null
      })
      .finally(() => inBackground--)
  }

  function flight(key: string, anew: boolean): Promise<Entry<A>> {
    const started = inFlight.get(key) ?? look(key, anew).finally(() => inFlight.delete(key))
    inFlight.set(key, started)
    return started
  }

  async function look(key: string, anew: boolean): Promise<Entry<A>> {
    const claimed = await shared?.claim(key, anew)
    if (claimed?.kind === 'known') {
      const { kept, ageMs } = claimed
      return remember(key, entryFrom(kept, ageMs, { fromOthers: true, slow: false }))
    }
    const started = clock.monotonic()
    // Who remembers an answer of its own must not give it for a new one.
    const answer = await lookUp(key, { fresh: anew || entries.has(key), signal })
    const rating = rate(answer)
    const before = younger(entryOf(key), claimed?.stale ?? null)
    const old = before === null ? null : { kept: before.kept, ageMs: ageOf(before), rating: before.rating }
    const { kept, since } = keptAfter(old, answer, rating, random())
    const ageMs = since === 'before' && old !== null ? old.ageMs : 0
    if (rating.shareable) shared?.store(key, kept, ageMs)
    else shared?.letGo(key)
    const slow = clock.monotonic() - started > patienceMs
    return remember(key, entryFrom(kept, ageMs, { fromOthers: false, slow }))
  }

  /** What was there before: ours, or what another process stored since. */
  function younger(entry: Entry<A> | null, stored: Aged<A> | null): Entry<A> | null {
    if (stored === null || (entry !== null && ageOf(entry) <= stored.ageMs)) return entry
    return entryFrom(stored.kept, stored.ageMs)
  }

  function entryFrom(
    kept: KeptAnswer<A>,
    ageMs: number,
    { fromOthers = false, slow = false } = {},
  ): Entry<A> {
    const born = { bornMonotonic: clock.monotonic() - ageMs, bornWall: clock.now() - ageMs }
    return { kept, rating: rate(kept.answer), ...born, fromOthers, slow }
  }

  function remember(key: string, entry: Entry<A>): Entry<A> {
    entries.delete(key)
    entries.set(key, entry)
    for (const oldest of entries.keys()) {
      if (entries.size <= most) break
      entries.delete(oldest)
    }
    return entry
  }

  function entryOf(key: string): Entry<A> | null {
    const entry = entries.get(key)
    if (entry === undefined) return null
    if (ageOf(entry) < entry.kept.keepMs) return entry
    entries.delete(key)
    return null
  }

  function ageOf({ bornMonotonic, bornWall }: Entry<A>): number {
    return Math.max(clock.monotonic() - bornMonotonic, clock.now() - bornWall)
  }

  /** What is told once a lookup has ended, which may have failed and left what there was. */
  function lookedUp(entry: Entry<A>): Remembered<A> {
    if (entry.kept.failures > 0 && entry.rating.rank !== 'failed') return told(entry, ofAge(entry))
    return told(entry, entry.fromOthers ? 'shared' : 'asked')
  }

  const ofAge = (entry: Entry<A>) => (ageOf(entry) < entry.kept.freshMs ? 'fresh' : 'stale')

  function told(entry: Entry<A>, state: Remembered<A>['state']): Remembered<A> {
    const ageMs = ageOf(entry)
    const { answer, freshMs, refreshMs, failures } = entry.kept
    const leftMs = freshMs - ageMs
    return { answer, state, ageMs, leftMs, againMs: Math.max(leftMs, refreshMs - ageMs), failures }
  }

  return {
    get,
    peek(key) {
      const entry = entryOf(key)
      if (entry === null) return null
      return told(entry, ofAge(entry))
    },
    forgetFailures() {
      for (const [key, entry] of entries) {
        if (entry.rating.rank === 'failed') entries.delete(key)
        else if (entry.kept.failures > 0) {
          entries.set(key, { ...entry, slow: false, kept: { ...entry.kept, refreshMs: 0, failures: 0 } })
        }
      }
    },
    counts: () => ({ remembered: entries.size, inFlight: inFlight.size }),
  }
}
