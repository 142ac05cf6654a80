/**
 * What a followed destination is sent next, planned from what waits for it here: no statement. When, too: EDUs that are not durable go alone at most
 * once a second, and presence waits for company (`rules/when-edus-go.ts`); what waits for that is looked at each time the log is.
 *
 * Times are the database's: what it said last, and what has passed since by the monotonic clock. That is not exact, so the freeze asks once more whether
 * anything is over.
 */
import type { Wanted } from '../../pace/byte-gate.ts'
import type { Part } from '../../pace/part-gate.ts'
import type { DestinationState } from '../../store/delivery/destination.ts'
import type { EduCursors } from '../../store/delivery/leases.ts'
import { wantedForSome } from '../body-memory.ts'
import {
  limitsBeside,
  planWithEdus,
  withAge,
  type EduLanes,
  type EduNeeds,
  type EduSettings,
  type WithEdus,
} from '../edus.ts'
import type { Reading } from '../lanes/lane.ts'
import { readWaiting } from '../reading.ts'
import { limitsFor } from '../rules/isolation.ts'
import { planTransaction } from '../rules/plan.ts'
import { EPHEMERAL_MS } from '../rules/when-edus-go.ts'
import { passEdus, type EdusWaiting } from './waiting.ts'

export interface WaitingFor extends EdusWaiting {
  state: DestinationState
  /** Nothing goes alone before `at`, ms since the epoch, as was planned when the newest was at `pos`; null: it was not planned. */
  waitsUntil: { at: number; pos: number } | null
}

interface PlanNeeds extends Pick<EduNeeds, 'edus'> {
  maxPdus: number
  maxBodyBytes: number
}

/** `upto`: up to where the log has been read. `bytesOf`: of `maxBodyBytes`, what the body may have. */
export function planWaiting(
  needs: PlanNeeds,
  them: WaitingFor,
  { now, upto }: { now: number; upto: number },
  bytesOf: (maxBodyBytes: number) => number,
): WithEdus {
  const { state, waiting } = them
  const { maxPdus, maxBodyBytes } = limitsFor(state.isolation, now, needs)
  const limits = { maxPdus, maxBytes: bytesOf(maxBodyBytes) }
  const items = readWaiting(waiting, maxPdus)
  const { position } = state
  const reading: Reading = { now, position, head: upto, gap: null, owed: [], unlistedAt: null, items }
  const lanes = lanesOf(needs.edus, them, upto)
  const plan = planTransaction(reading, limitsBeside(lanes, reading, limits))
  return planWithEdus(needs, state, { plan, lanes, reading }, limits, { now, head: upto })
}

/** Null: there is none. */
function lanesOf(
  edus: EduSettings,
  { state, durable, ephemeral }: WaitingFor,
  upto: number,
): EduLanes | null {
  if (durable.length + ephemeral.length === 0) return null
  const { durablePos, ephemeralPos } = state
  return {
    durable: { cursor: durablePos, edus: durable.map(({ edu }) => withAge(edus)(edu)), upto },
    ephemeral: { cursor: ephemeralPos, edus: ephemeral.map(({ edu }) => edu), upto },
    longOutage: false,
  }
}

/** Nothing goes now. What was left out is passed; what waits is looked at when its time has come. */
export function noteWait(
  them: WaitingFor,
  { edus, at }: { edus: EduCursors | null; at: number | null },
): void {
  if (edus !== null) settleEdus(them, edus)
  const newest = them.ephemeral.at(-1)
  them.waitsUntil = at === null || newest === undefined ? null : { at, pos: newest.edu.pos }
}

/** Nothing is owed up to these any more. */
export function settleEdus(them: WaitingFor, cursors: EduCursors): void {
  const { state } = them
  passEdus(them, cursors)
  state.durablePos = Math.max(state.durablePos, cursors.durable)
  state.ephemeralPos = Math.max(state.ephemeralPos, cursors.ephemeral)
}

/** Whether it is worth a plan: something may go now. `now`: ms since the epoch. */
export function mayGo(them: WaitingFor, now: number): boolean {
  const { waiting, durable, ephemeral, state, waitsUntil } = them
  if (waiting.length + durable.length > 0) return true
  if (ephemeral.length === 0) return false
  if (waitsUntil === null || now >= waitsUntil.at) return true
  if (state.ephemeralAt !== null && now < state.ephemeralAt + EPHEMERAL_MS) return false
  // What came since is company for presence, unless it is presence too.
  for (let i = ephemeral.length - 1; i >= 0; i -= 1) {
    const edu = ephemeral[i]?.edu
    if (edu === undefined || edu.pos <= waitsUntil.pos) break
    if (edu.eduType !== 'm.presence') return true
  }
  waitsUntil.pos = ephemeral.at(-1)?.edu.pos ?? waitsUntil.pos
  return false
}

/** More than these of a lane need no memory of their own for one transaction. */
const SOME = 500

/** Memory for what may go next. */
export function wantedForWaiting(
  { waiting, durable, ephemeral }: EdusWaiting,
  needs: { maxPdus: number; maxBodyBytes: number },
): Wanted<Part> {
  const { part, least, most } = wantedForSome(waiting, needs)
  const [first] = waiting.length > 0 ? [] : durable.length > 0 ? durable : ephemeral
  const leastOf = least + (first?.bytes ?? 0)
  let mostOf = most
  for (const lane of [durable, ephemeral])
    for (let i = 0; i < lane.length && i < SOME && mostOf < needs.maxBodyBytes; i += 1)
      mostOf += lane[i]?.bytes ?? 0
  return { part, least: leastOf, most: Math.max(leastOf, Math.min(mostOf, needs.maxBodyBytes)) }
}
