/**
 * TLS over an open connection, for whom it was meant or not at all.
 *
 * A handshake waits for its place at the gate; that wait is our own doing, and counts for nothing.
 */
import type { Socket } from 'node:net'
import { connect } from 'node:tls'
import type { SecureContext, TLSSocket } from 'node:tls'
import type { HandshakeGate } from './handshake-gate.ts'
import { whyNotFor } from './identity.ts'
import { opened } from './opened.ts'
import type { Runner } from './race.ts'
import { unconnected } from './tcp.ts'
import type { Unconnected } from './tcp.ts'
import type { WatchedSocket, WatchOverhead } from './tls-overhead.ts'

export interface HandshakeNeeds {
  /** Asked for each handshake anew. */
  readonly secureContext: SecureContext
  readonly gate: HandshakeGate
  readonly watchOverhead: WatchOverhead
}

export interface HandshakeWith {
  readonly tlsName: string
  readonly sni: string | null
  /** Whether the certificate is not verified. */
  readonly insecure: boolean
  readonly timeoutMs: number
  /** Its signal ends the handshake. */
  readonly runner: Runner
}

export type ShookHands =
  { readonly kind: 'open'; readonly socket: TLSSocket; readonly overhead: WatchedSocket } | Unconnected

/** Whatever becomes of it, `tcp` is its own from now on. */
export type Handshake = (tcp: Socket, how: HandshakeWith) => Promise<ShookHands>

export function makeHandshake(needs: HandshakeNeeds): Handshake {
  const { gate, watchOverhead } = needs
  return async function handshake(tcp, { tlsName, sni, insecure, timeoutMs, runner }) {
    runner.hold()
    const leave = await gate.enter(runner.signal)
    if (leave === null) {
      tcp.destroy()
      return unconnected('tls', new Error('aborted'))
    }
    runner.moved()
    const socket = connect({
      socket: tcp,
      secureContext: needs.secureContext,
      ALPNProtocols: ['http/1.1'],
      // Said here, no variable of the environment (NODE_TLS_REJECT_UNAUTHORIZED) turns it off.
      rejectUnauthorized: !insecure,
      checkServerIdentity: (_host, certificate) => whyNotFor(tlsName, certificate) ?? undefined,
      ...(sni === null ? {} : { servername: sni }),
    })
    const overhead = watchOverhead(tcp, socket)
    socket.once('close', () => overhead.stop())
    const error = await opened(socket, 'secureConnect', timeoutMs, runner.signal)
    leave()
    return error === null ? { kind: 'open', socket, overhead } : unconnected('tls', error)
  }
}
