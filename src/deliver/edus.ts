/**
 * The EDUs of a look: reads both lanes, plans them beside what is planned of PDUs, and says what the two come to.
 *
 * Always: where the stream has nothing newer of a lane than its cursor, nothing is read of it. No cursor passes what was not read.
 */
import { EDU_FORM } from '../matrix/edus/pack.ts'
import type { Pool } from '../store/db.ts'
import type { DestinationState, OpenEdus } from '../store/delivery/destination.ts'
import { readDurableEdus, readEphemeralEdus, type EdusRead, type StoredEdu } from '../store/delivery/edus.ts'
import { readEphemeral } from './read-ephemeral.ts'
import type { EduCursors } from '../store/delivery/leases.ts'
import type { Reading } from './lanes/lane.ts'
import type { DeadlineSettings } from './rules/deadline.ts'
import type { EduLane } from './rules/edus-to-plan.ts'
import { halfAt, isBrought } from './rules/isolation.ts'
import { planEdus, type EduPlan } from './rules/plan-edus.ts'
import { fewerParts } from './rules/fewer-parts.ts'
import type { Limits, Plan, Sending, SentEdus } from './rules/plan.ts'

export interface EduSettings {
  readonly maxEdus: number
  /** Types that are switched off. */
  readonly off: ReadonlySet<string>
  /** How long durable ones are kept, ms. */
  readonly durableMs: number
}

export interface EduNeeds {
  pool: Pool
  edus: EduSettings
  deadline: Pick<DeadlineSettings, 'long_outage_ms'>
}

/** Rows of a lane that are read for one transaction: receipts and presence are packed, and many may be replaced. */
const ROWS = { durable: 300, ephemeral: 1_000 }

export interface EduLanes {
  durable: EduLane
  ephemeral: EduLane
  /** It has failed for so long that nothing ephemeral goes. */
  longOutage: boolean
}

/** Null: the stream has nothing newer than its cursors. `bytes`: of texts, of each lane, beyond the first. */
export async function readEdus(
  { pool, edus, deadline }: EduNeeds,
  state: DestinationState,
  bytes: number,
): Promise<EduLanes | null> {
  const { id, head, durablePos, ephemeralPos, durableHead, eduHead } = state
  if (durableHead <= durablePos && eduHead <= ephemeralPos) return null
  const { failingSince } = state.waiting
  const longOutage = failingSince !== null && state.now - failingSince > deadline.long_outage_ms
  const durable = await readLane(durablePos, durableHead, (range) =>
    readDurableEdus(pool, id, range, { rows: ROWS.durable, bytes }),
  )
  const ephemeral = await readLane(ephemeralPos, longOutage ? 0 : eduHead, (range) =>
    readEphemeral((after, most) => readEphemeralEdus(pool, id, { ...range, after }, most), range, {
      rows: ROWS.ephemeral,
      bytes,
    }),
  )
  return { durable: { ...durable, edus: durable.edus.map(withAge(edus)) }, ephemeral, longOutage }

  async function readLane(
    cursor: number,
    newest: number,
    read: (range: { after: number; upto: number }) => Promise<EdusRead>,
  ): Promise<EduLane> {
    if (newest <= cursor) return { cursor, edus: [], upto: head }
    return { cursor, ...(await read({ after: cursor, upto: head })) }
  }
}

/** From when on a durable one is not sent, ms since the epoch: what is older than these are kept may be gone at any moment. */
export const endOfDurable = (
  { expiresAt, receivedTs }: Pick<StoredEdu, 'expiresAt' | 'receivedTs'>,
  { durableMs }: Pick<EduSettings, 'durableMs'>,
): number => Math.min(expiresAt ?? Infinity, receivedTs + durableMs)

/** With the time until which it is kept. */
export const withAge =
  (settings: Pick<EduSettings, 'durableMs'>) =>
  (edu: StoredEdu): StoredEdu => ({ ...edu, expiresAt: endOfDurable(edu, settings) })

/** PDUs leave half of a body to durable EDUs that wait, but owed sticky events need not. */
export function limitsBeside(lanes: EduLanes | null, reading: Reading, limits: Limits): Limits {
  if (lanes === null || lanes.durable.edus.length === 0) return limits
  const owesSticky = (reading.items['replays']?.pdus.length ?? 0) > 0
  return owesSticky ? limits : { ...limits, maxBytes: Math.floor(limits.maxBytes / 2) }
}

export type WithEdus =
  | Sending
  /**
   * Nothing goes now: cursors move to `edus`, where it is not null; `at`: then it is planned again, ms since the epoch. `left`: what waits until then are EDUs
   * after these cursors, and nothing else of them; null: it is not known to be so.
   */
  | {
      do: 'wait'
      plan: Exclude<Plan, Sending>
      edus: EduCursors | null
      at: number | null
      left: EduCursors | null
    }

/**
 * What goes, of both. `limits`: of the body, as PDUs would have it; `at`: the time, and up to where the log is known, where that is not as in `state`. Asked for
 * each transaction of steady traffic: an object that is put together of others takes some fifty times as long as one that is written out.
 */
export function planWithEdus(
  { edus }: Pick<EduNeeds, 'edus'>,
  state: DestinationState,
  { plan, lanes, reading }: { plan: Plan; lanes: EduLanes | null; reading: Reading },
  { maxBytes }: Limits,
  { now, head }: Pick<DestinationState, 'now' | 'head'> = state,
): WithEdus {
  if (lanes === null)
    return plan.do === 'send' ? plan : { do: 'wait', plan, edus: null, at: null, left: null }
  const search = state.isolation?.edus ?? null
  const pdus = plan.do === 'send' ? plan.pdus : []
  const isOdd = pdus[0]?.pdu.odd === true
  if (search !== null) {
    if (plan.do === 'send' && search.turn === 'other') return plan
    const at = halfAt({ search }, now, isBrought(state))
    if (at !== null) return plan.do === 'send' ? plan : { do: 'wait', plan, edus: null, at, left: null }
  }
  const input = {
    durable: lanes.durable,
    ephemeral: lanes.ephemeral,
    longOutage: lanes.longOutage,
    head,
    now,
    off: edus.off,
    lastWasAlone: state.eduAlone,
    lastEphemeralAt: state.ephemeralAt,
    pdus: {
      wait: pdus.length > 0,
      sticky: pdus.some(({ letter }) => letter === 's'),
      bytesLeft: maxBytes - (isOdd || search !== null ? 0 : bytesOf(pdus)),
    },
  }
  const most = { maxEdus: edus.maxEdus, maxBytes }
  const all = planEdus(input, most)
  const ofEdus = search === null ? all : planEdus({ ...input, ...fewerParts(input, all, search.most) }, most)
  const any = ofEdus.durable.length + ofEdus.ephemeral.length > 0
  const mayGo = any && ofEdus.notBefore === null
  const nothingMoves = { position: reading.position, gapCursor: null, closesGap: false, sticky: [] }
  // Either has the transaction to itself: they take turns.
  if (plan.do === 'send' && (ofEdus.alone || isOdd || search !== null))
    return mayGo && !(isOdd && state.eduAlone)
      ? {
          ...{ do: 'send', pdus: [], soonestLapse: null, acknowledges: nothingMoves },
          edus: { ...ofEdus, alone: ofEdus.alone || isOdd },
        }
      : plan
  if (plan.do === 'send') {
    const { pdus: chosen, soonestLapse, acknowledges } = plan
    return { do: 'send', pdus: chosen, soonestLapse, acknowledges, edus: ofEdus }
  }
  const closesGap = plan.do === 'move' && plan.acknowledges.closesGap
  if (mayGo && !closesGap) {
    const acknowledges = plan.do === 'move' ? plan.acknowledges : nothingMoves
    return { do: 'send', pdus: [], soonestLapse: null, acknowledges, edus: ofEdus }
  }
  if (!any) return { do: 'wait', plan, edus: ofEdus.cursors, at: null, left: null }
  // What waits for its time is not durable, and nothing of its lane is before the first that was read.
  const [first] = lanes.ephemeral.edus
  const left =
    ofEdus.notBefore === null || first === undefined
      ? null
      : { durable: ofEdus.cursors.durable, ephemeral: first.pos - 1 }
  return { do: 'wait', plan, edus: null, at: ofEdus.notBefore, left }
}

const bytesOf = (pdus: Sending['pdus']): number =>
  pdus.reduce((sum, { pdu }) => sum + Buffer.byteLength(pdu.pdu) + 1, 0)

/** The parts of a plan, in the order in which they are packed. */
export const chosenParts = ({ durable, ephemeral }: Pick<EduPlan, 'durable' | 'ephemeral'>): StoredEdu[] => [
  ...durable,
  ...ephemeral,
]

/** As a transaction is kept. */
export const keptEdus = (plan: SentEdus): OpenEdus => ({
  form: EDU_FORM,
  positions: chosenParts(plan).map(({ pos }) => pos),
  count: plan.edus,
  durableTo: plan.cursors?.durable ?? null,
  ephemeralTo: plan.cursors?.ephemeral ?? null,
})

/** When the time of the first of them is over, ms since the epoch; null: of none. */
export function soonestEndOf({ durable, ephemeral }: Pick<EduPlan, 'durable' | 'ephemeral'>): number | null {
  let soonest = Infinity
  for (const lane of [durable, ephemeral])
    for (const { expiresAt } of lane) if (expiresAt !== null && expiresAt < soonest) soonest = expiresAt
  return soonest === Infinity ? null : soonest
}

/** What it is to the next plan of EDUs. */
export function edusAs(pdus: number, plan: SentEdus | undefined): 'ephemeral' | 'alone' | null {
  if (plan === undefined) return null
  if (plan.alone) return 'alone'
  return pdus === 0 && plan.durable.length === 0 && plan.ephemeral.length > 0 ? 'ephemeral' : null
}
