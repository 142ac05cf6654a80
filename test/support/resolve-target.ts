/**
 * Where a destination's connections go, for tests of what comes after discovery: steps 1 and 2 of the specification alone, an IP literal, and a
 * name with a port.
 */
import { splitServerName } from '../../src/matrix/ids.ts'
import { inDialOrder } from '../../src/wire/address-order.ts'
import { explainError } from '../../src/wire/explain-error.ts'
import { lookupInTime } from '../../src/wire/lookup-in-time.ts'
import type { ProxyFor } from '../../src/allow/no-proxy.ts'
import type { VetAddress } from '../../src/allow/vet.ts'
import type { Lookup, Resolution, ResolveTarget, Target } from '../../src/wire/target.ts'

const DEFAULT_PORT = 8448

export interface TargetNeeds {
  readonly lookup: Lookup
  /** Default: every address is allowed. */
  readonly vet?: VetAddress
  /** How long a lookup may take. Default 10 s. */
  readonly lookupTimeoutMs?: number
  /** Default: no proxy. */
  readonly proxyFor?: ProxyFor
}

/** Finds no name. */
export const noLookup: Lookup = (host) =>
  Promise.reject(Object.assign(new Error(host), { code: 'ENOTFOUND' }))

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
      return failed('discovery', 'a plain name is for discovery')
    }
    // Steps 1 and 2: the Host header is the server name as it is, with the port where it carries one.
    const sni = literal === null ? host : null
    const about = { port: port ?? DEFAULT_PORT, tlsName: host, sni, hostHeader: destination }
    const proxy = proxyFor(host, about.port)
    // A proxy looks names up by itself.
    if (literal === null && proxy !== null) return foundAt({ ...about, addresses: [host], proxy })
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
    return foundAt({ ...about, addresses, ...(proxy === null ? {} : { proxy }) })
  }
}

function failed(stage: 'discovery' | 'address', message: string): Resolution {
  return { kind: 'failed', stage, message }
}

function foundAt(target: Target): Resolution {
  return { kind: 'found', to: { targets: [target], key: '', leftMs: null } }
}
