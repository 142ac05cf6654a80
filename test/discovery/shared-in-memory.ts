/**
 * The table of answers that all processes share, in memory, for tests of what uses it.
 *
 * Shared is what every process would hear: answers that arrived. What may be this process' own trouble (a time-out,
 * SERVFAIL) and addresses are not.
 */
import { CLAIM_MS } from '../../src/pace/shared-answers.ts'
import type { SharedAnswers, StoredAnswer } from '../../src/pace/shared-answers.ts'

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
