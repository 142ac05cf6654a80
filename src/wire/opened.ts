/** Waits for a socket that is being opened: until it says `ready`, or can't any more, or for too long. */
import type { Socket } from 'node:net'
import { timerMs } from '../pace/clock.ts'

/** Null, or why it never will be ready. Then it is destroyed. */
export async function opened(
  socket: Socket,
  ready: 'connect' | 'secureConnect',
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Error | null> {
  const error = await new Promise<Error | null>((resolve) => {
    const timer = setTimeout(() => settle(timedOut(ready)), timerMs(timeoutMs))
    const abort = () => settle(new Error('aborted'))
    const closed = () => settle(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
    const isReady = () => settle(null)
    function settle(outcome: Error | null): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.off(ready, isReady).off('close', closed)
      resolve(outcome)
    }
    signal.addEventListener('abort', abort, { once: true })
    // This listener stays: an error later on is told to the socket's user, and must never be unheard.
    socket.on('error', settle)
    socket.once(ready, isReady).once('close', closed)
    if (signal.aborted) abort()
    if (socket.destroyed) closed()
  })
  if (error !== null) socket.destroy()
  return error
}

function timedOut(ready: 'connect' | 'secureConnect'): Error {
  const message = ready === 'connect' ? 'no connection in time' : 'no TLS handshake in time'
  return Object.assign(new Error(message), { code: ready === 'connect' ? 'ETIMEDOUT' : 'ERR_TLS_TIMEOUT' })
}
