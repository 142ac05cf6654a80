/**
 * One request and its answer on one open connection.
 *
 * The one promise that matters: `handed` is false only where not one byte of the request was given to the
 * socket. The line is undici's `onRequestStart`, which it calls in the same turn in which it writes; there we
 * ask a last time whether we may, and from there on the request counts as received. It never happens twice:
 * a connection has one socket and no other.
 */
import type { Dispatcher } from 'undici'
import { timerMs } from '../clock.ts'
import type { Connection } from './connections.ts'

export interface ExchangeRequest {
  /** Path and query. */
  readonly uri: string
  /** Names and values in turn. */
  readonly headers: string[]
  readonly body: string
  /** From now to the last byte of the answer. */
  readonly timeoutMs: number
  readonly stillHeld: () => boolean
  readonly signal: AbortSignal
}

/** How the exchange ended: `whole` means that the answer was read to its end. */
export type Ending = 'whole' | 'too large' | 'timeout' | 'aborted' | 'not held' | 'error'

export interface Exchange {
  readonly ending: Ending
  readonly handed: boolean
  /** At least one byte came back after the request was handed over. */
  readonly answerBegan: boolean
  /** Where the answer's head arrived. */
  readonly status: number | null
  readonly retryAfter: string | undefined
  /** As much of the answer's body as was read. */
  readonly body: string
  /** For the ending `error`. */
  readonly error: Error | null
}

const MOST_OF_A_200 = 4 * 1024 * 1024
// Enough for a Matrix error; of a proxy's error page nobody needs the end.
const MOST_OF_AN_ERROR = 64 * 1024

/** Resolves always; what the other side does is a value. The connection is fit for another use after `whole` only. */
export function exchange(connection: Connection, request: ExchangeRequest): Promise<Exchange> {
  const { signal, stillHeld } = request
  return new Promise((resolve) => {
    let handed = false
    let readBefore = 0
    let settled = false
    let status: number | null = null
    let retryAfter: string | undefined
    let controller: Dispatcher.DispatchController | null = null
    const chunks: Buffer[] = []
    let bytes = 0

    const timer = setTimeout(() => end('timeout'), timerMs(request.timeoutMs))
    const abort = () => end('aborted')
    signal.addEventListener('abort', abort, { once: true })

    function end(ending: Ending, error: Error | null = null): void {
      if (settled) return
      settled = true
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      const body = chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString()
      // Counts plain text, so TLS's own records (session tickets, close_notify) are no answer.
      const answerBegan = handed && connection.socket.bytesRead > readBefore
      resolve({ ending, handed, answerBegan, status, retryAfter, body, error })
      // The request may still wait for its turn on the socket: `onRequestStart` finds it settled and stops it.
      if (ending !== 'whole') controller?.abort(error ?? new Error(ending))
    }

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        controller = started
        if (!settled && !stillHeld()) end('not held')
        readBefore = connection.socket.bytesRead
        if (settled) started.abort(new Error('not to be sent'))
        else handed = true
      },
      onResponseStart(_controller, code, headers) {
        if (code < 200) return // Informational (RFC 9110, 15.2): the answer proper follows.
        status = code
        const wait = headers['retry-after']
        retryAfter = Array.isArray(wait) ? wait[0] : wait
      },
      onResponseData(_controller, chunk) {
        bytes += chunk.length
        if (bytes > (status === 200 ? MOST_OF_A_200 : MOST_OF_AN_ERROR)) end('too large')
        else chunks.push(chunk)
      },
      onResponseEnd: () => end('whole'),
      onResponseError: (_controller, error) => end('error', error),
    }
    if (signal.aborted) {
      abort() // Between connecting and now; a listener would never hear of it.
      return
    }
    connection.client.dispatch(
      { method: 'PUT', path: request.uri, headers: request.headers, body: request.body },
      handler,
    )
  })
}
