/**
 * How a fake homeserver behaves, as a value that can be changed while it runs, and what it answers.
 *
 * The odd behaviours are those of real servers and their proxies: they work slowly, take a request and never answer,
 * process it and lose the answer, answer with an error page, drop PDUs of rooms they don't know while answering 200
 * (Synapse), or never list any PDU.
 */
import type { JsonObject } from '../../matrix/json-value.ts'
import type { WireEdu } from './edu-form.ts'

export type Pdu = Readonly<JsonObject>

export interface Processing {
  readonly delayMs?: number
  /** PDUs it answers 200 for but neither takes nor lists. */
  readonly drops?: (eventId: string, pdu: Pdu) => boolean
  /** PDUs it lists with an error; they are not taken. */
  readonly refuses?: (eventId: string, pdu: Pdu) => string | null
  /** `all`: a line for each PDU taken or refused. `empty`: `{"pdus": {}}`. `none`: `{}`. Default `all`. */
  readonly listing?: 'all' | 'empty' | 'none'
}

/** Answers this, without processing anything. A 200 may be given as well, to say something odd. */
export interface FixedAnswer {
  readonly kind: 'status'
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly delayMs?: number
}

export type Behaviour =
  | ({ readonly kind: 'ok' } & Processing)
  /** Processes the transaction, then destroys the socket before answering. */
  | ({ readonly kind: 'drop after processing' } & Processing)
  /** Processes it and writes only the first half of its answer's body. */
  | ({ readonly kind: 'half an answer' } & Processing)
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  /** Takes the request and closes the connection. */
  | { readonly kind: 'cut off' }
  | FixedAnswer

/** What a behaviour that is chosen request by request is told. */
export interface SeenRequest {
  readonly txnId: string
  /** Counts every request from 1, repeats too. */
  readonly n: number
  readonly repeated: boolean
  readonly pduIds: readonly string[]
  /** In the order of the transaction; with what is wrong with them. */
  readonly edus: readonly WireEdu[]
  readonly at: number
}

export type Behaves = Behaviour | ((request: SeenRequest) => Behaviour)

export const ok: Behaviour = { kind: 'ok' }

/** 429 in the way of Synapse, with both forms of the wait. */
export function tooManyRequests(retryAfterMs: number): FixedAnswer {
  return {
    kind: 'status',
    status: 429,
    headers: { 'content-type': 'application/json', 'retry-after': `${Math.ceil(retryAfterMs / 1000)}` },
    body: JSON.stringify({
      errcode: 'M_LIMIT_EXCEEDED',
      error: 'Too Many Requests',
      retry_after_ms: retryAfterMs,
    }),
  }
}

/** A Matrix error of the destination itself. */
export function matrixError(status: number, errcode: string, error = errcode): FixedAnswer {
  return {
    kind: 'status',
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ errcode, error }),
  }
}

/** An error page of a proxy that stands before the destination. */
export function errorPage(status: number): FixedAnswer {
  const body = `<html><head><title>${status}</title></head><body><center><h1>${status}</h1></center></body></html>\r\n`
  return { kind: 'status', status, headers: { 'content-type': 'text/html' }, body }
}

export interface Processed {
  /** The PDUs it took, in the order of the transaction. */
  readonly taken: readonly { readonly eventId: string; readonly pdu: Pdu }[]
  /** The 200's body. */
  readonly response: string
}

/** Processes a transaction's PDUs (ids and PDUs side by side) in the way `how` says. */
export function processPdus(ids: readonly string[], pdus: readonly Pdu[], how: Processing): Processed {
  const taken: { eventId: string; pdu: Pdu }[] = []
  const listed: Record<string, { error?: string }> = {}
  for (const [i, id] of ids.entries()) {
    const pdu = pdus[i] ?? {}
    if (how.drops?.(id, pdu) === true) continue
    const error = how.refuses?.(id, pdu) ?? null
    if (error === null) taken.push({ eventId: id, pdu })
    listed[id] = error === null ? {} : { error }
  }
  const listing = how.listing ?? 'all'
  const answer = listing === 'none' ? {} : { pdus: listing === 'empty' ? {} : listed }
  return { taken, response: JSON.stringify(answer) }
}
