/**
 * One request and its answer on one open connection.
 *
 * The promise that matters: `handed` is false only if not one byte of the request was given to the socket. The line is
 * undici's `onRequestStart`, which is called in the same turn of the event loop in which undici writes. There we ask
 * for the last time whether we may send, and from there on the request counts as received. It is never sent twice: a
 * connection has one socket and no other. The answer is limited, whatever it is made of: in the bytes that come
 * (`meter.ts`), in those that are kept (`kept-body.ts`), and in time.
 */
import type { Dispatcher } from 'undici'
import { timerMs } from '../pace/clock.ts'
import { tellNoMore, tellOfAbort, type ToldOfAbort } from '../pace/when-aborted.ts'
import type { Connection } from './connections.ts'
import { codeOf } from './explain-error.ts'
import { keepBody, type KeptBody } from './kept-body.ts'
import { TOO_MUCH } from './meter.ts'
import { inPieces } from './pieces.ts'

export interface ExchangeRequest {
  /** Path and query. */
  readonly uri: string
  /** Names and values in turn, without the length. It may be changed. */
  readonly headers: string[]
  readonly body: Buffer
  /** From now to the last byte of the answer. */
  readonly timeoutMs: number
  readonly stillHeld: () => boolean
  readonly signal: AbortSignal
  /** Told how to end it before its time. */
  readonly mayBeCut?: ((cut: () => void) => void) | undefined
}

/**
 * How the exchange ended: `whole` means that the answer was read to its end, `too large` that more came than an answer
 * may have, `given up` that all answers together took more memory than they may, `cut` that others waited for its place.
 */
export type Ending = 'whole' | 'too large' | 'given up' | 'timeout' | 'cut' | 'aborted' | 'not held' | 'error'

export interface Exchange {
  readonly ending: Ending
  readonly handed: boolean
  /** At least one byte came back after the request was handed over. */
  readonly answerBegan: boolean
  /** Where the answer's head arrived. */
  readonly status: number | null
  readonly retryAfter: string | undefined
  /** The header `Server`: what answered may not be the homeserver. */
  readonly server: string | undefined
  /** As much of the answer's body as was read. */
  readonly body: Buffer
  /** For the ending `error`. */
  readonly error: Error | null
  /** To be called when the body was read: until then it counts. */
  readonly release: () => void
}

/** Contract 5.2. */
export const MOST_OF_A_200 = 256 * 1024
// Enough for a Matrix error; the end of a proxy's error page is not needed.
const MOST_OF_AN_ERROR = 64 * 1024
/** Everything that may come for one request: the longest body and 64 KiB for heads, and what its chunks are packed in. */
const MOST_OF_ALL = MOST_OF_A_200 + 64 * 1024
/** RFC 9110, 15.2: any number; a server with more than a few means no answer. */
const MOST_INFORMATIONAL = 10
/** What is kept of a header. A `Retry-After` is a date or a number. */
const LONGEST_HEADER = 100

/** Resolves always; what the other side does is a value. The connection is fit for another use after `whole` only. */
export function exchange(connection: Connection, request: ExchangeRequest): Promise<Exchange> {
  return new Promise((resolve) => {
    new OneExchange(connection, request, resolve).begin()
  })
}

/**
 * One that is under way. It is one object, and undici's handler itself: hundreds are waiting for their answers, and all that each of them is
 * made of is gone through by the garbage collector.
 */
class OneExchange implements Dispatcher.DispatchHandler, ToldOfAbort {
  readonly #connection: Connection
  readonly #request: ExchangeRequest
  readonly #resolve: (exchange: Exchange) => void
  readonly #kept: KeptBody
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | null = null
  #handed = false
  #readBefore = 0
  #settled = false
  #informational = 0
  #status: number | null = null
  #retryAfter: string | undefined
  #server: string | undefined

  constructor(connection: Connection, request: ExchangeRequest, resolve: (exchange: Exchange) => void) {
    this.#connection = connection
    this.#request = request
    this.#resolve = resolve
    this.#kept = keepBody(connection.budget, () => this.#end('given up'))
    this.#timer = setTimeout(() => this.#end('timeout'), timerMs(request.timeoutMs))
    request.mayBeCut?.(() => this.#end('cut'))
    tellOfAbort(request.signal, this)
  }

  begin(): void {
    const { signal, uri: path, headers, body } = this.#request
    if (signal.aborted) {
      this.aborted() // Between connecting and now; nobody would ever hear of it.
      return
    }
    try {
      const pieces = inPieces(body)
      if (pieces !== body) headers.push('content-length', String(body.length))
      // undici takes an iterable: its documentation says so, its types don't. One request at a time: it need not keep others from following.
      const options = { method: 'PUT', path, headers, body: pieces as Buffer, blocking: false } as const
      this.#connection.client.dispatch(options, this)
    } catch (error) {
      this.#end('error', error instanceof Error ? error : new Error('the request could not be made'))
    }
  }

  aborted(): void {
    this.#end('aborted')
  }

  #end(ending: Ending, error: Error | null = null): void {
    if (this.#settled) return
    this.#settled = true
    const { socket, meter, overhead } = this.#connection
    clearTimeout(this.#timer)
    tellNoMore(this.#request.signal, this)
    meter.allow(0)
    overhead.idle()
    // Counts plain text, so TLS's own records (session tickets, close_notify) are no answer.
    const answerBegan = this.#handed && (ending === 'whole' || socket.bytesRead > this.#readBefore)
    this.#resolve({
      ending,
      handed: this.#handed,
      answerBegan,
      status: this.#status,
      retryAfter: this.#retryAfter,
      server: this.#server,
      body: this.#kept.all(),
      error,
      release: this.#kept.forget,
    })
    // The request may still wait for its turn on the socket: `onRequestStart` finds it settled and stops it.
    if (ending !== 'whole') this.#controller?.abort(error ?? new Error(ending))
  }

  onRequestStart(started: Dispatcher.DispatchController): void {
    const { socket, meter, overhead } = this.#connection
    this.#controller = started
    if (!this.#settled && !this.#request.stillHeld()) this.#end('not held')
    this.#readBefore = socket.bytesRead
    if (this.#settled) started.abort(new Error('not to be sent'))
    else {
      this.#handed = true
      meter.allow(MOST_OF_ALL)
      overhead.inUse()
    }
  }

  onResponseStart(_controller: Dispatcher.DispatchController, code: number, headers: Headers): void {
    if (code < 200) {
      // Informational (RFC 9110, 15.2): the answer proper follows.
      if (++this.#informational > MOST_INFORMATIONAL) this.#end('too large')
      return
    }
    this.#status = code
    this.#retryAfter = headerOf(headers, 'retry-after')
    this.#server = headerOf(headers, 'server')
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return
    const most = this.#status === 200 ? MOST_OF_A_200 : MOST_OF_AN_ERROR
    if (this.#kept.bytes() + chunk.length > most) this.#end('too large')
    else this.#kept.add(chunk)
  }

  onResponseEnd(): void {
    this.#end('whole')
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(codeOf(error) === TOO_MUCH ? 'too large' : 'error', error)
  }
}

type Headers = Record<string, string | string[] | undefined>

function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : value)?.slice(0, LONGEST_HEADER)
}
