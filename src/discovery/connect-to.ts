/**
 * Opens a verified TLS connection to a host that is named by a server name or by a redirect.
 *
 * The addresses that are vetted here are the ones that are connected to: what dials gets IP addresses, never the name,
 * so nothing is resolved a second time in between. A literal is vetted like an address that was looked up.
 */
import type { TLSSocket } from 'node:tls'
import type { Dial } from '../wire/dial.ts'
import type { VetAddress } from '../wire/target.ts'
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
}

export function makeConnectTo({ lookUpHost, vet, dial }: ConnectToNeeds): ConnectTo {
  return async function connectTo({ name, literal }, port, signal) {
    const found = literal ? literally(name) : await lookUpHost(name)
    const allowed = allowedOf(found, vet)
    if (allowed.kind === 'failed') return { kind: 'failed', stage: 'address', message: allowed.message }
    const sni = literal ? null : name
    const target = { addresses: allowed.addresses, port, tlsName: name, sni, hostHeader: name }
    const dialled = await dial(target, signal)
    return dialled.kind === 'open' ? { kind: 'open', socket: dialled.socket } : dialled
  }
}

const literally = (address: string) => ({ kind: 'found', records: [{ address }], ttlMs: 0 }) as const
