/** What is needed to hand a transaction to another server, and what the outcome can be. Types only. */
import type { ServerName } from '../matrix/ids.ts'

/** The destination of a connection, and whether we may still send. */
export interface Reach {
  readonly destination: ServerName
  /** Asked before connecting and right before the request is written: may this process still send? */
  readonly stillHeld: () => boolean
  readonly signal: AbortSignal
  /** Ends a dial, and nothing that comes after it; aborts with `signal`. Left out: that is `signal`. */
  readonly dial?: AbortSignal
}

/**
 * One transaction. `timeoutMs` runs from the moment it is sent to the last byte of the answer; looking up the name and
 * connecting have their own limits. A request that goes again has what the first one left, and its new connection must be
 * there within that.
 */
export interface SendRequest {
  readonly txnId: string
  /** The exact bytes of the transaction, canonical JSON. They are sent and signed as they are, and may be shared with other requests. */
  readonly body: Buffer
  /** The ids of its PDUs: what an answer says of others is not read. */
  readonly eventIds: readonly string[]
  readonly timeoutMs: number
  /** Told, when the request begins, how to end it before its time; it is a `timeout` then, and `cut`. */
  readonly mayBeCut?: ((cut: () => void) => void) | undefined
}

/**
 * How far an attempt got before it failed. `timeout` is a request that was not answered in time; a connection
 * that wasn't made in time is `connect` or `tls`. `internal` is an unforeseen error; the log has it whole.
 */
export type SendStage =
  'discovery' | 'address' | 'connect' | 'tls' | 'timeout' | 'protocol' | 'http' | 'aborted' | 'internal'

export interface SendAnswered {
  readonly kind: 'answered'
  /** What the answer said of those of our PDUs that it listed; null: it had no `pdus`. */
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
  /** It answered, and the answer was read to its end: it has done with the request. */
  readonly whole?: boolean
  /** It did not have its whole time: others waited for its place. */
  readonly cut?: boolean
}

export type SendResult = SendAnswered | SendFailed

/** A connection that is the caller's, for one request or none. */
export interface Ready {
  readonly kind: 'ready'
  /** It was open and idle: nothing was waited for. */
  readonly wasIdle: boolean
  /** What it took to have it, ms. */
  readonly connectMs: number
  /** To be called once at most. Resolves always. */
  send(request: SendRequest): Promise<SendResult>
  /** Nothing is to be sent, or it was: another may use the connection. May be called more than once. */
  giveBack(): void
}

/** Resolves always: with a connection, or with how far it got, of which nothing was handed over. */
export type Connect = (reach: Reach) => Promise<Ready | SendFailed>

export interface Remotes {
  readonly connect: Connect
  /** A connection that is open and idle, at once; null where there is none, or where we may not send. */
  readonly takeIdle: (reach: Reach) => Ready | null
  /** Whether a connection is open and idle: then to reach it costs nothing. */
  readonly isConnected: (destination: ServerName) => boolean
}
