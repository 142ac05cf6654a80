/**
 * A query and its answer, over UDP or TCP, on a socket of its own.
 *
 * UDP: a new socket for each query, so the system chooses a new port for each, and a socket that is connected, so the system lets
 * through only what comes from the server's own address and port. Always: it ends within `timeoutMs`, and the socket is closed then.
 */
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { deadline } from './deadline.ts'

export type Exchanged<T> =
  | { readonly kind: 'answered'; readonly reading: T }
  | { readonly kind: 'silent' }
  | { readonly kind: 'broken'; readonly error: unknown }
  | { readonly kind: 'aborted' }

export interface ExchangeNeeds<T> {
  readonly server: { readonly address: string; readonly port: number }
  readonly query: Buffer
  /** Null: not for us, go on listening. */
  readonly read: (bytes: Buffer) => T | null
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

type Settle<T> = (exchanged: Exchanged<T>) => void

// Addresses only come in, and nothing may ever ask the system's resolver for one.
const asItIs = (
  address: string,
  _options: unknown,
  back: (error: Error | null, address: string, family: number) => void,
) => back(null, address, isIPv6(address) ? 6 : 4)

export function exchangeOverUdp<T>(needs: ExchangeNeeds<T>): Promise<Exchanged<T>> {
  const { server, query, read } = needs
  return inTime(needs, (settle) => {
    const socket = createSocket({ type: isIPv6(server.address) ? 'udp6' : 'udp4', lookup: asItIs })
    const broken = (error?: Error | null): void => {
      if (error) settle({ kind: 'broken', error })
    }
    socket.on('error', broken)
    socket.on('message', (bytes) => {
      const reading = read(bytes)
      if (reading !== null) settle({ kind: 'answered', reading })
    })
    let closed = false
    socket.connect(server.port, server.address, ((error?: Error) => {
      if (closed) return
      if (error) broken(error)
      else socket.send(query, broken)
    }) as () => void)
    return () => {
      closed = true
      socket.close()
    }
  })
}

export function exchangeOverTcp<T>(needs: ExchangeNeeds<T>): Promise<Exchanged<T>> {
  const { server, query, read } = needs
  return inTime(needs, (settle) => {
    const socket = connect({ host: server.address, port: server.port, lookup: asItIs, noDelay: true })
    let kept = Buffer.alloc(0)
    socket.on('error', (error) => settle({ kind: 'broken', error }))
    socket.on('close', () => settle({ kind: 'broken', error: new Error('the connection was closed') }))
    socket.on('data', (piece: Buffer) => {
      kept = Buffer.concat([kept, piece])
      // RFC 1035, 4.2.2: each message has its length, two bytes, before it.
      while (kept.length >= 2 && kept.length >= 2 + kept.readUInt16BE(0)) {
        const end = 2 + kept.readUInt16BE(0)
        const reading = read(kept.subarray(2, end))
        if (reading !== null) {
          settle({ kind: 'answered', reading })
          return
        }
        kept = kept.subarray(end)
      }
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.write(Buffer.concat([length, query]))
    return () => socket.destroy()
  })
}

function inTime<T>(
  { timeoutMs, signal }: ExchangeNeeds<T>,
  /** Tells what happens, later than at once, and gives what closes it. */
  start: (settle: Settle<T>) => () => void,
): Promise<Exchanged<T>> {
  return new Promise((resolve) => {
    let close: (() => void) | null = null
    let settled = false
    const settle: Settle<T> = (exchanged) => {
      if (settled) return
      settled = true
      forget()
      signal.removeEventListener('abort', abort)
      close?.()
      resolve(exchanged)
    }
    const abort = () => settle({ kind: 'aborted' })
    const forget = deadline(timeoutMs, () => settle({ kind: 'silent' }))
    if (signal.aborted) {
      abort()
      return
    }
    signal.addEventListener('abort', abort, { once: true })
    try {
      close = start(settle)
    } catch (error) {
      settle({ kind: 'broken', error })
    }
  })
}
