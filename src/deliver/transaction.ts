/**
 * Every transaction goes through this file once there is a connection: it is frozen, sent, judged and ended. What is planned from rows, what
 * a followed destination gets from the log and what is still unanswered all go through here. The ledger (`ledger.ts`) is an argument.
 *
 * Always: id and exact bytes are stored before the first byte goes out, and an unanswered transaction goes again as it is until it is
 * answered or dropped (contract 5.2).
 */
import type { Clock } from '../pace/clock.ts'
import { EDU_FORM, isKnownForm } from '../matrix/edus/pack.ts'
import { makeTxnId } from '../matrix/ids.ts'
import { assembleTransaction } from '../matrix/transaction.ts'
import type { CountedAttempt } from '../observe/count-attempt.ts'
import type { Log } from '../observe/log.ts'
import { pooledRandom } from '../matrix/pooled-random.ts'
import { dropTransaction } from '../store/delivery/results.ts'
import {
  type DestinationState,
  type OpenTransaction,
  type StoredAcknowledges,
} from '../store/delivery/destination.ts'
import { readOpenTexts, type OpenTexts } from '../store/delivery/open-texts.ts'
import type { Held } from '../store/delivery/leases.ts'
import type { Ready, SendRequest, SendResult } from '../wire/send-result.ts'
import type { Bytes } from './body-memory.ts'
import type { Hurry } from './impatience.ts'
import { edusAs, keptEdus, chosenParts, soonestEndOf } from './edus.ts'
import { packedEdus, type PackedEdus } from './edu-texts.ts'
import type { BodyOf } from './shared-bodies.ts'
import type { Ledger } from './ledger.ts'
import type { Attempt } from './attempt.ts'
import { judge } from './rules/outcome.ts'
import type { ApartTransaction, ChosenPdu, Sending } from './rules/plan.ts'
import {
  countedOf,
  internal,
  record,
  unknownPdu,
  type Counted,
  type Judgement,
  type RecordNeeds,
} from './record.ts'
import type { Together } from './together.ts'

export interface TransactionNeeds extends RecordNeeds, Pick<Together, 'freeze'> {
  clock: Clock
  /** Our server name, `origin` of transactions. */
  origin: string
  /** The body of a transaction that holds these. */
  bodyOf: BodyOf
  onAttempt: (attempt: CountedAttempt) => void
  log: Log
}

/** To which destination, over which connection, and in which ledger. */
export interface Via {
  held: Held
  state: DestinationState
  ready: Ready
  /** What may be held for it; given back when the answer is there. */
  bytes: Bytes
  /** Null: nobody may cut its request. */
  hurry: Hurry | null
  ledger: Ledger
  /** What is sent again is apart; null: it is not. */
  apart: ApartTransaction | null
}

/** What became of it. */
export type Ended =
  /** The freeze was refused, as what the transaction was planned from has changed; or the unanswered one was dropped. */
  | { kind: 'not sent' }
  /** Cut off by ourselves (lease lost, daemon stops): says nothing about the destination. */
  | { kind: 'aborted' }
  /** The lease was over before it could be written down: another worker serves the destination now. */
  | { kind: 'lost' }
  /** It is recorded; `kept`: in memory, and written with the next freeze. */
  | ({ kind: 'ended'; kept: boolean; attempt: Attempt } & Judgement)

const NOT_SENT: Ended = { kind: 'not sent' }

/** Freezes what was planned, and sends it. `head`: up to where the log had been read. */
export async function sendPlanned(
  needs: TransactionNeeds,
  via: Via,
  { pdus, soonestLapse, acknowledges: moves, apart: ofApart, edus }: Sending,
  head: number,
): Promise<Ended> {
  const { held, state, ledger } = via
  const apart = ofApart ?? null
  const txnId = makeTxnId(pooledRandom)
  const {
    bytes: body,
    originServerTs,
    eduTypes,
  } = needs.bodyOf(
    pdus.map(({ pdu }) => pdu),
    edus === undefined ? [] : chosenParts(edus),
  )
  via.bytes.keep(body.length)
  const acknowledges: StoredAcknowledges = {
    positions: pdus.map(({ pdu }) => pdu.pos),
    lanes: pdus.map(({ letter }) => letter).join(''),
    eventIds: pdus.map(({ pdu }) => pdu.eventId),
    fromPos: state.position,
    toPos: moves.position,
    gap: apart === null ? (state.gap?.id ?? null) : null,
    gapCursor: moves.gapCursor,
    closesGap: moves.closesGap,
    sticky: moves.sticky,
    edus: edus === undefined ? undefined : keptEdus(edus),
  }
  const { wakeSeq, answered } = ledger.beside()
  const asNext = edusAs(pdus.length, edus)
  const asked = needs.clock.monotonic()
  const startedAt = await needs.freeze.add({
    held,
    txnId,
    originServerTs,
    bytes: body.length,
    acknowledges,
    // Only the running ledger has wakes checked (`wakeSeq`), and it may move the position in the same write: then the database says where it is.
    fromPos: wakeSeq === null ? state.position : null,
    wakeSeq,
    narrowedSeq: state.narrowedSeq,
    readAt: head,
    soonestLapse: firstOf(soonestLapse, edus === undefined ? null : soonestEndOf(edus)),
    edusAs: asNext,
    answered,
  })
  if (startedAt === null) return NOT_SENT
  ledger.frozen({ pdus, cursors: edus?.cursors ?? null, edusAs: asNext, at: startedAt })
  const anySticky = state.owed.length > 0 || pdus.some(({ pdu }) => pdu.sticky)
  const begun = { txnId, acknowledges, startedAt, asked, anySticky, again: null, apart, bytes: body.length }
  const attempt = attemptOf(needs, via, begun)
  return await sendAndEnd(needs, via, attempt, { body, counted: { pdus: pdus.map(countedPdu), eduTypes } })
}

const firstOf = (one: number | null, other: number | null): number | null =>
  one === null || other === null ? (one ?? other) : Math.min(one, other)

const countedPdu = ({ letter, pdu }: ChosenPdu) => ({
  lane: letter.toLowerCase(),
  receivedTs: pdu.receivedTs,
  sticky: pdu.sticky,
})

/** Sends the unanswered transaction again. */
export async function sendAgain(needs: TransactionNeeds, via: Via, open: OpenTransaction): Promise<Ended> {
  const { txnId } = open
  const { held, state } = via
  via.bytes.keep(open.bytes)
  const texts = await readOpenTexts(needs.pool, held.destination, open)
  const again = texts === null ? null : bodyAgain(needs.origin, open, texts)
  if (texts !== null && again === null)
    needs.log.error(
      { destination: state.name, txnId },
      'the bytes of an unanswered transaction could not be restored; a new one is made',
    )
  const acknowledges = { ...open.acknowledges, eventIds: (texts?.pdus ?? []).map(({ eventId }) => eventId) }
  if (again === null || mustBeDropped(open, state.now)) {
    await dropTransaction(needs.pool, held, txnId)
    return NOT_SENT
  }
  const asked = needs.clock.monotonic()
  const startedAt = await needs.freeze.add({ held, again: txnId })
  if (startedAt === null) return NOT_SENT
  const attempt = attemptOf(needs, via, {
    ...{ txnId, acknowledges, startedAt, asked, anySticky: true, again: open },
    ...{ apart: via.apart, bytes: open.bytes },
  })
  const { body, eduTypes } = again
  const pdus = Array.from(acknowledges.lanes, unknownPdu)
  return sendAndEnd(needs, via, attempt, { body, counted: { pdus, eduTypes } })
}

/** Receivers forget transaction ids after this (contract 5.2), ms. */
const FORGOTTEN_MS = 86_400_000

/** Whether an unanswered transaction must be dropped: a text of it was removed, or receivers have forgotten its id. */
export const mustBeDropped = ({ void: isVoid, createdAt }: OpenTransaction, now: number): boolean =>
  isVoid || now - createdAt >= FORGOTTEN_MS

/** The body of an unanswered transaction, as it was; null where it is not what it was, or its EDUs are in a form that this release does not know. */
export function bodyAgain(
  origin: string,
  {
    originServerTs,
    bytes,
    acknowledges: { edus },
  }: Pick<OpenTransaction, 'originServerTs' | 'bytes' | 'acknowledges'>,
  texts: OpenTexts,
): { body: Buffer; eduTypes: PackedEdus['types'] } | null {
  const form = edus?.form ?? EDU_FORM
  if (!isKnownForm(form)) return null
  const pduTexts = texts.pdus.map(({ pdu }) => pdu)
  const { texts: eduTexts, types: eduTypes } = packedEdus(form, texts.edus, originServerTs)
  const body = Buffer.from(assembleTransaction({ origin, originServerTs, pduTexts, eduTexts }))
  return body.length === bytes ? { body, eduTypes } : null
}

/** What an attempt begins with. */
interface Begun {
  txnId: string
  acknowledges: StoredAcknowledges
  startedAt: number
  /** When the write began, by the monotonic clock, ms. */
  asked: number
  anySticky: boolean
  /** It went before. */
  again: OpenTransaction | null
  apart: ApartTransaction | null
  /** Of its body. */
  bytes: number
}

type Made = Attempt & { txnId: string }

function attemptOf(
  { clock }: TransactionNeeds,
  { held, state, ready }: Via,
  { txnId, acknowledges, startedAt, asked, anySticky, again, apart, bytes }: Begun,
): Made {
  return {
    held,
    state,
    txnId,
    acknowledges,
    apart,
    bytes,
    firstAttempt: again === null,
    afterTakeover: again !== null && again.worker !== held.worker,
    anySticky,
    connectMs: ready.connectMs,
    startedAt,
    writtenMs: clock.monotonic() - asked,
  }
}

async function sendAndEnd(
  needs: TransactionNeeds,
  via: Via,
  attempt: Made,
  { body, counted }: { body: Buffer; counted: Counted },
): Promise<Ended> {
  const { held, ledger } = via
  const { txnId, acknowledges, firstAttempt, startedAt } = attempt
  const { positions, eventIds } = acknowledges
  const result = await sendOrFail(needs, via, { txnId, body, eventIds })
  via.bytes.end()
  if (result.kind === 'failed' && result.stage === 'aborted') {
    needs.onAttempt(unsaid('aborted', counted, startedAt))
    // We aborted before a byte was sent, so what it held can be planned again.
    if (firstAttempt && !result.handed) await dropTransaction(needs.pool, held, txnId, { handed: false })
    return { kind: 'aborted' }
  }
  const judgement = { result, judged: judge(result, { positions, eventIds, firstAttempt }) }
  const kept = ledger.keeps(attempt, judgement)
  const recorded = kept ? judgement : await record(needs, attempt, judgement)
  if (recorded === null) {
    needs.onAttempt(unsaid('lost', counted, startedAt))
    return { kind: 'lost' }
  }
  needs.onAttempt(countedOf(recorded, startedAt, counted))
  return { kind: 'ended', kept, attempt, result: recorded.result, judged: recorded.judged }
}

/** What is counted of an attempt that says nothing of its destination. */
const unsaid = (outcome: 'aborted' | 'lost', counted: Counted, finishedAt: number): CountedAttempt => ({
  ...counted,
  outcome,
  answered: false,
  durationMs: 0,
  finishedAt,
})

/** `send` should not throw; a throw counts as a failure. */
export async function sendOrFail(
  { log, requestTimeoutMs }: Pick<TransactionNeeds, 'log' | 'requestTimeoutMs'>,
  { ready, state, hurry }: Pick<Via, 'ready' | 'state' | 'hurry'>,
  { txnId, body, eventIds }: Pick<SendRequest, 'txnId' | 'body' | 'eventIds'>,
): Promise<SendResult> {
  const timeoutMs = state.timeoutMs ?? requestTimeoutMs
  try {
    return await ready.send({ txnId, body, eventIds, timeoutMs, mayBeCut: hurry?.begins })
  } catch (error) {
    log.error({ err: error, destination: state.name, txnId }, 'sending failed with an internal error')
    return internal("internal error (see limpet's log)", 0)
  } finally {
    hurry?.ends()
  }
}
