/** Reads the head of an HTTP answer from a socket, and not a byte that is not there yet. */
import type { Socket } from 'node:net'
import { timerMs } from '../pace/clock.ts'

export type HttpHead =
  | { readonly kind: 'head'; readonly head: string; readonly bytesAfter: number }
  | { readonly kind: 'failed'; readonly why: 'closed' | 'late' | 'aborted' | 'too long' }

const LONGEST = 16_384

/** The socket is paused afterwards, so that what comes next is its next reader's. */
export function readHttpHead(socket: Socket, timeoutMs: number, signal: AbortSignal): Promise<HttpHead> {
  return new Promise((resolve) => {
    let read = ''
    const timer = setTimeout(() => end({ kind: 'failed', why: 'late' }), timerMs(timeoutMs))
    const closed = () => end({ kind: 'failed', why: 'closed' })
    const abort = () => end({ kind: 'failed', why: 'aborted' })
    const data = (chunk: Buffer) => {
      read += chunk.toString('latin1')
      const at = read.indexOf('\r\n\r\n')
      if (at >= 0) end({ kind: 'head', head: read.slice(0, at), bytesAfter: read.length - at - 4 })
      else if (read.length > LONGEST) end({ kind: 'failed', why: 'too long' })
    }
    function end(how: HttpHead): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.off('data', data).off('end', closed).off('close', closed).pause()
      resolve(how)
    }
    signal.addEventListener('abort', abort, { once: true })
    socket.on('data', data).on('end', closed).on('close', closed)
    if (signal.aborted) abort()
    else if (socket.destroyed) closed()
  })
}
