/**
 * One attempt to hand one transaction to one destination: sign, PUT, read the answer.
 *
 * It never retries a failure and never throws: what happened is the value it returns, and the caller decides what it
 * means. What nobody foresaw, a defect of ours too, is a failure of the stage `internal`: a turn that breaks off would
 * come back without backoff and without a word for the operator. Only a request that met its idle connection's end goes
 * again within the attempt, once, on a new connection (`send-again.ts`).
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
import { explainError } from './explain-error.ts'
import { maySendAgain } from './send-again.ts'
import type { ResolveTarget } from './target.ts'
import { unlessAborted } from './unless-aborted.ts'

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
  /** The ids of its PDUs: what an answer says of others is not read. */
  readonly eventIds: readonly string[]
  readonly timeoutMs: number
  /** Asked before connecting and right before the request is written: are we still the one who may send? */
  readonly stillHeld: () => boolean
  readonly signal: AbortSignal
}

/**
 * How far an attempt got before it failed. `timeout` is a request that was not answered in time; a connection
 * that wasn't made in time is `connect` or `tls`. `internal` is what nobody foresaw; the log has it whole.
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
  readonly log: Pick<Log, 'debug' | 'error'>
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
    const started = clock.monotonic()
    const progress: Progress = { handed: false }
    const reading = await attempt(request, progress).catch((error: unknown) =>
      unforeseen(error, request, progress),
    )
    const result = { ...reading, durationMs: Math.round(clock.monotonic() - started) }
    if (result.kind === 'failed') {
      const { destination, txnId } = request
      const { stage, status, handed, message } = result
      log.debug({ destination, txnId, stage, status, handed }, message)
    }
    return result
  }

  function unforeseen(error: unknown, { destination, txnId }: SendRequest, { handed }: Progress): Reading {
    try {
      log.error({ err: error, destination, txnId, handed }, 'an attempt ended in a way that nobody foresaw')
    } catch {
      // What was thrown can't even be looked at.
    }
    return { ...unsent({ stage: 'internal', message: explainUnforeseen(error) }), handed }
  }

  async function attempt(request: SendRequest, progress: Progress): Promise<Reading> {
    // One signal may end hundreds of attempts at once; that is no leak to be warned of.
    setMaxListeners(0, request.signal)
    const mayStart = !request.signal.aborted && request.stillHeld()
    const idle = mayStart ? connections.take(request.destination) : null
    if (idle === null) return onNewConnection(request, progress)
    const until = clock.monotonic() + request.timeoutMs
    const ended = await over(idle, request, progress)
    if (!maySendAgain(ended)) return read(idle, ended, request)
    ended.release()
    // Nothing was written, so what this connection took counts for nothing.
    return ended.handed ? again(request, until, progress) : onNewConnection(request, progress)
  }

  async function onNewConnection(request: SendRequest, progress: Progress): Promise<Reading> {
    const opened = await open(request)
    if (!('client' in opened)) return unsent(opened)
    return read(opened, await over(opened, request, progress), request)
  }

  /** A short answer is read at once, a long one when it is its turn: each takes a few milliseconds of the only thread. */
  function read({ turns }: Connection, ended: Exchange, { eventIds }: SendRequest): Promise<Reading> {
    return new Promise((resolve, reject) => {
      const now = () => {
        try {
          resolve(readAnswer(ended, clock.now(), eventIds))
        } catch (error) {
          reject(error instanceof Error ? error : new Error('what was thrown is no error'))
        }
        ended.release()
      }
      if (ended.body.length <= READ_AT_ONCE) {
        now()
        return
      }
      turns.next(() => {
        turns.charge(ended.body.length)
        now()
      })
    })
  }

  /** The second try of a request whose first may have been received, whatever becomes of this one. */
  async function again(request: SendRequest, until: number, progress: Progress): Promise<Reading> {
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
    const reading = await read(opened, await over(opened, { ...request, timeoutMs }, progress), request)
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

  async function over(connection: Connection, request: SendRequest, progress: Progress): Promise<Exchange> {
    try {
      const ended = await put(connection, request)
      progress.handed ||= ended.handed
      if (ended.ending === 'whole') connections.giveBack(connection)
      else connections.drop(connection)
      return ended
    } catch (error) {
      connections.drop(connection)
      throw error
    }
  }

  function put(connection: Connection, request: SendRequest): Promise<Exchange> {
    const { destination, txnId, body, timeoutMs, stillHeld, signal } = request
    const uri = `/_matrix/federation/v1/send/${encodeURIComponent(txnId)}`
    const signed = { origin, destination, method: 'PUT', uri, contentText: body, key }
    const headers = [
      ...['host', connection.hostHeader, 'user-agent', userAgent, 'content-type', 'application/json'],
      ...['authorization', authorizationFor(signed)],
    ]
    return exchange(connection, { uri, headers, body, timeoutMs, stillHeld, signal })
  }
}

/** What is known of an attempt wherever it breaks off. */
interface Progress {
  /** A byte of it may have left. */
  handed: boolean
}

/** Bytes of an answer; one for 50 PDUs has 3 KB. */
const READ_AT_ONCE = 8_192

const NOT_OURS: Unsent = { stage: 'aborted', message: 'not ours to send any more' }
const ABORTED: Unsent = { stage: 'aborted', message: 'aborted before anything was sent' }

const LATE: Unsent = { stage: 'timeout', message: 'no answer in time' }

/** Whatever was thrown: even a look at it may throw. */
function explainUnforeseen(error: unknown): string {
  try {
    return `an error in limpet, its log says more: ${explainError(error)}`
  } catch {
    return 'an error in limpet, its log says more'
  }
}

function unsent({ stage, message }: Unsent): Omit<SendFailed, 'durationMs'> {
  return { kind: 'failed', stage, status: null, errcode: null, retryAfterMs: null, message, handed: false }
}
