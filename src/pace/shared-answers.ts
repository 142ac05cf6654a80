/**
 * Which of several processes looks something up, and what do the others hear of it? The shapes of a table of answers that all of them share.
 *
 * Who finds nothing fresh claims the lookup; the others wait for its answer. A claim lasts 20 seconds at most, so that a process that
 * dies holds nobody up for longer. Ages are the table's business: processes with different clocks see the same age.
 */
export interface StoredAnswer {
  /** The answer as text; the reader checks it. */
  readonly text: string
  /** How long ago it came. */
  readonly ageMs: number
  /** From this age on it is asked for again. */
  readonly refreshMs: number
  /** From this age on it is used only where nothing better is to be had soon. */
  readonly freshMs: number
  /** From this age on it is not used. */
  readonly keepMs: number
  /** Lookups that failed in a row, the last one included. */
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

/** No answer is used when it is older: spec, "Resolving server names" (a `.well-known` is cached for at most 48 hours). */
export const LONGEST_LIFE_MS = 48 * 3_600_000
