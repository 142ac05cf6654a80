/**
 * One attempt to hand one transaction to one destination: sign, PUT, read the answer.
 *
 * It never retries a failure and never throws for anything the other side does: what happened is the value it
 * returns, and the caller decides what it means. Only a request that met its idle connection's end goes again
 * within the attempt, once, on a new connection (`send-again.ts`).
 */
import { setMaxListeners } from 'node:events'
import type { Clock } from '../clock.ts'
import { within } from '../either-signal.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { SigningKey } from '../matrix/signing.ts'
import { authorizationFor } from '../matrix/x-matrix.ts'
import type { Log } from '../observe/log.ts'
import { readAnswer } from './answer.ts'
import type { Reading } from './answer.ts'
import type { Connection, Connections } from './connections.ts'
import { exchange } from './exchange.ts'
import type { Exchange } from './exchange.ts'
import { maySendAgain } from './send-again.ts'
import type { ResolveTarget } from './target.ts'

/**
 * Everything one attempt needs. `timeoutMs` runs from the moment a connection is there to the last byte of the
 * answer; looking up the name and connecting have their own limits. A request that goes again has what the first
 * one left, and its new connection must be there within that.
 */
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

/**
 * How far an attempt got before it failed. `timeout` is a request that was not answered in time; a connection
 * that wasn't made in time is `connect` or `tls`.
 */
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

export interface SendNeeds {
  readonly connections: Connections
  readonly resolveTarget: ResolveTarget
  readonly key: SigningKey
  /** Our server name. */
  readonly origin: ServerName
  /** `limpet/VERSION`. */
  readonly userAgent: string
  readonly clock: Clock
  readonly log: Pick<Log, 'debug'>
}

type Unsent = Pick<SendFailed, 'stage' | 'message'>

export function makeSend({
  connections,
  resolveTarget,
  key,
  origin,
  userAgent,
  clock,
  log,
}: SendNeeds): Send {
  return async function send(request) {
    // One signal may end hundreds of attempts at once; that is no leak to be warned of.
    setMaxListeners(0, request.signal)
    const started = clock.monotonic()
    const reading = await attempt(request)
    const result = { ...reading, durationMs: Math.round(clock.monotonic() - started) }
    if (result.kind === 'failed') {
      const { destination, txnId } = request
      const { stage, status, handed, message } = result
      log.debug({ destination, txnId, stage, status, handed }, message)
    }
    return result
  }

  async function attempt(request: SendRequest): Promise<Reading> {
    const mayStart = !request.signal.aborted && request.stillHeld()
    const idle = mayStart ? connections.take(request.destination) : null
    if (idle === null) return onNewConnection(request)
    const until = clock.monotonic() + request.timeoutMs
    const ended = await over(idle, request)
    if (!maySendAgain(ended)) return readAnswer(ended, clock.now())
    // Nothing was written, so what this connection took counts for nothing.
    return ended.handed ? again(request, until) : onNewConnection(request)
  }

  async function onNewConnection(request: SendRequest): Promise<Reading> {
    const opened = await open(request)
    if (!('client' in opened)) return unsent(opened)
    return readAnswer(await over(opened, request), clock.now())
  }

  /** The second try of a request whose first may have been received, whatever becomes of this one. */
  async function again(request: SendRequest, until: number): Promise<Reading> {
    const { destination, txnId, signal } = request
    log.debug({ destination, txnId }, 'the idle connection had just been closed: sent again on a new one')
    const limited = within(signal, until - clock.monotonic())
    const opened = await open({ ...request, signal: limited.signal })
    limited.forget()
    if (!('client' in opened)) {
      const late = limited.signal.aborted && !signal.aborted
      return { ...unsent(late ? LATE : opened), handed: true }
    }
    const timeoutMs = Math.max(0, until - clock.monotonic())
    const reading = readAnswer(await over(opened, { ...request, timeoutMs }), clock.now())
    return reading.kind === 'failed' ? { ...reading, handed: true } : reading
  }

  /** A new connection that we still may use, or how far it got. */
  async function open({ destination, signal, stillHeld }: SendRequest): Promise<Connection | Unsent> {
    if (!stillHeld()) return NOT_OURS
    if (signal.aborted) return ABORTED
    const resolution = await unlessAborted(resolveTarget(destination), signal)
    if (resolution === null) return ABORTED
    if (resolution.kind === 'failed') return resolution
    if (!stillHeld()) return NOT_OURS
    const opened = await connections.open(destination, resolution.target, signal)
    return opened.kind === 'failed' ? opened : opened.connection
  }

  async function over(connection: Connection, request: SendRequest): Promise<Exchange> {
    const { destination, txnId, body, timeoutMs, stillHeld, signal } = request
    const uri = `/_matrix/federation/v1/send/${encodeURIComponent(txnId)}`
    const signed = { origin, destination, method: 'PUT', uri, contentText: body, key }
    const headers = [
      ...['host', connection.hostHeader, 'user-agent', userAgent, 'content-type', 'application/json'],
      ...['authorization', authorizationFor(signed)],
    ]
    const ended = await exchange(connection, { uri, headers, body, timeoutMs, stillHeld, signal })
    if (ended.ending === 'whole') connections.giveBack(connection)
    else connections.drop(connection)
    return ended
  }
}

const NOT_OURS: Unsent = { stage: 'aborted', message: 'not ours to send any more' }
const ABORTED: Unsent = { stage: 'aborted', message: 'aborted before anything was sent' }

const LATE: Unsent = { stage: 'timeout', message: 'no answer in time' }

function unsent({ stage, message }: Unsent): Omit<SendFailed, 'durationMs'> {
  return { kind: 'failed', stage, status: null, errcode: null, retryAfterMs: null, message, handed: false }
}

/** What `promise` brings, or null as soon as `signal` aborts. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const abort = () => resolve(null)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    if (signal.aborted) abort()
  })
}
