/**
 * Where do the places of a route lead: which addresses, and which of them may be connected to?
 *
 * A target holds addresses that were vetted, and no name to look up again. A place whose name has no address is left
 * out; there is a failure only where none is left.
 */
import type { Clock } from '../pace/clock.ts'
import type { ProxyFor } from '../allow/no-proxy.ts'
import type { VetAddress } from '../allow/vet.ts'
import type { Target } from '../wire/target.ts'
import { allowedOf } from './allowed.ts'
import type { AllowedAddresses } from './allowed.ts'
import type { AddressRecord, LookedUp } from './lookups.ts'
import type { Remembered } from './memory.ts'
import type { AskOptions, Route } from './resolve.ts'
import type { Service } from './srv.ts'
import { cacheView } from './steps.ts'
import type { CacheView } from './steps.ts'

/** One place of a route, looked up: for `limpet discover`. */
export interface LookedUpPlace {
  readonly host: string
  readonly port: number
  readonly addresses: readonly string[]
  /** Why other addresses may not be connected to. */
  readonly refused: readonly string[]
  /** The name that has the addresses, where it is another one. Behind an SRV record that should not be (RFC 2782). */
  readonly cname: string | null
  /** Why there is no address to connect to. */
  readonly trouble: string | null
  readonly durationMs: number
  /** Null for an IP address, and where a proxy looks the name up. */
  readonly cache: CacheView | null
  /** The proxy that it is reached through, without its password; null: none. */
  readonly proxy: string | null
}

export type Located =
  /** Targets in the order of the places; at least one. */
  | { readonly kind: 'found'; readonly targets: readonly Target[]; readonly places: readonly LookedUpPlace[] }
  | {
      readonly kind: 'failed'
      readonly stage: 'address'
      readonly message: string
      readonly places: readonly LookedUpPlace[]
    }

export type Locate = (route: Route, options?: AskOptions) => Promise<Located>

export interface LocateNeeds {
  readonly addresses: (host: string, options: AskOptions) => Promise<Remembered<LookedUp<AddressRecord>>>
  readonly vet: VetAddress
  readonly proxyFor: ProxyFor
  readonly clock: Clock
}

export function makeLocate({ addresses, vet, proxyFor, clock }: LocateNeeds): Locate {
  return async function locate({ places, tlsName, sni, hostHeader }, options = {}) {
    const lookedUp = await Promise.all(places.map((place) => lookUpPlace(place, options)))
    const targets = lookedUp
      .filter((place) => place.addresses.length > 0)
      .map(({ host, port, addresses }) => {
        return { addresses, port, tlsName, sni, hostHeader, proxy: proxyFor(host, port) }
      })
    if (targets.length > 0) return { kind: 'found', targets, places: lookedUp }
    const message = [...new Set(lookedUp.map(({ host, trouble }) => `${host}: ${trouble ?? ''}`))].join('; ')
    return { kind: 'failed', stage: 'address', message, places: lookedUp }
  }

  async function lookUpPlace({ host, port }: Service, options: AskOptions): Promise<LookedUpPlace> {
    const started = clock.monotonic()
    const proxy = proxyFor(host.name, port)?.label ?? null
    const nothing = {
      host: host.name,
      port,
      refused: [],
      cname: null,
      trouble: null,
      durationMs: 0,
      cache: null,
    }
    if (proxy !== null && !host.literal) return { ...nothing, addresses: [host.name], proxy }
    const told = host.literal ? null : await addresses(host.name.toLowerCase(), options)
    const found: LookedUp<AddressRecord> = told?.answer ?? {
      kind: 'found',
      records: [{ address: host.name }],
      ttlMs: 0,
    }
    const allowed: AllowedAddresses = allowedOf(found, vet)
    return {
      ...{ host: host.name, port, refused: allowed.refused, proxy },
      addresses: allowed.kind === 'allowed' ? allowed.addresses : [],
      cname: (found.kind === 'found' ? found.cname : undefined) ?? null,
      trouble: allowed.kind === 'failed' ? allowed.message : null,
      durationMs: Math.round(clock.monotonic() - started),
      cache: told === null ? null : cacheView(told),
    }
  }
}
