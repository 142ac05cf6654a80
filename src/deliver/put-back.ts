/**
 * What has a failed attempt changed, and how is that undone? For attempts that failed by this process' own fault (`own-trouble.ts`).
 *
 * Always: several failures in a row are undone as one, to what was before the first of them. In which order they are written down, and undone, changes
 * nothing of that: a row that is not as the last of them left it is not touched.
 */
import { makeFaultNotes } from '../observe/fault-notes.ts'
import type { Log } from '../observe/log.ts'
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import { putBack, type PutBack } from '../store/delivery/own-trouble.ts'
import type { AttemptResult } from '../store/delivery/results.ts'
import { FEW_BY_KEY } from '../store/prepare.ts'
import { FAULT_LIMITS, KNOWN_MS, type FailedTry, type Got } from './rules/own-trouble.ts'

/** A failed attempt, and all that is needed to undo it. Times are ms since the epoch, by the database's clock. */
export interface Undoable extends FailedTry, Pick<PutBack, 'after'> {
  name: string
  /** 0: never. */
  lastSuccess: number
  /** The failures in a row that end with it, the first first, and what was before each. */
  row: readonly { at: number; startedAt: number; before: PutBack['before'] }[]
}

/** Of an attempt from `state` that was written down as `row`; `last`: the one before it to this destination, if that failed lately. */
export function undoableOf(
  state: DestinationState,
  row: AttemptResult,
  got: Got,
  last: Undoable | undefined,
): Undoable {
  const { id, name, waiting, timeoutMs, quick, lastSuccess, now } = state
  const { failures, retryAt, triedAt } = row.waiting
  const at = triedAt ?? row.startedAt
  const follows =
    last?.got === got &&
    last.after.triedAt === waiting.triedAt &&
    last.after.failures === waiting.failures &&
    last.after.retryAt === waiting.retryAt
  return {
    ...{ destination: id, name, got, at, lastSuccess: lastSuccess ?? 0 },
    known: lastSuccess !== null && now - lastSuccess < KNOWN_MS,
    row: [
      ...(follows ? within(last, at) : []),
      { at, startedAt: row.startedAt, before: { ...waiting, timeoutMs, quick } },
    ],
    after: { failures, retryAt, triedAt },
  }
}

/** Of the failures in a row that end with `one`, those of the two minutes before `now`. */
function within({ row }: Undoable, now: number): Undoable['row'] {
  return row.filter(({ at }) => now - at < FAULT_LIMITS.windowMs)
}

/** When the first of those began that are undone with `one`. */
export const beganAt = (one: Undoable, now: number): number => within(one, now)[0]?.startedAt ?? one.at

export interface PuttingBack {
  /** Undoes these, as soon as it can: what failed of them in the two minutes before `now`. */
  soon(them: readonly Undoable[], now: number): void
  /** The last one that was undone for this destination since `forget`. */
  last(destination: number): Undoable | undefined
  forget(): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
}

export function makePuttingBack({ pool, log }: { pool: Pool; log: Pick<Log, 'info' | 'warn'> }): PuttingBack {
  const notes = makeFaultNotes(log)
  const undone = new Map<number, Undoable>()
  let waiting: PutBack[] = []
  let writing: Promise<void> | null = null

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      // No destination is twice in a statement.
      const batch = new Map<number, PutBack>()
      const later: PutBack[] = []
      for (const one of waiting) {
        if (batch.size >= FEW_BY_KEY || batch.has(one.destination)) later.push(one)
        else batch.set(one.destination, one)
      }
      waiting = later
      await putBack(pool, [...batch.values()])
    }
  }

  return {
    soon(them, now) {
      for (const one of them) {
        const { destination, after } = one
        const [first] = within(one, now)
        if (first === undefined) continue
        undone.set(destination, one)
        waiting.push({ destination, after, before: first.before })
      }
      if (waiting.length === 0) return
      writing ??= notes.note('putting back what failed for us', writeAll).finally(() => (writing = null))
    },
    last: (destination) => undone.get(destination),
    forget: () => undone.clear(),
    idle: async () => {
      while (writing !== null) await writing
    },
  }
}
