/**
 * What would go to a destination now, without a connection, a lease or a write: the unanswered transaction as it is, else what a look
 * would plan (`look.ts`).
 *
 * It reads what the planner reads, and time goes on between the two: a preview is what was owed when it was asked for.
 */
import type { Clock } from '../pace/clock.ts'
import { assembleTransaction, ENVELOPE_BYTES } from '../matrix/transaction.ts'
import type { Pool } from '../store/db.ts'
import { loadDestinations, readOpenTexts, type DestinationState } from '../store/delivery/destination.ts'
import { gapIsDue } from './gap-due.ts'
import { readPending } from './reading.ts'
import { growsTo, type CatchUpSettings } from './rules/catch-up.ts'
import { planTransaction } from './rules/plan.ts'
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
  origin_server_ts: number | null
  pdus: PreviewPdu[]
  /** The exact text; of one that is not frozen yet `origin_server_ts` will be another. Null: nothing would go. */
  body: string | null
}

const NOTHING: Preview = {
  ...{ txn_id: null, attempts: 0, catch_up_begins: false, origin_server_ts: null, pdus: [], body: null },
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

async function unanswered(needs: PreviewNeeds, { id, open, now }: DestinationState): Promise<Preview | null> {
  if (open === null || mustBeDropped(open, now)) return null
  const texts = await readOpenTexts(needs.pool, id, open)
  if (texts === null) return null
  const { positions, lanes } = open.acknowledges
  const letters = new Map(positions.map((pos, index) => [pos, lanes[index] ?? 't']))
  const pdus = texts.map((text) => ({ ...text, letter: letters.get(text.pos) ?? 't' }))
  return { ...told(needs, pdus, open.originServerTs), txn_id: open.txnId, attempts: open.attempt }
}

async function planned(needs: PreviewNeeds, state: DestinationState): Promise<Preview> {
  const { pool, maxPdus, maxBodyBytes } = needs
  const limits = { maxPdus, maxBytes: maxBodyBytes - ENVELOPE_BYTES }
  if (state.gap === null) {
    if (await gapIsDue(pool, state, needs.catchUp)) return { ...NOTHING, catch_up_begins: true }
  } else state.gap.to = growsTo(state.gap, state.head) ?? state.gap.to
  const plan = planTransaction(await readPending(pool, state, limits), limits)
  if (plan.do === 'send') {
    const pdus = plan.pdus.map(({ pdu, letter }) => ({ ...pdu, letter }))
    return told(needs, pdus, needs.clock.now())
  }
  // A gap that is through: what came after it is next.
  if (plan.do === 'move' && plan.acknowledges.closesGap)
    return planned(needs, { ...state, gap: null, position: plan.acknowledges.position })
  return NOTHING
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
      as: AS[letter] ?? 'timeline',
    })),
    body: assembleTransaction({ origin, originServerTs, pduTexts }),
  }
}

function roomOf(pdu: string): string | null {
  const { room_id: room } = JSON.parse(pdu) as { room_id?: unknown }
  return typeof room === 'string' ? room : null
}
