/**
 * From a server name to where its connections go: addresses, port, and the name that the certificate must have.
 *
 * Spec, server-server API, "Resolving server names", steps 1 and 2: an IP literal, and a name with a port. A plain
 * name needs server discovery, and is refused here until that exists. The addresses that come out of this were vetted, and
 * they are vetted again where they are connected to (`tcp.ts`): nothing is looked up between that check and the use.
 */
import { lookup as lookupInSystem } from 'node:dns/promises'
import { splitServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'
import { inDialOrder } from './address-order.ts'
import { explainError } from './explain-error.ts'
import { lookupInTime } from './lookup-in-time.ts'
import type { ProxyFor } from './no-proxy.ts'
import type { Proxy } from './proxy-url.ts'

// Spec, step 1.2 and others: the port where the name carries none.
const DEFAULT_PORT = 8448

export interface Target {
  /** IP addresses, tried in this order; at least one. */
  readonly addresses: readonly string[]
  readonly port: number
  /** The name or address the certificate has to be for, an IPv6 address without its brackets. */
  readonly tlsName: string
  /** What TLS announces as the name wanted; null for an IP literal (RFC 6066, 3: names only). */
  readonly sni: string | null
  readonly hostHeader: string
  /** Connections go through it. Then `addresses` may hold names, which the proxy looks up. */
  readonly proxy?: Proxy | null
}

export type Resolution =
  | { readonly kind: 'found'; readonly target: Target }
  | { readonly kind: 'failed'; readonly stage: 'discovery' | 'address'; readonly message: string }

export type ResolveTarget = (destination: ServerName) => Promise<Resolution>

/** The IP addresses of a host name, as `node:dns/promises` `lookup` with `all` gives them. Throws its errors. */
export type Lookup = (host: string) => Promise<readonly { readonly address: string }[]>

/** As this machine resolves names, `/etc/hosts` included. It keeps no cache and works on a thread of libuv's four. */
export const systemLookup: Lookup = (host) => lookupInSystem(host, { all: true })

/** Why connecting to this IP address is not allowed, or null. */
export type VetAddress = (address: string) => string | null

export interface TargetNeeds {
  readonly lookup: Lookup
  /** Default: every address is allowed. */
  readonly vet?: VetAddress
  /** How long a lookup may take. Default 10 s. */
  readonly lookupTimeoutMs?: number
  /** Default: no proxy. */
  readonly proxyFor?: ProxyFor
}

// More than a few addresses of one name are one operator's load balancers; trying them all would take too long.
const MOST_ADDRESSES = 4

export function makeResolveTarget({
  lookup,
  vet = () => null,
  lookupTimeoutMs = 10_000,
  proxyFor = () => null,
}: TargetNeeds): ResolveTarget {
  return async function resolveTarget(destination) {
    const { host, port, literal } = splitServerName(destination)
    if (literal === null && port === null) {
      return failed('discovery', 'server discovery comes in the next release')
    }
    // Steps 1 and 2: the Host header is the server name as it is, with the port where it carries one.
    const sni = literal === null ? host : null
    const about = { port: port ?? DEFAULT_PORT, tlsName: host, sni, hostHeader: destination }
    const proxy = proxyFor(host, about.port)
    // A proxy looks names up by itself.
    if (literal === null && proxy !== null)
      return { kind: 'found', target: { ...about, addresses: [host], proxy } }
    let found: readonly string[]
    try {
      found = literal === null ? await lookupInTime(lookup, host, lookupTimeoutMs) : [host]
    } catch (error) {
      return failed('address', explainError(error))
    }
    const allowed = found.filter((address) => vet(address) === null)
    // Of both families, where there are both.
    const addresses = inDialOrder(allowed, null).slice(0, MOST_ADDRESSES)
    if (addresses.length === 0) {
      const reason = found[0] === undefined ? 'the name has no addresses' : vet(found[0])
      return failed('address', reason ?? 'none of its addresses may be connected to')
    }
    return { kind: 'found', target: { ...about, addresses, ...(proxy === null ? {} : { proxy }) } }
  }
}

function failed(stage: 'discovery' | 'address', message: string): Resolution {
  return { kind: 'failed', stage, message }
}
