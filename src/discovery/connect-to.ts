/**
 * Opens a verified TLS connection to a host that is named by a server name or by a redirect.
 *
 * The addresses that are vetted here are the ones that are connected to: what dials gets IP addresses, never the name,
 * so nothing is resolved a second time in between. A literal is vetted like an address that was looked up. A name behind a
 * proxy is the proxy's to look up.
 */
import type { TLSSocket } from 'node:tls'
import type { Dial } from '../wire/dial.ts'
import type { ProxyFor } from '../allow/no-proxy.ts'
import type { VetAddress } from '../allow/vet.ts'
import { allowedOf } from './allowed.ts'
import type { Host } from './host.ts'
import type { AddressRecord, LookedUp } from './lookups.ts'

export type ConnectedTo =
  | { readonly kind: 'open'; readonly socket: TLSSocket }
  | {
      readonly kind: 'failed'
      readonly stage: 'address' | 'connect' | 'tls' | 'aborted'
      readonly message: string
    }

/** Never rejects because of what the other side does. */
export type ConnectTo = (host: Host, port: number, signal: AbortSignal) => Promise<ConnectedTo>

export interface ConnectToNeeds {
  /** As it is remembered. */
  readonly lookUpHost: (host: string) => Promise<LookedUp<AddressRecord>>
  readonly vet: VetAddress
  readonly dial: Dial
  readonly proxyFor: ProxyFor
}

export function makeConnectTo({ lookUpHost, vet, dial, proxyFor }: ConnectToNeeds): ConnectTo {
  return async function connectTo({ name, literal }, port, signal) {
    const proxy = proxyFor(name, port)
    const addresses = proxy !== null && !literal ? [name] : await addressesOf(name, literal)
    if (typeof addresses === 'string') return { kind: 'failed', stage: 'address', message: addresses }
    const sni = literal ? null : name
    const dialled = await dial({ addresses, port, tlsName: name, sni, hostHeader: name, proxy }, signal)
    return dialled.kind === 'open' ? { kind: 'open', socket: dialled.socket } : dialled
  }

  /** At least one, or why there is none. */
  async function addressesOf(name: string, literal: boolean): Promise<readonly string[] | string> {
    const allowed = allowedOf(literal ? literally(name) : await lookUpHost(name), vet)
    return allowed.kind === 'failed' ? allowed.message : allowed.addresses
  }
}

const literally = (address: string) => ({ kind: 'found', records: [{ address }], ttlMs: 0 }) as const
