/** Counts the outcome of an attempt in the metrics. */
import { pduErrorClass } from './pdu-error-class.ts'
import { eduLabel, type AttemptOutcome, type Metrics } from './metrics.ts'

/** What is counted of an attempt; the delivery's own types fit it. */
export interface CountedAttempt {
  /** Per PDU: its lane (t, c or s), when it was taken in (ms; null: not known any more), and whether it was sticky. */
  pdus: readonly { lane: string; receivedTs: number | null; sticky: boolean }[]
  /** How many EDUs of each type; absent: none, or no request was made. */
  eduTypes?: ReadonlyMap<string, number> | undefined
  outcome: AttemptOutcome
  answered: boolean
  durationMs: number
  /** When it was answered, ms since the epoch by the database's clock. */
  finishedAt: number
  /** What the answer said was wrong with PDUs, a text each. */
  errors?: readonly string[]
}

const REASONS: Readonly<Record<string, 'timeline' | 'catch_up' | 'sticky_replay'>> = {
  t: 'timeline',
  c: 'catch_up',
  s: 'sticky_replay',
}

export function countAttempt(metrics: Metrics, attempt: CountedAttempt): void {
  metrics.transactions.inc({ outcome: attempt.outcome })
  metrics.transactionSeconds.observe(attempt.durationMs / 1000)
  for (const error of attempt.errors ?? []) metrics.pduErrors.inc({ class: pduErrorClass(error) })
  if (!attempt.answered) return
  for (const [eduType, count] of attempt.eduTypes ?? [])
    metrics.edusSent.inc({ type: eduLabel(eduType) }, count)
  for (const { lane, receivedTs, sticky } of attempt.pdus) {
    metrics.pdusSent.inc({ reason: REASONS[lane] ?? 'timeline' })
    if (receivedTs === null) continue
    const seconds = Math.max(0, attempt.finishedAt - receivedTs) / 1000
    metrics.deliverySeconds.observe(seconds)
    if (sticky) metrics.stickyDeliverySeconds.observe(seconds)
  }
}
