/**
 * Opens one verified TLS connection to a target, or says how far it got.
 *
 * Nothing of a request exists yet at that time, so a failure here has provably sent nothing. Only the vetted addresses
 * are used, and the certificate is checked against the target's own name, whichever address answered.
 */
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import type { SecureContext, TLSSocket } from 'node:tls'
import { timerMs, type Clock } from '../pace/clock.ts'
import { explainError } from './explain-error.ts'
import type { HandshakeGate } from './handshake-gate.ts'
import type { Target } from './target.ts'
import type { WatchedSocket, WatchOverhead } from './tls-overhead.ts'

export type Dialled =
  | { readonly kind: 'open'; readonly socket: TLSSocket; readonly overhead: WatchedSocket }
  | { readonly kind: 'failed'; readonly stage: 'connect' | 'tls' | 'aborted'; readonly message: string }

export type Dial = (target: Target, signal: AbortSignal) => Promise<Dialled>

export interface DialNeeds {
  readonly secureContext: SecureContext
  /** For TCP and TLS together, the wait for a place at the gate aside: that one is our own doing. */
  readonly connectTimeoutMs: number
  readonly gate: HandshakeGate
  readonly watchOverhead: WatchOverhead
  readonly clock: Clock
}

// Idle connections are probed by the kernel after this, so that one that died without a word is noticed.
const KEEP_ALIVE_PROBE_MS = 60_000
// However long TCP took, TLS gets this much.
const LEAST_TLS_MS = 1000

export function makeDial({ secureContext, connectTimeoutMs, gate, watchOverhead, clock }: DialNeeds): Dial {
  return async function dial(target, signal) {
    const started = clock.monotonic()
    let last: unknown = null
    for (const address of target.addresses) {
      const timeoutMs = connectTimeoutMs / target.addresses.length
      const tcp = connectTcp({ host: address, port: target.port, noDelay: true })
      last = await opened(tcp, 'connect', timeoutMs, signal)
      if (signal.aborted) return ended(tcp, { stage: 'aborted', message: 'aborted while connecting' })
      if (last !== null) continue
      const left = connectTimeoutMs - (clock.monotonic() - started)
      return secure(target, tcp, Math.max(left, LEAST_TLS_MS), signal)
    }
    return { kind: 'failed', stage: 'connect', message: explainError(last) }
  }

  async function secure(
    target: Target,
    tcp: Socket,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Dialled> {
    const leave = await gate.enter(signal)
    if (leave === null) return ended(tcp, { stage: 'aborted', message: 'aborted while connecting' })
    const socket = connectTls({
      socket: tcp,
      secureContext,
      ALPNProtocols: ['http/1.1'],
      // Said here, no variable of the environment (NODE_TLS_REJECT_UNAUTHORIZED) turns it off.
      rejectUnauthorized: true,
      checkServerIdentity: (_host, certificate) => checkServerIdentity(target.tlsName, certificate),
      ...(target.sni === null ? {} : { servername: target.sni }),
    })
    const overhead = watchOverhead(tcp, socket)
    socket.once('close', () => overhead.stop())
    const error = await opened(socket, 'secureConnect', timeoutMs, signal)
    leave()
    if (signal.aborted) return ended(socket, { stage: 'aborted', message: 'aborted while connecting' })
    if (error !== null) return ended(socket, { stage: 'tls', message: explainError(error) })
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    return { kind: 'open', socket, overhead }
  }
}

/** Waits until `socket` says `ready`: null, or why it never will (the socket is destroyed then). */
async function opened(
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

function ended(socket: Socket, how: { stage: 'connect' | 'tls' | 'aborted'; message: string }): Dialled {
  socket.destroy()
  return { kind: 'failed', ...how }
}

function timedOut(ready: 'connect' | 'secureConnect'): Error {
  const message = ready === 'connect' ? 'no connection in time' : 'no TLS handshake in time'
  return Object.assign(new Error(message), { code: ready === 'connect' ? 'ETIMEDOUT' : 'ERR_TLS_TIMEOUT' })
}
