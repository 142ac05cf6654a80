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
import { KNOWN_MS, type FailedTry, type Got } from './rules/own-trouble.ts'

/** A failed attempt, and all that is needed to undo it. Times are ms since the epoch, by the database's clock. */
export interface Undoable extends FailedTry, PutBack {
  name: string
  /** 0: never. */
  lastSuccess: number
  /** When the first of the attempts began that are undone with it. */
  startedAt: number
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
  const follows =
    last?.got === got &&
    last.after.triedAt === waiting.triedAt &&
    last.after.failures === waiting.failures &&
    last.after.retryAt === waiting.retryAt
  return {
    ...{ destination: id, name, got, at: triedAt ?? row.startedAt, lastSuccess: lastSuccess ?? 0 },
    known: lastSuccess !== null && now - lastSuccess < KNOWN_MS,
    startedAt: follows ? last.startedAt : row.startedAt,
    before: follows ? last.before : { ...waiting, timeoutMs, quick },
    after: { failures, retryAt, triedAt },
  }
}

export interface PuttingBack {
  /** Undoes these, as soon as it can. */
  soon(them: readonly Undoable[]): void
  /** The last one that was undone for this destination since `forget`. */
  last(destination: number): Undoable | undefined
  forget(): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
}

export function makePuttingBack({ pool, log }: { pool: Pool; log: Pick<Log, 'info' | 'warn'> }): PuttingBack {
  const notes = makeFaultNotes(log)
  const undone = new Map<number, Undoable>()
  let waiting: Undoable[] = []
  let writing: Promise<void> | null = null

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      // No destination is twice in a statement.
      const batch = new Map<number, PutBack>()
      const later: Undoable[] = []
      for (const one of waiting) {
        const { destination, before, after } = one
        if (batch.size >= FEW_BY_KEY || batch.has(destination)) later.push(one)
        else batch.set(destination, { destination, before, after })
      }
      waiting = later
      await putBack(pool, [...batch.values()])
    }
  }

  return {
    soon(them) {
      if (them.length === 0) return
      for (const one of them) undone.set(one.destination, one)
      waiting.push(...them)
      writing ??= notes.note('putting back what failed for us', writeAll).finally(() => (writing = null))
    },
    last: (destination) => undone.get(destination),
    forget: () => undone.clear(),
    idle: async () => {
      while (writing !== null) await writing
    },
  }
}
