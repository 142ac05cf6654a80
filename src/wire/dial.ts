/**
 * Opens one verified TLS connection to a target, or says how far it got.
 *
 * Nothing of a request exists yet at that time, so a failure here has provably sent nothing. Each address is vetted where
 * it is connected to (`tcp.ts`), and the certificate is checked against the target's own name, whichever address answered.
 * Addresses are tried one after another without waiting for each other's end (`race.ts`): the first with which TLS works
 * wins. Each attempt may take the whole time-out.
 */
import { setMaxListeners } from 'node:events'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../pace/clock.ts'
import { inDialOrder } from './address-order.ts'
import { explainDial } from './dial-failure.ts'
import type { FailedAt } from './dial-failure.ts'
import { makeHandshake } from './handshake.ts'
import type { HandshakeNeeds } from './handshake.ts'
import type { IsInsecure } from '../allow/insecure.ts'
import { timed } from './own-time.ts'
import { race, STAGGER_MS } from './race.ts'
import type { Attempted, Runner } from './race.ts'
import type { VetAddress } from '../allow/vet.ts'
import type { Lookup, Target } from './target.ts'
import { makeConnectTcp } from './tcp.ts'
import type { WatchedSocket } from './tls-overhead.ts'
import { makeTunnels } from './tunnel.ts'

export interface Open {
  readonly kind: 'open'
  readonly socket: TLSSocket
  readonly overhead: WatchedSocket
  /** The one of the target's addresses that it leads to. */
  readonly address: string
}

export type Dialled =
  | Open
  | {
      readonly kind: 'failed'
      readonly stage: 'address' | 'connect' | 'tls' | 'aborted'
      readonly message: string
    }

/** `worked` is the address that a connection to this target had last: it is tried first. */
export type Dial = (target: Target, signal: AbortSignal, worked?: string | null) => Promise<Dialled>

export interface DialNeeds extends HandshakeNeeds {
  /** For TCP and TLS together, the wait for a place at the gate aside: that one is our own doing. Asked for each attempt anew. */
  readonly connectTimeoutMs: number
  readonly clock: Clock
  readonly vet: VetAddress
  /** Default: every certificate is verified. */
  readonly isInsecure?: IsInsecure
  /** For the name of a proxy. */
  readonly lookup: Lookup
}

// Idle connections are probed by the kernel after this, so that one that died without a word is noticed.
const KEEP_ALIVE_PROBE_MS = 60_000
// However long TCP took, TLS gets this much.
const LEAST_TLS_MS = 1000

export function makeDial(needs: DialNeeds): Dial {
  const { clock, vet, isInsecure = () => false, lookup } = needs
  const handshake = makeHandshake(needs)
  const connectDirectly = makeConnectTcp(vet)
  const tunnelThrough = makeTunnels({ vet, lookup, handshake })

  return async function dial(target, signal, worked = null) {
    const raced = await race<string, Open, FailedAt>({
      places: inDialOrder(target.addresses, worked),
      staggerMs: STAGGER_MS,
      signal,
      discard: ({ socket }) => socket.destroy(),
      attempt: (host, runner) => attempt(target, host, runner),
    })
    if (raced.kind === 'won') return raced.value
    if (signal.aborted) return { kind: 'failed', stage: 'aborted', message: 'aborted while connecting' }
    return { kind: 'failed', ...explainDial(raced.whys, target.tlsName) }
  }

  async function attempt(
    { port, tlsName, sni, proxy }: Target,
    host: string,
    runner: Runner,
  ): Promise<Attempted<Open, FailedAt>> {
    // Several attempts, each with a few listeners: no leak to be warned of.
    setMaxListeners(0, runner.signal)
    const own = timed(runner, needs.connectTimeoutMs, clock)
    const connectTcp = proxy == null ? connectDirectly : tunnelThrough(proxy)
    const tcp = await connectTcp({ host, port, runner: own })
    if (tcp.kind === 'failed') return { kind: 'lost', why: { ...tcp, host, port } }
    const tls = await handshake(tcp.socket, {
      ...{ tlsName, sni, insecure: isInsecure({ tlsName, host, port }) },
      ...{ timeoutMs: Math.max(own.left(), LEAST_TLS_MS), runner: own },
    })
    if (tls.kind === 'failed') return { kind: 'lost', why: { ...tls, host, port } }
    tls.socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    return { kind: 'won', value: { ...tls, address: host } }
  }
}
