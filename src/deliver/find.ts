/**
 * Where is a destination, before it is given a place to be dialled?
 *
 * To find that out may take half a minute (DNS that is silent, a port for `.well-known` that swallows packets), and it takes none of what
 * the places limit. So it comes before the place, and nobody waits for it long: a turn whose destination is not found soon ends, and
 * the destination is woken when the answer is there.
 *
 * Always: one discovery under way a name. At most `most` are under way, of these half for those that are failing, slow or never
 * answered; who comes then waits for a place, and gives way if none comes free, which is not a failure of the destination. A failure is reported once, to the next turn. What was found is not kept here:
 * discovery remembers it.
 */
import type { Clock } from '../pace/clock.ts'
import { within } from '../pace/either-signal.ts'
import { makePartGate } from '../pace/part-gate.ts'
import { splitServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { Resolution, ResolveTarget } from '../wire/target.ts'
import { shareOf } from './body-memory.ts'

export type Whereabouts =
  | { readonly kind: 'found' }
  | (Extract<Resolution, { kind: 'failed' }> & { readonly durationMs: number })
  /** Not known yet: it is woken when it is. */
  | { readonly kind: 'slow' }
  /** So many others are looked for that it was not begun. */
  | { readonly kind: 'no place' }

/** Never rejects. `signal` ends the wait alone. */
export type Find = (who: Sought, signal: AbortSignal) => Promise<Whereabouts>

export interface Sought {
  readonly name: ServerName
  /** Which queue is its. */
  readonly quick: boolean
}

/** For those that are found in any case. */
export const FOUND: Find = () => Promise.resolve({ kind: 'found' })

export interface FindNeeds {
  readonly resolveTarget: ResolveTarget
  /** Its turn has ended, and it is known now where it is. */
  readonly wake: (who: Sought) => void
  /** What is found of it by then is not its failure. */
  readonly isBlocked: (name: ServerName) => boolean
  readonly most: number
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>
  /** It threw, which is a defect of ours. */
  readonly onBug: (error: unknown) => void
}

/**
 * After this its turn ends, ms: at once what is out of the ordinary where many are being looked for, else the longest. What is ordinary is
 * learnt: where this process has much to do, everything takes long, and to come again costs more.
 */
const [SHORTEST_PATIENCE_MS, LONGEST_PATIENCE_MS] = [300, 2_000]
const OUT_OF_THE_ORDINARY = 3
/** What one more counts in the mean of those that were found. */
const WEIGHT = 0.1
/** More than this are many: half of the turns that are for destinations which never answered. */
const FEW = 128
/** After this wait for a place the turn gives way, ms. */
const LONGEST_WAIT_MS = 5_000
/** A failure that is older is not told any more, ms: its turn did not come, and discovery is asked again. */
const TOLD_WITHIN_MS = 10_000

/** So many names are remembered as found without a wait. */
const MOST_SOON = 20_000

const OVER = 'over'

interface Search {
  readonly ended: Promise<Whereabouts>
  /** A turn has ended for it. */
  slow: boolean
  /** It ended with that, at that time. */
  outcome: { readonly found: Whereabouts; readonly at: number } | null
}

export function makeFind({ resolveTarget, wake, isBlocked, most, clock, onBug }: FindNeeds): Find {
  const searches = new Map<ServerName, Search>()
  const places = makePartGate({ all: most, recovering: Math.ceil(most / 2) })
  /** Those that were found without a wait the last time: they are remembered by discovery, and take no place. */
  const soon = new Set<ServerName>()

  let ordinaryMs = 0

  return async function find(who, signal) {
    const destination = who.name
    if (splitServerName(destination).literal !== null) return { kind: 'found' }
    const known = searches.get(destination)
    if (known?.outcome != null) {
      searches.delete(destination)
      if (clock.monotonic() - known.outcome.at < TOLD_WITHIN_MS) return known.outcome.found
    } else if (known?.slow === true) return { kind: 'slow' }
    const search = searches.get(destination) ?? (await begin(who, signal))
    if (search === null) return { kind: 'no place' }
    // It may have ended just when the turn had waited long enough.
    const told = (await inTime(search, signal)) ?? search.outcome?.found ?? null
    if (told === null) search.slow = true
    else if (searches.get(destination) === search) searches.delete(destination)
    return told ?? { kind: 'slow' }
  }

  /** Null: no place came free in time. */
  async function begin(who: Sought, signal: AbortSignal): Promise<Search | null> {
    const destination = who.name
    const leave = soon.has(destination) ? () => undefined : await placeFor(who, signal)
    if (leave === null) return null
    if (searches.size >= 2 * most) forgetOld()
    const search: Search = { ended: resolve(destination), slow: false, outcome: null }
    searches.set(destination, search)
    void search.ended.then((found) => {
      leave()
      search.outcome = { found, at: clock.monotonic() }
      if (isBlocked(destination)) searches.delete(destination)
      if (!search.slow || isBlocked(destination)) return
      // What was found is remembered by discovery, and may change there until its turn comes.
      if (found.kind === 'found') searches.delete(destination)
      wake(who)
    })
    return search
  }

  async function placeFor(who: Sought, signal: AbortSignal): Promise<(() => void) | null> {
    const part = shareOf(who)
    const wait = within(signal, LONGEST_WAIT_MS)
    const leave = places.take(part) ?? (await places.enter(part, wait.signal))
    wait.forget()
    return leave
  }

  /** Failures that nobody came for: the destination was paused, or another process has it. */
  function forgetOld(): void {
    for (const [name, { outcome }] of searches)
      if (outcome !== null && clock.monotonic() - outcome.at >= TOLD_WITHIN_MS) searches.delete(name)
  }

  async function resolve(destination: ServerName): Promise<Whereabouts> {
    const started = clock.monotonic()
    try {
      const resolution = await resolveTarget(destination)
      const durationMs = clock.monotonic() - started
      noteSoon(destination, resolution.kind === 'found' && durationMs < SHORTEST_PATIENCE_MS)
      if (resolution.kind === 'failed') return { ...resolution, durationMs: Math.round(durationMs) }
      // What took longer than anybody waits is out of the ordinary itself.
      ordinaryMs += WEIGHT * (Math.min(durationMs, LONGEST_PATIENCE_MS) - ordinaryMs)
      return { kind: 'found' }
    } catch (error) {
      onBug(error)
      // The dial asks again, and reports the error.
      return { kind: 'found' }
    }
  }

  function noteSoon(destination: ServerName, wasSoon: boolean): void {
    soon.delete(destination)
    if (!wasSoon) return
    soon.add(destination)
    const [oldest] = soon.size > MOST_SOON ? soon : []
    if (oldest !== undefined) soon.delete(oldest)
  }

  async function inTime({ ended }: Search, signal: AbortSignal): Promise<Whereabouts | null> {
    const over = new AbortController()
    // With a reason: an abort without one makes an error, with its stack.
    const abort = () => over.abort(OVER)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    const late = async () => {
      for (let waited = 0; waited < patienceMs() && !over.signal.aborted; waited += SHORTEST_PATIENCE_MS)
        await clock.sleep(SHORTEST_PATIENCE_MS, over.signal)
      return null
    }
    const told = await Promise.race([ended, late()])
    signal.removeEventListener('abort', abort)
    abort()
    return told
  }

  function patienceMs(): number {
    if (searches.size <= FEW) return LONGEST_PATIENCE_MS
    return Math.min(LONGEST_PATIENCE_MS, Math.max(SHORTEST_PATIENCE_MS, ordinaryMs * OUT_OF_THE_ORDINARY))
  }
}
