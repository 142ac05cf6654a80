/**
 * One attempt to hand one transaction to one destination: sign, PUT, read the answer.
 *
 * It never retries and never throws for anything the other side does: what happened is the value it
 * returns, and whoever called decides what it means.
 */
import type { ServerName } from '../matrix/ids.ts'

/** Everything one attempt needs. `timeoutMs` covers the attempt as a whole, connecting included. */
export interface SendRequest {
  readonly destination: ServerName
  readonly txnId: string
  /** The exact text of the transaction, canonical JSON. It is sent and signed as it is. */
  readonly body: string
  readonly timeoutMs: number
  /** Asked before connecting and right before the request is written: are we still the one who may send? */
  readonly stillHeld: () => boolean
  readonly signal: AbortSignal
}

/** How far an attempt got before it failed. */
export type SendStage =
  'discovery' | 'address' | 'connect' | 'tls' | 'timeout' | 'protocol' | 'http' | 'aborted'

export interface SendAnswered {
  readonly kind: 'answered'
  /** What the answer said of each PDU it listed; null: it had no `pdus`. */
  readonly pdus: Map<string, { error: string | null }> | null
  readonly durationMs: number
}

export interface SendFailed {
  readonly kind: 'failed'
  readonly stage: SendStage
  /** The HTTP status, where an answer got that far. */
  readonly status: number | null
  /** The Matrix `errcode` of the answer's body, where it has one. */
  readonly errcode: string | null
  readonly retryAfterMs: number | null
  /** One line an operator can read. */
  readonly message: string
  readonly durationMs: number
  /** False only where the request provably never left: then, and only then, the transaction may be made anew. */
  readonly handed: boolean
}

export type SendResult = SendAnswered | SendFailed

export type Send = (request: SendRequest) => Promise<SendResult>
