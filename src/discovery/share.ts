/**
 * How one kind of answer is asked of the shared table and put there: keys, text, waiting for another process.
 *
 * Always: nothing here rejects, and nothing waits for long. Where the table does not answer, or holds what cannot be
 * read, the process looks up by itself.
 */
import { setMaxListeners } from 'node:events'
import type { Clock } from '../pace/clock.ts'
import type { KeptAnswer } from './kept.ts'
import { CLAIM_MS } from '../pace/shared-answers.ts'
import type { Claimed, SharedAnswers, StoredAnswer } from '../pace/shared-answers.ts'

export interface Aged<A> {
  readonly kept: KeptAnswer<A>
  readonly ageMs: number
}

export type SharedClaim<A> =
  | ({ readonly kind: 'known' } & Aged<A>)
  /** To be looked up by us; `stale`: what is stored, past its time. */
  | { readonly kind: 'ours'; readonly stale: Aged<A> | null }

export interface SharedClient<A> {
  claim(key: string, anew: boolean): Promise<SharedClaim<A>>
  store(key: string, kept: KeptAnswer<A>, ageMs: number): void
  letGo(key: string): void
}

export interface SharedClientNeeds<A> {
  readonly table: SharedAnswers
  /** Goes before each key. */
  readonly kind: string
  readonly encode: (answer: A) => string
  /** Null where the text is not one of these answers: another release wrote it. */
  readonly decode: (text: string) => A | null
  readonly clock: Clock
  readonly signal: AbortSignal
  /** The table failed, or was too slow. */
  readonly onTrouble: (error: unknown) => void
  /** How long the table may take. Default 2 s. */
  readonly limitMs?: number
}

/** A waiter looks whether the other process is done after so long, then after twice as long, up to a second. */
const FIRST_LOOK_MS = 100
const LONGEST_LOOK_MS = 1000

export function makeSharedClient<A>(needs: SharedClientNeeds<A>): SharedClient<A> {
  const { table, kind, encode, decode, clock, signal, onTrouble, limitMs = 2000 } = needs
  // As many listen to it as wait for other processes.
  setMaxListeners(0, signal)
  const rowOf = (key: string) => `${kind} ${key}`

  async function claim(key: string, anew: boolean): Promise<SharedClaim<A>> {
    const until = clock.monotonic() + CLAIM_MS
    let waitMs = FIRST_LOOK_MS
    for (let first = true; ; first = false) {
      // Who waited for another's lookup takes what that one brought.
      const claimed = await inTime(key, table.claim(rowOf(key), anew && first))
      const stored = claimed === null ? null : readable(claimed)
      if (claimed?.claim === 'not needed' && stored !== null) return { kind: 'known', ...stored }
      const over = clock.monotonic() >= until || signal.aborted
      if (claimed === null || claimed.claim !== 'theirs' || over) return { kind: 'ours', stale: stored }
      await clock.sleep(waitMs, signal)
      waitMs = Math.min(waitMs * 2, LONGEST_LOOK_MS)
    }
  }

  /** Null where it failed or did not come in time. */
  async function inTime(key: string, asked: Promise<Claimed>): Promise<Claimed | null> {
    const late = new AbortController()
    try {
      const claimed = await Promise.race([asked, clock.sleep(limitMs, late.signal)])
      if (claimed !== undefined) return claimed
      onTrouble(new Error(`the shared table did not answer within ${limitMs} ms`))
      // What it still claims nobody would end: our lookup may be over by then, and the others would wait for it.
      void asked.then((told) => told.claim === 'ours' && letGo(key), onTrouble)
      return null
    } catch (error) {
      onTrouble(error)
      return null
    } finally {
      late.abort()
    }
  }

  function readable({ stored }: Claimed): Aged<A> | null {
    if (stored === null || !(stored.ageMs < stored.keepMs)) return null
    const answer = decode(stored.text)
    if (answer === null) return null
    const { ageMs, refreshMs, freshMs, keepMs, failures } = stored
    // By the other's clock it may come from the future.
    return { kept: { answer, refreshMs, freshMs, keepMs, failures }, ageMs: Math.max(0, ageMs) }
  }

  const letGo = (key: string) => void table.letGo(rowOf(key)).catch(onTrouble)

  return {
    claim,
    letGo,
    store(key, { answer, ...times }, ageMs) {
      const stored: StoredAnswer = { text: encode(answer), ageMs, ...times }
      table.store(rowOf(key), stored).catch(onTrouble)
    },
  }
}
