/**
 * Whose fault is it that attempts fail: the destinations', or this process' own? Contract 5.11, pure: attempts and the time in, a verdict out.
 *
 * Only destinations that answered 200 in the last 24 h say anything of that (`known`). If none of those that were tried in the last two minutes got
 * as far as an HTTP answer, our network, our DNS or our proxy is gone (`no_answer`). If all that answered said 401, our key or its publication is
 * (`refused_401`); one that does not answer then says nothing. In both cases they must be 20, or all there are, and three at least.
 *
 * Always: one answer within the two minutes, and the fault is theirs. However many neighbours are dead, they are none of the known.
 */
export type TroubleKind = 'no_answer' | 'refused_401'

/** How far an attempt got. `nothing`: no HTTP answer. */
export type Got = 'nothing' | '401' | 'other'

export interface FaultLimits {
  /** Attempts that are older count no more, ms. */
  windowMs: number
  /** So many destinations at least. */
  least: number
  /** So many are enough; fewer must be all. */
  many: number
}

export const FAULT_LIMITS: FaultLimits = { windowMs: 120_000, least: 3, many: 20 }

/** Who has not answered 200 for longer is not known, ms. */
export const KNOWN_MS = 86_400_000

export interface FailedTry {
  destination: number
  /** When it failed, ms since the epoch, by the database's clock like all times here. */
  at: number
  got: Got
  /** It answered 200 in the 24 h before. */
  known: boolean
}

export type WhoseFault =
  | { whose: 'theirs' }
  /** Ours, if no other known destination is there: fewer than 20 were tried. */
  | { whose: 'ours if these are all'; kind: TroubleKind }
  | { whose: 'ours'; kind: TroubleKind }

const THEIRS: WhoseFault = { whose: 'theirs' }

/** What is known of the last two minutes; `T` is whatever the caller keeps of a failure. */
export function makeFaults<T extends FailedTry>({ windowMs, least, many }: FaultLimits = FAULT_LIMITS) {
  // In the order in which they were tried last.
  const failed = new Map<number, T>()
  const count: Record<Got, number> = { nothing: 0, '401': 0, other: 0 }
  let answeredAt = -Infinity
  let refusedAt = -Infinity

  function remove(destination: number): void {
    const one = failed.get(destination)
    if (one === undefined) return
    failed.delete(destination)
    if (one.known) count[one.got] -= 1
  }

  function forgetOld(now: number): void {
    for (const { destination, at } of failed.values()) {
      // A clock that was set back far: nobody knows how long ago that was.
      if (Math.abs(now - at) < windowMs) return
      remove(destination)
    }
  }

  /** A clock that was set back makes none of these a time to come. */
  const within = (at: number, now: number): boolean => now - Math.min(at, now) < windowMs

  return {
    /** A 200. */
    answered(at: number): void {
      answeredAt = at
    },
    failed(one: T): void {
      forgetOld(one.at)
      remove(one.destination)
      failed.set(one.destination, one)
      if (!one.known) return
      count[one.got] += 1
      if (one.got === 'other') answeredAt = one.at
      if (one.got === '401') refusedAt = one.at
    },
    /** What failed last, if that was within the window. */
    last: (destination: number): T | undefined => failed.get(destination),
    verdict(now: number): WhoseFault {
      answeredAt = Math.min(answeredAt, now)
      refusedAt = Math.min(refusedAt, now)
      if (within(answeredAt, now)) return THEIRS
      forgetOld(now)
      const kind: TroubleKind = within(refusedAt, now) ? 'refused_401' : 'no_answer'
      const found = kind === 'no_answer' ? count.nothing : count['401']
      if (found < least) return THEIRS
      return { whose: found >= many ? 'ours' : 'ours if these are all', kind }
    },
    /** Known destinations that were tried in the window. */
    tried: (): T[] => [...failed.values()].filter(({ known }) => known),
    /** What failed in the window because of such a trouble, known or not; it is forgotten here. */
    takeOf(kind: TroubleKind, now: number): T[] {
      forgetOld(now)
      const taken = [...failed.values()].filter(({ got }) => isOf(kind, got))
      for (const { destination } of taken) remove(destination)
      return taken
    },
  }
}

/** Whether a failure is what such a trouble looks like. */
export const isOf = (kind: TroubleKind, got: Got): boolean =>
  got === (kind === 'no_answer' ? 'nothing' : '401')

/** Whether an attempt that got so far says that the trouble is over; 'answer': a 200. */
export const ends = (kind: TroubleKind, got: Got | 'answer'): boolean =>
  got === 'answer' || (kind === 'no_answer' && got !== 'nothing')

/** `status`: of the HTTP answer; null: there was none. Null for what says nothing of the network: a defect of our own, or what we cut off. */
export function gotOf({ stage, status }: { stage: string | null; status: number | null }): Got | null {
  if (stage === 'internal' || stage === 'aborted') return null
  if (status === null) return 'nothing'
  return status === 401 ? '401' : 'other'
}
