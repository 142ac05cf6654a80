/**
 * What would go to a destination now, without a connection, a lease or a write: the unanswered transaction as it is, or the question whose fault its
 * refusal is; else what a look would plan (`look.ts`), of its lanes or of what is apart from them.
 *
 * It reads what the planner reads, and time goes on between the two: a preview is what was owed when it was asked for.
 */
import type { Clock } from '../pace/clock.ts'
import { assembleTransaction, ENVELOPE_BYTES } from '../matrix/transaction.ts'
import { readApart } from '../store/delivery/apart.ts'
import type { Pool } from '../store/db.ts'
import { loadDestinations, type DestinationState } from '../store/delivery/destination.ts'
import { readOpenTexts } from '../store/delivery/open-texts.ts'
import { apartOf, besideOf, planApart } from './beside.ts'
import { gapIsDue } from './gap-due.ts'
import { readPending } from './reading.ts'
import { searchOf, settledApart, waitsForRooms, type PreviewSearch } from './preview-apart.ts'
import { growsTo, type CatchUpSettings } from './rules/catch-up.ts'
import { limitsFor } from './rules/isolation.ts'
import { cameAfter, mustGoLast } from './rules/last.ts'
import { planTransaction, type Limits, type Sending } from './rules/plan.ts'
import { mustBeDropped } from './transaction.ts'

export interface PreviewNeeds {
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

export interface Preview {
  /** Null: it gets an id when it is frozen. */
  txn_id: string | null
  /** Requests with this id so far. */
  attempts: number
  /** A catch-up begins first, so that what is planned is not known yet. */
  catch_up_begins: boolean
  /**
   * What it is: what it is owed in order; an empty one that asks whose fault a refusal is; a half of a search (or what a room missed that waited); what was set aside and is due; null: nothing would go, or
   * it is not known yet.
   */
  what: 'ordinary' | 'question' | 'half' | 'set_aside' | null
  /** This is done first, and what goes is then planned anew; null: nothing. */
  first: 'catch_up' | 'room_goes_on' | 'event_goes_last' | null
  /** PDUs that it refuses are searched; null: none. */
  search: PreviewSearch | null
  origin_server_ts: number | null
  pdus: PreviewPdu[]
  /** The exact text; of one that is not frozen yet `origin_server_ts` will be another. Null: nothing would go. */
  body: string | null
}

const NOTHING: Preview = {
  ...{ txn_id: null, attempts: 0, catch_up_begins: false, origin_server_ts: null, pdus: [], body: null },
  ...{ what: null, first: null, search: null },
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
  return (await unanswered(needs, state)) ?? (await planned(needs, state))
}

async function unanswered(needs: PreviewNeeds, state: DestinationState): Promise<Preview | null> {
  const { id, open, now, isolation } = state
  if (open === null || mustBeDropped(open, now)) return null
  const all = isolation?.apart === true ? await readApart(needs.pool, id) : { rows: [], rooms: [] }
  const search = searchOf(state, all.rows)
  if (isolation?.asks === true) return { ...told(needs, [], needs.clock.now()), what: 'question', search }
  const texts = await readOpenTexts(needs.pool, id, open)
  if (texts === null) return null
  const { positions, lanes } = open.acknowledges
  const letters = new Map(positions.map((pos, index) => [pos, lanes[index] ?? 't']))
  const pdus = texts.pdus.map((text) => ({ ...text, letter: letters.get(text.pos) ?? 't' }))
  const what = whatOf(apartOf(open, all)?.kind)
  return {
    ...{ ...told(needs, pdus, open.originServerTs), txn_id: open.txnId, attempts: open.attempt },
    ...{ what, search },
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
  const show = ({ pdus, apart: ofApart }: Sending): Preview => ({
    ...told(
      needs,
      pdus.map(({ pdu, letter }) => ({ ...pdu, letter })),
      needs.clock.now(),
    ),
    ...{ what: whatOf(ofApart?.kind), search },
  })
  const first = beside.first && (await planApart(pool, state, beside.first, apart))
  if (first !== null) return show(first)
  if (await waitsForRooms(pool, state, apart, { maxPdus })) return { ...nothing, first: 'room_goes_on' }
  return fromLanes(needs, state, limits)

  async function fromLanes(needs: PreviewNeeds, at: DestinationState, limits: Limits): Promise<Preview> {
    const reading = await readPending(pool, at, limits)
    const plan = planTransaction(reading, limits)
    if (plan.do === 'send' && mustGoLast(plan, reading)) return { ...nothing, first: 'event_goes_last' }
    if (plan.do === 'send' && !cameAfter(reading, beside.thenFrom)) return show(plan)
    const then = beside.then && (await planApart(pool, at, beside.then, apart))
    if (then !== null) return show(then)
    if (plan.do === 'send') return show(plan)
    // A gap that is through: what came after it is next.
    if (plan.do === 'move' && plan.acknowledges.closesGap)
      return fromLanes(needs, { ...at, gap: null, position: plan.acknowledges.position }, limits)
    return nothing
  }
}

type Chosen = { pos: number; eventId: string; pdu: string; letter: string }

function told({ origin }: PreviewNeeds, pdus: readonly Chosen[], originServerTs: number): Preview {
  const pduTexts = pdus.map(({ pdu }) => pdu)
  return {
    ...NOTHING,
    origin_server_ts: originServerTs,
    pdus: pdus.map(({ pos, eventId, pdu, letter }) => ({
      event_id: eventId,
      room_id: roomOf(pdu),
      position: pos,
      as: AS[letter.toLowerCase()] ?? 'timeline',
    })),
    body: assembleTransaction({ origin, originServerTs, pduTexts }),
  }
}

function roomOf(pdu: string): string | null {
  const { room_id: room } = JSON.parse(pdu) as { room_id?: unknown }
  return typeof room === 'string' ? room : null
}
