/**
 * Which PDU goes after everything else that is due? (contract 5.9) Pure.
 *
 * One that is odd: it holds numbers outside canonical JSON, or is nested beyond 100 levels. A receiver that can't read it refuses all that comes with it, so it
 * goes alone (`plan.ts`), and what else is due must not wait for the answer. One that is or was sticky keeps its place in its lane: a sticky
 * event is never put behind volume (contract 5.7).
 */
import type { Reading } from '../lanes/lane.ts'
import type { Sending } from './plan.ts'

/** Whether what was planned is such a PDU, and something else is there to go before it. */
export function mustGoLast({ pdus: [only] }: Sending, { items }: Reading): boolean {
  if (only?.pdu.odd !== true || only.pdu.sticky) return false
  return Object.values(items).some(
    (lane) => lane !== undefined && (!lane.all || lane.pdus.some(({ pos }) => pos !== only.pdu.pos)),
  )
}

/**
 * Whether all that the lanes have came after that time, ms since the epoch: else what goes last would wait for ever where there is always something new. Not only
 * what was planned: that may be one PDU that goes alone, and came last.
 */
export const cameAfter = ({ items }: Reading, since: number | null): boolean =>
  since !== null &&
  Object.values(items).every((lane) => lane?.pdus.every(({ receivedTs }) => receivedTs > since) ?? true)
