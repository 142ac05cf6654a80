/**
 * What does an answer mean for us? One table, pure (contract 5.2, 5.5, 5.8).
 *
 * *Answered* is a 200 with a JSON object; everything else is a failure, of which a 429 and a 410 are kinds
 * of their own. Which PDUs an answer lists matters only for sticky events.
 */
import type { SendResult } from '../../wire/send-result.ts'

export type Judged =
  | {
      kind: 'answered'
      listed: number[]
      unlisted: number[]
      listsAny: boolean
      pduErrors: Record<string, string> | null
    }
  | {
      kind: 'failed' | 'busy' | 'gone'
      discard: boolean
      timedOut: boolean
      retryAfterMs: number | null
      /** A whole answer that refuses the transaction: the destination has done with it, and it may end (contract 5.1). */
      refused: boolean
      status: number | null
    }

export interface Sent {
  positions: readonly number[]
  eventIds: readonly string[]
  /** Nothing of this transaction can have arrived before this attempt. */
  firstAttempt: boolean
}

/** Most errors of one answer that are kept. */
const KEPT_ERRORS = 50

export function judge(result: SendResult, { positions, eventIds, firstAttempt }: Sent): Judged {
  if (result.kind === 'failed') {
    const { status, retryAfterMs } = result
    const kind = kindOf(status, retryAfterMs)
    return {
      kind,
      refused: kind === 'failed' && result.whole === true,
      status,
      // Provably never left, and neither did an earlier attempt: it is put together anew when its turn comes.
      discard: firstAttempt && !result.handed,
      // One that was cut has not had its time, so that says nothing about how much it needs.
      timedOut: result.stage === 'timeout' && result.cut !== true,
      retryAfterMs,
    }
  }
  const { pdus } = result
  // "An answer without `pdus` counts as listing all."
  if (pdus === null)
    return { kind: 'answered', listed: [...positions], unlisted: [], listsAny: false, pduErrors: null }
  const listed: number[] = []
  const unlisted: number[] = []
  const errors: [string, string][] = []
  for (const [index, eventId] of eventIds.entries()) {
    const entry = pdus.get(eventId)
    const pos = positions[index] ?? 0
    if (entry === undefined) unlisted.push(pos)
    else listed.push(pos)
    if (entry?.error != null && errors.length < KEPT_ERRORS) errors.push([eventId, entry.error.slice(0, 500)])
  }
  const pduErrors = errors.length === 0 ? null : Object.fromEntries(errors)
  return { kind: 'answered', listed, unlisted, listsAny: listed.length > 0, pduErrors }
}

/** A 503 that says for how long asks for the same as a 429 (RFC 9110, 10.2.3). */
function kindOf(status: number | null, retryAfterMs: number | null): 'failed' | 'busy' | 'gone' {
  if (status === 410) return 'gone'
  return status === 429 || (status === 503 && retryAfterMs !== null) ? 'busy' : 'failed'
}

export const LONGEST_TIMEOUT_MS = 300_000

/** How long the next request may take: twice as long after a time-out, the usual again after a quick answer; null: the usual. */
export function nextTimeout(
  current: number | null,
  usual: number,
  { timedOut, answered, durationMs }: { timedOut: boolean; answered: boolean; durationMs: number },
): number | null {
  if (timedOut) return Math.min(LONGEST_TIMEOUT_MS, (current ?? usual) * 2)
  return answered && durationMs < usual / 2 ? null : current
}
