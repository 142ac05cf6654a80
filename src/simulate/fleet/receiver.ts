/**
 * What a strict homeserver does with the transactions that it is sent: refuse, process, or answer from memory.
 *
 * Everything but the sockets: a request goes in as text, and what should happen on its connection comes out as a
 * value. What it took, and the violations that it saw, are kept for a verdict.
 */
import { eventIdOf } from '../../matrix/event-id.ts'
import { isJsonObject } from '../../matrix/json-value.ts'
import { roomVersion } from '../../matrix/room-versions.ts'
import { parseJson } from '../../matrix/strict-json.ts'
import { matrixError, ok, processPdus } from './behaviour.ts'
import type { Behaves, Behaviour, Pdu, Processing, SeenRequest } from './behaviour.ts'
import { isRefusal, readTransaction, refuseUnsigned } from './check-request.ts'
import type { Contents, Expected, Refusal } from './check-request.ts'
import { checkPdu } from './check-pdu.ts'
import type { CheckedPdu } from './check-pdu.ts'
import { oddNumberIn } from './edu-form.ts'
import { makeEduMemory } from './edu-memory.ts'
import type { EduMemory, EduMemoryOptions } from './edu-memory.ts'
import { nameOfPart } from './edu-parts.ts'
import { makeTransactionLog } from './transaction-log.ts'
import type { TransactionLog } from './transaction-log.ts'

export interface ReceiverOptions extends Pick<EduMemoryOptions, 'inRoom'> {
  readonly expected: Expected
  readonly behaviour?: Behaves
  /** The id of a PDU as received. Default: its `event_id` if it has one, else the one of room version 11. */
  readonly eventIdOf?: (pdu: Pdu) => string
  /** Check the signature of every nth request; 0: of none. Default 1. */
  readonly verifyEvery?: number
  /** Keep each transaction's body. Default true; a large fleet has no room for it. */
  readonly keepBodies?: boolean
  /** Check form, signature and hash of each PDU, and list one that is wrong as an error. Default false: it costs 10 ms each. */
  readonly checkPdus?: boolean
  /** Transactions, and PDUs, remembered at most. Default: all. */
  readonly mostRemembered?: number
  /** Is told of each whole request to `/send`, before it is answered. */
  readonly onRequest?: (request: LookedAtRequest) => void
}

/** A request to `/send` and what this server makes of it. */
export interface LookedAtRequest {
  readonly txnId: string
  readonly at: number
  /** Its transaction was taken before: nothing in it is taken again. */
  readonly repeated: boolean
  /** Of the answer; null: there is none. */
  readonly status: number | null
  /** None where the request was refused before they were read. */
  readonly pdus: readonly LookedAtPdu[]
  readonly edus: Contents['edus']
  /** What this server objects to, in words: in this request, and since the one before. */
  readonly objections: readonly string[]
}

export interface LookedAtPdu extends CheckedPdu {
  readonly pdu: Pdu
}

export interface ReceivedPdu {
  readonly eventId: string
  readonly roomId: string | null
  /** The transaction that brought it first. */
  readonly txnId: string
  readonly at: number
  /** Counts the PDUs this server took, from 0. */
  readonly order: number
  /** In how many transactions it came; a repeated transaction is one. */
  times: number
}

/** A whole request to `/send`; `n` counts requests from 1, `at` is in milliseconds since the epoch. */
export interface Arrival {
  readonly txnId: string
  readonly uri: string
  readonly authorization: string | undefined
  readonly body: string
  readonly n: number
  readonly at: number
}

export type Reply =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
      readonly delayMs: number
    }
  | { readonly kind: 'half an answer'; readonly body: string; readonly delayMs: number }
  | { readonly kind: 'destroy'; readonly delayMs: number }
  | { readonly kind: 'hang' }

export interface Receiver {
  readonly log: TransactionLog
  readonly received: ReadonlyMap<string, ReceivedPdu>
  readonly edus: EduMemory
  behave(behaviour: Behaves): void
  receive(arrival: Arrival): Reply
}

const JSON_TYPE = { 'content-type': 'application/json' }
const VERSION_11 = roomVersion('11')

function usualEventId(pdu: Pdu): string {
  const inside = pdu['event_id']
  if (typeof inside === 'string') return inside
  return (VERSION_11 === null ? null : eventIdOf(pdu, VERSION_11)) ?? ''
}

export function makeReceiver(options: ReceiverOptions): Receiver {
  const { expected, verifyEvery = 1, mostRemembered = Infinity } = options
  const idOf = options.eventIdOf ?? usualEventId
  const objections: string[] = []
  const log = makeTransactionLog({
    keepBodies: options.keepBodies ?? true,
    most: mostRemembered,
    ...(options.onRequest === undefined ? {} : { onComplaint: (text) => void objections.push(text) }),
  })
  const received = new Map<string, ReceivedPdu>()
  const kept = makeEduMemory({ ...options, destination: expected.destination })
  let behaves = options.behaviour ?? ok
  let taken = 0

  function refuse({ status, errcode, why }: Refusal): Reply {
    log.complain(`refused with ${status}: ${why}`)
    return replyTo(matrixError(status, errcode, why))
  }

  function receive(arrival: Arrival): Reply {
    const { txnId, at } = arrival
    const repeated = (log.find(txnId)?.response ?? null) !== null
    const looked = { repeated, pdus: [] as LookedAtPdu[], edus: [] as Contents['edus'] }
    const reply = lookAndTake(arrival, looked)
    const status = reply.kind === 'answer' ? reply.status : null
    options.onRequest?.({ txnId, at, status, ...looked, objections: objections.splice(0) })
    return reply
  }

  /** `looked`: takes what was read, for who watches. */
  function lookAndTake(
    { txnId, uri, authorization, body, n, at }: Arrival,
    looked: Pick<LookedAtRequest, 'repeated' | 'pdus' | 'edus'>,
  ): Reply {
    const deep = verifyEvery > 0 && n % verifyEvery === 0
    const unsigned = refuseUnsigned({ method: 'PUT', uri, authorization, body }, expected, deep)
    if (unsigned !== null) return refuse(unsigned)
    const contents = readTransaction(body, expected.origin)
    if (isRefusal(contents)) return refuse(contents)
    const { edus, originServerTs } = contents
    const repeated = log.find(txnId) !== undefined
    const pdus =
      options.checkPdus === true && !looked.repeated ? checked(body, contents) : unchecked(contents)
    Object.assign(looked, { pdus, edus })
    const pduIds = pdus.map(({ eventId }) => eventId)
    const isWholeAtLast = (log.find(txnId)?.sha256 ?? null) === null
    const eduParts = edus.map(({ parts }) => parts.map(nameOfPart))
    const verdict = log.receive({ txnId, body, pduIds, eduParts, originServerTs, at })
    if (verdict === 'refuse') {
      return replyTo(matrixError(429, 'M_LIMIT_EXCEEDED', 'another transaction is unanswered'))
    }
    if (isWholeAtLast) lookAtEdus(txnId, edus, deep ? body : null)
    for (const { eventId, fault } of pdus) if (fault !== null) log.complain(`PDU ${eventId}: ${fault}`)
    const seen = { txnId, n, repeated, pduIds, edus, at }
    const behaviour = typeof behaves === 'function' ? behaves(seen) : behaves
    if (behaviour.kind === 'status' || behaviour.kind === 'hang') return replyTo(behaviour)
    if (behaviour.kind === 'cut off') return { kind: 'destroy', delayMs: 0 }
    const delayMs = behaviour.delayMs ?? 0
    const response = log.find(txnId)?.response ?? take(seen, contents, refusing(behaviour, pdus))
    if (behaviour.kind === 'drop after processing') return { kind: 'destroy', delayMs }
    if (behaviour.kind === 'half an answer') return { kind: 'half an answer', body: response, delayMs }
    return { kind: 'answer', status: 200, headers: JSON_TYPE, body: response, delayMs }
  }

  const unchecked = ({ pdus }: Contents): LookedAtPdu[] =>
    pdus.map((pdu) => ({ pdu, eventId: idOf(pdu), fault: null }))

  function checked(body: string, contents: Contents): LookedAtPdu[] {
    const strict = strictPdus(body)
    if (typeof strict === 'string') {
      log.complain(`the body is JSON that strict receivers refuse: ${strict}`)
      return unchecked(contents)
    }
    return strict.map((pdu) => ({ pdu, ...checkPdu(pdu, expected) }))
  }

  /** What is wrong with the EDUs of a transaction that came whole for the first time. `body`: look at its numbers too. */
  function lookAtEdus(txnId: string, edus: Contents['edus'], body: string | null): void {
    for (const [index, { type, fault }] of edus.entries()) {
      if (fault !== null)
        log.complain(`EDU ${index} (${type ?? 'no type'}) of transaction ${txnId}: ${fault}`)
    }
    const odd = body === null || edus.length === 0 ? null : oddNumberIn(body)
    if (odd !== null) log.complain(`the EDUs of transaction ${txnId}: ${odd}`)
    kept.look(edus, txnId)
  }

  /** Processes a transaction for the first time and remembers its answer. */
  function take({ txnId, pduIds, at }: SeenRequest, contents: Contents, how: Processing): string {
    const { pdus, edus, originServerTs } = contents
    kept.take(edus, { txnId, at, originServerTs })
    const { taken: now, response } = processPdus(pduIds, pdus, how)
    for (const { eventId, pdu } of now) {
      const before = received.get(eventId)
      if (before !== undefined) {
        before.times++
        continue
      }
      const roomId = typeof pdu['room_id'] === 'string' ? pdu['room_id'] : null
      received.set(eventId, { eventId, roomId, txnId, at, order: taken, times: 1 })
      taken += 1
      const [oldest] = received.keys()
      if (received.size > mostRemembered && oldest !== undefined) received.delete(oldest)
    }
    const transaction = log.find(txnId)
    if (transaction !== undefined) transaction.response = response
    return response
  }

  return {
    log,
    received,
    edus: kept,
    behave(behaviour) {
      behaves = behaviour
    },
    receive,
  }
}

/** The same, but PDUs with a fault are listed with it, and not taken. */
function refusing<T extends Processing>(how: T, pdus: readonly LookedAtPdu[]): T {
  const faults = new Map(pdus.flatMap(({ eventId, fault }) => (fault === null ? [] : [[eventId, fault]])))
  if (faults.size === 0) return how
  return { ...how, refuses: (id, pdu) => faults.get(id) ?? how.refuses?.(id, pdu) ?? null }
}

/** The PDUs of a body, with their numbers as they were written; or why it can't be read so. */
function strictPdus(body: string): Pdu[] | string {
  try {
    const parsed = parseJson(body)
    const pdus = isJsonObject(parsed) ? parsed['pdus'] : undefined
    return Array.isArray(pdus) ? pdus.filter(isJsonObject) : []
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Does what a behaviour that processes nothing says. */
function replyTo(behaviour: Extract<Behaviour, { kind: 'status' | 'hang' }>): Reply {
  if (behaviour.kind === 'hang') return { kind: 'hang' }
  const { status, headers = {}, body = '', delayMs = 0 } = behaviour
  return { kind: 'answer', status, headers, body, delayMs }
}
