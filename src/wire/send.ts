/**
 * One attempt to hand one transaction to one destination, in two steps: first a connection; then sign, PUT, read the
 * answer. Between the two the caller decides what to send: nothing is chosen or stored for a server that can't be
 * reached.
 *
 * It never retries a failure and never throws: the outcome is its return value, and the caller decides what it means.
 * An unforeseen error, or a defect of ours, is a failure of the stage `internal`: a turn that broke off would come
 * back without backoff, and the operator would see nothing. Only a request that met the end of its idle connection is sent again, once, on a new one (`send-again.ts`).
 */
import { setMaxListeners } from 'node:events'
import type { Clock } from '../pace/clock.ts'
import { within } from '../pace/either-signal.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { SigningKey } from '../matrix/signing.ts'
import { authorizationFor } from '../matrix/x-matrix.ts'
import type { Log } from '../observe/log.ts'
import { readAnswer } from './answer.ts'
import type { ReadAnswer } from './answer.ts'
import type { Connection, Connections, Opened } from './connections.ts'
import { exchange } from './exchange.ts'
import type { Exchange } from './exchange.ts'
import { explainUnforeseen } from './explain-error.ts'
import { maySendAgain } from './send-again.ts'
import type { Ready, Reach, Remotes, SendFailed, SendRequest, SendResult } from './send-result.ts'
import type { ResolveTarget } from './target.ts'
import { unlessAborted } from './unless-aborted.ts'

export interface SendNeeds {
  readonly connections: Connections
  readonly resolveTarget: ResolveTarget
  /** Asked for each request anew. */
  readonly key: SigningKey
  /** Our server name. */
  readonly origin: ServerName
  /** `limpet/VERSION`. */
  readonly userAgent: string
  readonly clock: Clock
  readonly log: Pick<Log, 'debug' | 'error'>
  /** Counts the requests that are under way. */
  readonly underWay?: { inc(): void; dec(): void }
}

type IsOpen = Extract<Opened, { kind: 'open' }>
type Unsent = Pick<SendFailed, 'stage' | 'message'>
type Unreached = Omit<SendFailed, 'durationMs'>

export function makeRemotes(needs: SendNeeds): Remotes {
  const { connections, resolveTarget, origin, userAgent, clock, log, underWay } = needs
  return { connect, takeIdle, isConnected: (destination) => connections.isIdle(destination) }

  function takeIdle(reach: Reach): Ready | null {
    const connection = isOurs(reach) ? connections.take(reach.destination) : null
    if (connection === null) return null
    if (clock.monotonic() > connection.asksAt) askAhead(connection)
    return makeReady(connection, reach, true, 0)
  }

  /** Where the destination is, so that the answer is there when the connection may not be used any more without it. */
  function askAhead(connection: Connection): void {
    connection.asksAt = Infinity
    resolveTarget(connection.destination).catch((error: unknown) => {
      unforeseen(error, { destination: connection.destination }, false)
    })
  }

  /** What it throws is told by `connect`, which asks again. */
  function isOurs({ signal, stillHeld }: Reach): boolean {
    try {
      return !signal.aborted && stillHeld()
    } catch {
      return false
    }
  }

  async function connect(reach: Reach): Promise<Ready | SendFailed> {
    const idle = takeIdle(reach)
    if (idle !== null) return idle
    const started = clock.monotonic()
    const took = () => Math.round(clock.monotonic() - started)
    const about = { destination: reach.destination }
    try {
      // One signal may end hundreds of attempts at once; that is not a leak to be warned of.
      setMaxListeners(0, reach.signal)
      const opened = await open(reach.dial === undefined ? reach : { ...reach, signal: reach.dial })
      if ('connection' in opened) return makeReady(opened.connection, reach, opened.wasIdle, took())
      return told({ ...unsent(opened), durationMs: took() }, about)
    } catch (error) {
      return told({ ...unforeseen(error, about, false), durationMs: took() }, about)
    }
  }

  function makeReady(connection: Connection, reach: Reach, wasIdle: boolean, connectMs: number): Ready {
    let ours = true
    return {
      kind: 'ready',
      wasIdle,
      connectMs,
      send(request) {
        ours = false
        return send(connection, wasIdle, reach, request)
      },
      giveBack() {
        if (ours) connections.giveBack(connection)
        ours = false
      },
    }
  }

  async function send(
    connection: Connection,
    wasIdle: boolean,
    reach: Reach,
    request: SendRequest,
  ): Promise<SendResult> {
    const started = clock.monotonic()
    const progress: Handover = { handed: false }
    const { destination, stillHeld, signal } = reach
    const { txnId, body, eventIds, timeoutMs, mayBeCut } = request
    const sending: PendingSend = {
      destination,
      stillHeld,
      signal,
      txnId,
      body,
      eventIds,
      timeoutMs,
      mayBeCut,
    }
    underWay?.inc()
    let reading: ReadAnswer
    try {
      setMaxListeners(0, signal)
      reading = await attempt(connection, wasIdle, sending, progress)
    } catch (error) {
      reading = unforeseen(error, { destination, txnId }, progress.handed)
    } finally {
      underWay?.dec()
    }
    const durationMs = Math.round(clock.monotonic() - started)
    if (reading.kind === 'failed') return told({ ...reading, durationMs }, { destination, txnId })
    // No copy, which takes forty times as long.
    return { kind: reading.kind, pdus: reading.pdus, durationMs }
  }

  function told(result: SendFailed, about: About): SendFailed {
    const { stage, status, handed, message } = result
    log.debug({ ...about, stage, status, handed }, message)
    return result
  }

  function unforeseen(error: unknown, about: About, handed: boolean): Unreached {
    try {
      log.error({ err: error, ...about, handed }, 'an attempt ended with an unforeseen error')
    } catch {
      // What was thrown can't even be looked at.
    }
    return { ...unsent({ stage: 'internal', message: explainUnforeseen(error) }), handed }
  }

  async function attempt(
    connection: Connection,
    wasIdle: boolean,
    request: PendingSend,
    progress: Handover,
  ): Promise<ReadAnswer> {
    const until = clock.monotonic() + request.timeoutMs
    if (clock.monotonic() >= connection.endsAt) {
      // The request waited with its connection for so long that it has to be asked again where the destination is.
      connections.giveBack(connection)
      const opened = await open(request)
      if (!('connection' in opened)) return unsent(opened)
      ;({ connection, wasIdle } = opened)
    }
    const ended = await over(connection, request, progress)
    if (!wasIdle || !maySendAgain(ended)) return read(connection, ended, request)
    ended.release()
    // Nothing was written, so what this connection took counts for nothing.
    return ended.handed ? again(request, until, progress) : onNewConnection(request, progress)
  }

  async function onNewConnection(request: PendingSend, progress: Handover): Promise<ReadAnswer> {
    const opened = await open(request, true)
    if (!('connection' in opened)) return unsent(opened)
    return read(opened.connection, await over(opened.connection, request, progress), request)
  }

  /** A short answer is read at once, a long one when it is its turn: each takes a few milliseconds of the only thread. */
  function read(
    { turns }: Connection,
    ended: Exchange,
    request: PendingSend,
  ): ReadAnswer | Promise<ReadAnswer> {
    if (ended.body.length <= READ_AT_ONCE) return readNow(ended, request)
    return new Promise((resolve, reject) => {
      turns.next(() => {
        turns.charge(ended.body.length)
        try {
          resolve(readNow(ended, request))
        } catch (error) {
          reject(error instanceof Error ? error : new Error('something was thrown that is not an error'))
        }
      })
    })
  }

  function readNow(ended: Exchange, { eventIds }: PendingSend): ReadAnswer {
    try {
      return readAnswer(ended, clock.now(), eventIds)
    } finally {
      ended.release()
    }
  }

  /** The second try of a request whose first may have been received, whatever becomes of this one. */
  async function again(request: PendingSend, until: number, progress: Handover): Promise<ReadAnswer> {
    const { destination, txnId, signal } = request
    log.debug({ destination, txnId }, 'the idle connection had just been closed: sending again on a new one')
    const limited = within(signal, until - clock.monotonic())
    const opened = await open({ ...request, signal: limited.signal }, true)
    limited.forget()
    if (!('connection' in opened)) {
      const late = limited.signal.aborted && !signal.aborted
      return { ...unsent(late ? LATE : opened), handed: true }
    }
    const timeoutMs = Math.max(0, until - clock.monotonic())
    const { connection } = opened
    const reading = await read(
      connection,
      await over(connection, { ...request, timeoutMs }, progress),
      request,
    )
    return reading.kind === 'failed' ? { ...reading, handed: true } : reading
  }

  /** A connection that we still may use, or how far it got. */
  async function open({ destination, signal, stillHeld }: Reach, anew = false): Promise<IsOpen | Unsent> {
    if (!stillHeld()) return NOT_OURS
    if (signal.aborted) return ABORTED
    const resolution = await unlessAborted(resolveTarget(destination), signal)
    if (resolution === null) return ABORTED
    if (resolution.kind === 'failed') return resolution
    if (!stillHeld()) return NOT_OURS
    return connections.open(destination, resolution.to, signal, anew)
  }

  /** Afterwards the connection is free for another request where the answer was read to its end, and ended otherwise. */
  async function over(connection: Connection, request: PendingSend, progress: Handover): Promise<Exchange> {
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

  function put(connection: Connection, request: PendingSend): Promise<Exchange> {
    const { destination, txnId, body, timeoutMs, stillHeld, signal, mayBeCut } = request
    const uri = `/_matrix/federation/v1/send/${encodeURIComponent(txnId)}`
    const signed = { origin, destination, method: 'PUT', uri, content: body, key: needs.key }
    const headers = ['host', connection.hostHeader, 'user-agent', userAgent]
    headers.push('content-type', 'application/json', 'authorization', authorizationFor(signed))
    return exchange(connection, { uri, headers, body, timeoutMs, stillHeld, signal, mayBeCut })
  }
}

type PendingSend = Reach & SendRequest

/** For the log. */
interface About {
  destination: string
  txnId?: string
}

/** What is known of an attempt wherever it breaks off. */
interface Handover {
  /** A byte of it may have left. */
  handed: boolean
}

/** Bytes of an answer; one for 50 PDUs has 3 KB. */
const READ_AT_ONCE = 8_192

const NOT_OURS: Unsent = { stage: 'aborted', message: 'not ours to send any more' }
const ABORTED: Unsent = { stage: 'aborted', message: 'aborted before anything was sent' }

const LATE: Unsent = { stage: 'timeout', message: 'no answer in time' }

function unsent({ stage, message }: Unsent): Unreached {
  return { kind: 'failed', stage, status: null, errcode: null, retryAfterMs: null, message, handed: false }
}
