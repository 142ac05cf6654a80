/**
 * The table of answers that all processes share, as discovery asks for it, and one in memory.
 *
 * Shared is what every process would hear: answers that arrived. What may be this process' own trouble (a time-out,
 * SERVFAIL) and addresses are not. Who finds nothing fresh claims the lookup; the others wait for its answer. A claim
 * lasts 20 seconds at most, so that a process that dies holds nobody up for longer.
 *
 * Ages are the table's business: processes with different clocks see the same age.
 */
export interface StoredAnswer {
  /** The answer as text; who reads it checks it. */
  readonly text: string
  /** How long ago it came. */
  readonly ageMs: number
  readonly refreshMs: number
  readonly freshMs: number
  readonly keepMs: number
  readonly failures: number
}

export interface Claimed {
  /** `ours`: look it up. `theirs`: another process does. `not needed`: what is stored is not due for a lookup. */
  readonly claim: 'ours' | 'theirs' | 'not needed'
  readonly stored: StoredAnswer | null
}

/** Any of these may reject: without the table each process looks up by itself. */
export interface SharedAnswers {
  /** `anew`: claims it although what is stored is fresh. */
  claim(key: string, anew: boolean): Promise<Claimed>
  /** Stores it unless something that came later is stored, and ends our claim. */
  store(key: string, answer: StoredAnswer): Promise<void>
  /** Ends our claim without an answer: the next may look by itself. */
  letGo(key: string): Promise<void>
}

export const CLAIM_MS = 20_000

interface SharedRow {
  answer: (Omit<StoredAnswer, 'ageMs'> & { readonly at: number }) | null
  claimedBy: string | null
  claimedUntil: number
}

/** A table in memory; each process has its own view, under a name. `now`: milliseconds that only move forward. */
export function makeSharedInMemory(now: () => number): (process: string) => SharedAnswers {
  const rows = new Map<string, SharedRow>()
  return (process) => ({
    claim(key, anew) {
      const row = rows.get(key) ?? { answer: null, claimedBy: null, claimedUntil: 0 }
      rows.set(key, row)
      const stored = row.answer === null ? null : { ...row.answer, ageMs: now() - row.answer.at }
      if (!anew && stored !== null && stored.ageMs < stored.refreshMs) {
        return Promise.resolve({ claim: 'not needed', stored })
      }
      if (row.claimedBy !== null && row.claimedBy !== process && row.claimedUntil > now()) {
        return Promise.resolve({ claim: 'theirs', stored })
      }
      row.claimedBy = process
      row.claimedUntil = now() + CLAIM_MS
      return Promise.resolve({ claim: 'ours', stored })
    },
    store(key, { ageMs, ...answer }) {
      const row = rows.get(key)
      const at = now() - ageMs
      const claim = row?.claimedBy === process || row === undefined ? unclaimed : row
      if (row?.answer == null || row.answer.at <= at) rows.set(key, { ...claim, answer: { ...answer, at } })
      else rows.set(key, { ...claim, answer: row.answer })
      return Promise.resolve()
    },
    letGo(key) {
      const row = rows.get(key)
      if (row?.claimedBy === process) rows.set(key, { ...unclaimed, answer: row.answer })
      return Promise.resolve()
    },
  })
}

const unclaimed = { claimedBy: null, claimedUntil: 0 } as const
