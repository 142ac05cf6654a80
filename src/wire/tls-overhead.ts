/**
 * Ends connections on which TLS carries much and delivers nothing.
 *
 * Renewed keys, tickets, padding, handshakes: none of them is reported, they cost time (a renewed key 20–30 µs), and
 * some are answered. What came over the wire and what came out of it are compared ten times a second during a
 * handshake or a request, otherwise once a second: nearly all connections are idle, and looking at all of them would
 * cost more than sending does. A record of ordinary size has an overhead of 22 bytes, a handshake 3–8 KB; OpenSSL
 * itself refuses certificates of more than 100 KB.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

export interface WatchedSocket {
  /** Something is asked on it: counts from now on. */
  inUse(): void
  /** Nothing more is: counts from now on. */
  idle(): void
  stop(): void
}

export const OVERHEAD = 'LIMPET_TLS_OVERHEAD'

const CHECK_EVERY_MS = 100
/** One check in ten is of the idle connections too. */
const ROUNDS_OF_USED = 10
/** What TLS may bring beside twice the bytes that come out of it. */
export const MOST_OVERHEAD = 128 * 1024

export type WatchOverhead = (tcp: Socket, socket: TLSSocket) => WatchedSocket

/** Watches a connection from its handshake on. */
export function makeWatchOverhead(): WatchOverhead {
  const all = new Set<() => void>()
  const inUse = new Set<() => void>()
  let rounds = 0
  let timer: NodeJS.Timeout | null = null

  function checkAll(): void {
    rounds = (rounds + 1) % ROUNDS_OF_USED
    for (const check of rounds === 0 ? all : inUse) check()
  }

  return (tcp, socket) => {
    let wire = tcp.bytesRead
    let plain = socket.bytesRead
    const check = () => {
      if (tcp.bytesRead - wire <= MOST_OVERHEAD + 2 * (socket.bytesRead - plain)) return
      stop()
      socket.destroy(Object.assign(new Error('TLS carries much that is not data'), { code: OVERHEAD }))
    }
    const again = () => {
      wire = tcp.bytesRead
      plain = socket.bytesRead
    }
    const stop = () => {
      inUse.delete(check)
      all.delete(check)
      if (all.size > 0 || timer === null) return
      clearInterval(timer)
      timer = null
    }
    all.add(check)
    inUse.add(check)
    timer ??= setInterval(checkAll, CHECK_EVERY_MS).unref()
    return {
      inUse() {
        again()
        if (all.has(check)) inUse.add(check)
      },
      idle() {
        again()
        inUse.delete(check)
      },
      stop,
    }
  }
}
