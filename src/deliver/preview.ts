/**
 * What would go to a destination now, without a connection, a lease or a write: the unanswered transaction as it is, or the question whose fault its
 * refusal is; else what a look would plan (`look.ts`), of its lanes or of what is apart from them.
 *
 * It reads what the planner reads, and time goes on between the two: a preview is what was owed when it was asked for.
 */
import type { Clock } from '../pace/clock.ts'
import { EDU_FORM } from '../matrix/edus/pack.ts'
import { assembleTransaction, ENVELOPE_BYTES } from '../matrix/transaction.ts'
import { readApart } from '../store/delivery/apart.ts'
import type { Pool } from '../store/db.ts'
import { loadDestinations, type DestinationState } from '../store/delivery/destination.ts'
import { readOpenTexts } from '../store/delivery/open-texts.ts'
import { apartOf, besideOf, planApart } from './beside.ts'
import { packedEdus } from './edu-texts.ts'
import { limitsBeside, chosenParts, keptEdus, planWithEdus, readEdus, type EduNeeds } from './edus.ts'
import { dueEduApart } from './edus-apart.ts'
import { gapIsDue } from './gap-due.ts'
import { readPending } from './reading.ts'
import {
  eduSearchOf,
  searchOf,
  settledApart,
  waitsForRooms,
  whatOfEdus,
  type PreviewEduSearch,
  type PreviewSearch,
} from './preview-apart.ts'
import { growsTo, type CatchUpSettings } from './rules/catch-up.ts'
import { asksAbout, limitsFor } from './rules/isolation.ts'
import { cameAfter, mustGoLast } from './rules/last.ts'
import { planTransaction, type Limits, type Sending } from './rules/plan.ts'
import type { BodyEdu } from './shared-bodies.ts'
import { bodyAgain, mustBeDropped } from './transaction.ts'

export interface PreviewNeeds extends Pick<EduNeeds, 'edus' | 'deadline'> {
  pool: Pool
  clock: Pick<Clock, 'now'>
  /** Our server name. */
  origin: string
  catchUp: CatchUpSettings
  maxPdus: number
  maxBodyBytes: number
}

export interface PreviewPdu {
  event_id: string
  room_id: string | null
  position: number
  as: 'timeline' | 'catch_up' | 'sticky_replay'
}

/** A part: what can be replaced by itself. Receipts and presence of several users are packed into few EDUs. */
export interface PreviewEdu {
  edu_type: string
  position: number
}

export interface Preview {
  /** Null: it gets an id when it is frozen. */
  txn_id: string | null
  /** Requests with this id so far. */
  attempts: number
  /** A catch-up begins first, so that what is planned is not known yet. */
  catch_up_begins: boolean
  /**
   * What it is: what it is owed in order; an empty one that asks whose fault a refusal is; a part of a search for PDUs or EDUs (or what a room missed that waited); what was set aside and is due; null: nothing
   * would go, or it is not known yet.
   */
  what: 'ordinary' | 'question' | 'half' | 'set_aside' | null
  /** This is done first, and what goes is then planned anew; null: nothing. */
  first: 'catch_up' | 'room_goes_on' | 'event_goes_last' | null
  /** PDUs that it refuses are searched; null: none. */
  search: PreviewSearch | null
  /** EDUs that it refuses are searched; null: none. */
  edu_search: PreviewEduSearch | null
  origin_server_ts: number | null
  pdus: PreviewPdu[]
  /** In the order in which they are packed, durable ones first. */
  edus: PreviewEdu[]
  /** The exact text; of one that is not frozen yet `origin_server_ts` will be another, and presence older by as much. Null: nothing would go. */
  body: string | null
}

const NOTHING: Preview = {
  ...{
    txn_id: null,
    attempts: 0,
    catch_up_begins: false,
    origin_server_ts: null,
    pdus: [],
    edus: [],
    body: null,
  },
  ...{ what: null, first: null, search: null, edu_search: null },
}
const AS: Readonly<Record<string, PreviewPdu['as']>> = {
  ...{ t: 'timeline', c: 'catch_up', s: 'sticky_replay' },
}
/** Nobody's lease: it is looked at and not held. */
const NOBODY = { worker: '00000000-0000-0000-0000-000000000000', fence: 0 }

/** By the destination's number; null: there is none. */
export async function previewOf(needs: PreviewNeeds, destination: number): Promise<Preview | null> {
  const [state] = await loadDestinations(needs.pool, [{ ...NOBODY, destination }])
  if (state === undefined || state === null) return null
  // Its holder gives up what is owed, and what is left is not known before.
  if (state.skipUpto !== null) return NOTHING
  const found = (await unanswered(needs, state)) ?? (await planned(needs, afterDrop(state)))
  return { ...found, edu_search: eduSearchOf(state) }
}

/** An unanswered transaction that ends without an answer may have arrived: its ephemeral EDUs are not sent again. */
const afterDrop = (state: DestinationState): DestinationState => {
  const { open, ephemeralPos } = state
  if (open === null) return state
  const passed = open.acknowledges.edus?.ephemeralTo ?? 0
  return { ...state, open: null, ephemeralPos: Math.max(ephemeralPos, passed) }
}

async function unanswered(needs: PreviewNeeds, state: DestinationState): Promise<Preview | null> {
  const { id, open, now, isolation } = state
  if (open === null || mustBeDropped(open, now)) return null
  const all = isolation?.apart === true ? await readApart(needs.pool, id) : { rows: [], rooms: [] }
  const search = searchOf(state, all.rows)
  if (asksAbout(isolation, open)) return { ...toBeMade(needs, NO_PARTS), what: 'question', search }
  const texts = await readOpenTexts(needs.pool, id, open)
  if (texts === null) return null
  const { positions, lanes, edus: ofEdus } = open.acknowledges
  const letters = new Map(positions.map((pos, index) => [pos, lanes[index] ?? 't']))
  const pdus = texts.pdus.map((text) => ({ ...text, letter: letters.get(text.pos) ?? 't' }))
  const edus = texts.edus.map((part, index) => ({ ...part, pos: ofEdus?.positions[index] ?? 0 }))
  const again = bodyAgain(needs.origin, open, texts)
  if (again === null) return null
  return {
    ...told({ pdus, edus }, { originServerTs: open.originServerTs, body: again.body.toString() }),
    ...{ txn_id: open.txnId, attempts: open.attempt },
    ...{ what: whatOf(apartOf(open, all)?.kind ?? whatOfEdus(isolation, open.acknowledges)), search },
  }
}

const whatOf = (kind: 'half' | 'aside' | undefined): Preview['what'] =>
  kind === undefined ? 'ordinary' : kind === 'half' ? 'half' : 'set_aside'

async function planned(needs: PreviewNeeds, state: DestinationState): Promise<Preview> {
  const { pool, catchUp } = needs
  const { maxPdus, maxBodyBytes } = limitsFor(state.isolation, state.now, needs)
  const limits = { maxPdus, maxBytes: maxBodyBytes - ENVELOPE_BYTES }
  const apart = await settledApart(pool, state)
  const search = searchOf(state, apart.rows)
  const nothing = { ...NOTHING, search }
  const beside = besideOf(state, apart, limits)
  if (state.gap === null) {
    if (await gapIsDue(pool, state, catchUp)) return { ...nothing, catch_up_begins: true, first: 'catch_up' }
  } else state.gap.to = growsTo(state.gap, state.head) ?? state.gap.to
  const show = ({ pdus, edus, apart: ofApart }: Sending): Preview => {
    const positions = pdus.map(({ pdu }) => pdu.pos)
    const ofEdus = whatOfEdus(state.isolation, { positions, ...(edus && { edus: keptEdus(edus) }) })
    return {
      ...toBeMade(needs, {
        pdus: pdus.map(({ pdu, letter }) => ({ ...pdu, letter })),
        edus: edus === undefined ? [] : chosenParts(edus),
      }),
      ...{ what: whatOf(ofApart?.kind ?? ofEdus), search },
    }
  }
  const first = beside.first && (await planApart(pool, state, beside.first, apart))
  if (first !== null) return show(first)
  if (await waitsForRooms(pool, state, apart, { maxPdus })) return { ...nothing, first: 'room_goes_on' }
  const eduApart = await dueEduApart(needs, state)
  if (eduApart !== null) return show(eduApart)
  return fromLanes(state, limits, MOST_READINGS)

  async function fromLanes(at: DestinationState, limits: Limits, readings: number): Promise<Preview> {
    const reading = await readPending(pool, at, limits)
    const lanes = await readEdus(needs, at, Math.floor(limits.maxBytes / 2))
    const plan = planTransaction(reading, limitsBeside(lanes, reading, limits))
    if (plan.do === 'send' && mustGoLast(plan, reading)) return { ...nothing, first: 'event_goes_last' }
    const next = planWithEdus(needs, at, { plan, lanes, reading }, limits)
    if (next.do === 'send' && !cameAfter(reading, beside.thenFrom)) return show(next)
    const then = beside.then && (await planApart(pool, at, beside.then, apart))
    if (then !== null) return show(then)
    if (next.do === 'send') return show(next)
    if (readings === 0) return nothing
    // As in a look: what is for others, or left out, is passed; more may be behind what was read.
    const { edus: moved } = next
    if (moved !== null && (moved.durable < at.durableHead || moved.ephemeral < at.eduHead))
      return fromLanes(
        { ...at, durablePos: moved.durable, ephemeralPos: moved.ephemeral },
        limits,
        readings - 1,
      )
    // A gap that is through: what came after it is next.
    if (next.plan.do === 'move' && next.plan.acknowledges.closesGap)
      return fromLanes({ ...at, gap: null, position: next.plan.acknowledges.position }, limits, readings - 1)
    return nothing
  }
}

/** Each reads thousands of rows: what is behind that many is said not to go now. */
const MOST_READINGS = 50

interface Parts {
  pdus: readonly { pos: number; eventId: string; pdu: string; letter: string }[]
  edus: readonly BodyEdu[]
}

const NO_PARTS: Parts = { pdus: [], edus: [] }

/** As it would be made now. */
function toBeMade({ origin, clock }: PreviewNeeds, parts: Parts): Preview {
  const originServerTs = clock.now()
  const { texts: eduTexts } = packedEdus(EDU_FORM, parts.edus, originServerTs)
  const pduTexts = parts.pdus.map(({ pdu }) => pdu)
  return told(parts, {
    originServerTs,
    body: assembleTransaction({ origin, originServerTs, pduTexts, eduTexts }),
  })
}

function told(
  { pdus, edus }: Parts,
  { originServerTs, body }: { originServerTs: number; body: string },
): Preview {
  return {
    ...NOTHING,
    origin_server_ts: originServerTs,
    pdus: pdus.map(({ pos, eventId, pdu, letter }) => ({
      event_id: eventId,
      room_id: roomOf(pdu),
      position: pos,
      as: AS[letter.toLowerCase()] ?? 'timeline',
    })),
    edus: edus.map(({ eduType, pos }) => ({ edu_type: eduType, position: pos })),
    body,
  }
}

function roomOf(pdu: string): string | null {
  const { room_id: room } = JSON.parse(pdu) as { room_id?: unknown }
  return typeof room === 'string' ? room : null
}
