/**
 * Ends connections on which TLS brings much and says nothing.
 *
 * Renewed keys, tickets, padding, handshakes: nobody is told of them, they cost time (a renewed key 20–30 µs), and some
 * are answered. What came over the wire and what came out of it are compared ten times a second. A record of ordinary
 * size has 22 bytes of its own, a handshake 3–8 KB; OpenSSL itself refuses certificates of more than 100 KB.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

export interface Watched {
  /** Counts from now on. */
  again(): void
  stop(): void
}

export const OVERHEAD = 'LIMPET_TLS_OVERHEAD'

const LOOK_EVERY_MS = 100
/** What TLS may bring beside twice the bytes that come out of it. */
export const MOST_OVERHEAD = 128 * 1024

export type WatchOverhead = (tcp: Socket, socket: TLSSocket) => Watched

export function makeWatchOverhead(): WatchOverhead {
  const looks = new Set<() => void>()
  let timer: NodeJS.Timeout | null = null

  function lookAtAll(): void {
    for (const look of looks) look()
  }

  return (tcp, socket) => {
    let wire = tcp.bytesRead
    let plain = socket.bytesRead
    const look = () => {
      if (tcp.bytesRead - wire <= MOST_OVERHEAD + 2 * (socket.bytesRead - plain)) return
      stop()
      socket.destroy(Object.assign(new Error('TLS brings much that is no data'), { code: OVERHEAD }))
    }
    const stop = () => {
      looks.delete(look)
      if (looks.size > 0 || timer === null) return
      clearInterval(timer)
      timer = null
    }
    looks.add(look)
    timer ??= setInterval(lookAtAll, LOOK_EVERY_MS).unref()
    return {
      again() {
        wire = tcp.bytesRead
        plain = socket.bytesRead
      },
      stop,
    }
  }
}
