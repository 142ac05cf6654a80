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
import type { Connection } from './connections.ts'
import { codeOf } from './explain-error.ts'
import { keepBody } from './kept-body.ts'
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
  const { signal, stillHeld } = request
  const { socket, meter, overhead } = connection
  return new Promise((resolve) => {
    let handed = false
    let readBefore = 0
    let settled = false
    let informational = 0
    let status: number | null = null
    let retryAfter: string | undefined
    let server: string | undefined
    let controller: Dispatcher.DispatchController | null = null
    const kept = keepBody(connection.budget, () => end('given up'))

    const timer = setTimeout(() => end('timeout'), timerMs(request.timeoutMs))
    request.mayBeCut?.(() => end('cut'))
    const abort = () => end('aborted')
    signal.addEventListener('abort', abort, { once: true })

    function end(ending: Ending, error: Error | null = null): void {
      if (settled) return
      settled = true
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      meter.allow(0)
      overhead.idle()
      // Counts plain text, so TLS's own records (session tickets, close_notify) are no answer.
      const answerBegan = handed && socket.bytesRead > readBefore
      const release = () => kept.forget()
      resolve({ ending, handed, answerBegan, status, retryAfter, server, body: kept.all(), error, release })
      // The request may still wait for its turn on the socket: `onRequestStart` finds it settled and stops it.
      if (ending !== 'whole') controller?.abort(error ?? new Error(ending))
    }

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        controller = started
        if (!settled && !stillHeld()) end('not held')
        readBefore = socket.bytesRead
        if (settled) started.abort(new Error('not to be sent'))
        else {
          handed = true
          meter.allow(MOST_OF_ALL)
          overhead.inUse()
        }
      },
      onResponseStart(_controller, code, headers) {
        if (code < 200) {
          // Informational (RFC 9110, 15.2): the answer proper follows.
          if (++informational > MOST_INFORMATIONAL) end('too large')
          return
        }
        status = code
        retryAfter = headerOf(headers, 'retry-after')
        server = headerOf(headers, 'server')
      },
      onResponseData(_controller, chunk) {
        if (settled) return
        if (kept.bytes() + chunk.length > (status === 200 ? MOST_OF_A_200 : MOST_OF_AN_ERROR))
          end('too large')
        else kept.add(chunk)
      },
      onResponseEnd: () => end('whole'),
      onResponseError: (_controller, error) => end(codeOf(error) === TOO_MUCH ? 'too large' : 'error', error),
    }
    if (signal.aborted) {
      abort() // Between connecting and now; a listener would never hear of it.
      return
    }
    try {
      const { uri: path, headers, body } = request
      const pieces = inPieces(body)
      if (pieces !== body) headers.push('content-length', String(body.length))
      // undici takes an iterable: its documentation says so, its types don't.
      connection.client.dispatch({ method: 'PUT', path, headers, body: pieces as Buffer }, handler)
    } catch (error) {
      end('error', error instanceof Error ? error : new Error('the request could not be made'))
    }
  })
}

function headerOf(headers: Record<string, string | string[] | undefined>, name: string): string | undefined {
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : value)?.slice(0, LONGEST_HEADER)
}
