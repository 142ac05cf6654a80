/**
 * What does a server that fell behind get? The decisions about gaps, pure (contract 5.4).
 *
 * A gap is a range of the stream, fixed when it opens. It is gone through room by room instead of event by
 * event. Because the range is fixed, sending one room's newest event can never hide another room's older one.
 */
export interface CatchUpSettings {
  threshold_pdus: number
  min_age_ms: number
}

/**
 * How many entitled events must be counted to know whether a gap opens; null: no need to count. A burst must not open a gap for
 * a healthy destination, nor a quiet week: there must be that many, and the first of them must be old.
 */
export function worthCounting(
  { position, head }: { position: number; head: number },
  { threshold_pdus }: CatchUpSettings,
): number | null {
  return head - position <= threshold_pdus ? null : threshold_pdus + 1
}

/** Whether the oldest event that waits has waited for so long that a gap may open. */
export const isOld = (
  { receivedTs }: { receivedTs: number },
  now: number,
  { min_age_ms }: CatchUpSettings,
): boolean => now - receivedTs > min_age_ms

/** A gap of which nothing is acknowledged yet may grow to the head: what came meanwhile is caught up with it. */
export function growsTo(gap: { from: number; to: number; cursor: number }, head: number): number | null {
  return gap.cursor === gap.from && head > gap.to ? head : null
}

const GROWS_BELOW_MS = 2_000
const SHRINKS_ABOVE_MS = 10_000
const MOST_ROOMS = 50

/**
 * Rooms in the next transaction of a gap. Small servers fetch what is missing inside the request, so it
 * starts at one, doubles with every answer under 2 s and halves after one over 10 s or a time-out.
 */
export function nextBatch(batch: number, answer: { durationMs: number; timedOut: boolean }): number {
  if (answer.timedOut || answer.durationMs > SHRINKS_ABOVE_MS) return Math.max(1, Math.floor(batch / 2))
  return answer.durationMs < GROWS_BELOW_MS ? Math.min(MOST_ROOMS, batch * 2) : batch
}
