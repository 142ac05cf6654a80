/** What server discovery found for a name, as operators are told it: `limpet discover`, and the admin API (contract, section 4). */
import type { ServerName } from '../matrix/ids.ts'
import type { Discovered } from './discovery.ts'
import type { CacheView, SpecStep } from './steps.ts'

/** Times in ms. */
export interface DiscoveryReport {
  destination: string
  /** Where a connection would go, the first tried first; empty where none would be made. */
  connects_to: { address: string; port: number; via_proxy: string | null }[]
  /** The step of the specification that found it; null: none did. */
  step: SpecStep | null
  host_header: string | null
  /** The name or address that the certificate has to be for. */
  certificate_name: string | null
  /** Why nothing would be connected to. */
  error: string | null
  /** Why nothing is sent to it, and nothing was asked of it: the lists of names in the configuration, or an operator's block. */
  blocked: string | null
  steps: { step: SpecStep; asked: string | null; outcome: string; ms: number; cache: CacheReport | null }[]
  places: {
    host: string
    port: number
    addresses: string[]
    /** Why other addresses may not be connected to. */
    refused: string[]
    /** The name that really has the addresses. */
    cname: string | null
    error: string | null
    proxy: string | null
    ms: number
    cache: CacheReport | null
  }[]
}

export interface CacheReport {
  state: CacheView['state']
  age_ms: number
  /** Until it is asked again; not positive where it is past its time. */
  left_ms: number
  failures: number
}

export function reportOf(name: ServerName, found: Discovered, blocked: string | null): DiscoveryReport {
  const { route } = found
  const targets = found.kind === 'found' ? found.targets : []
  return {
    destination: name,
    connects_to: targets.flatMap(({ addresses, port, proxy }) =>
      addresses.map((address) => ({ address, port, via_proxy: proxy?.label ?? null })),
    ),
    step: route?.step ?? null,
    host_header: route?.hostHeader ?? null,
    certificate_name: route?.tlsName ?? null,
    error: found.kind === 'failed' ? found.message : null,
    blocked,
    steps: found.steps.map(({ step, asked, outcome, durationMs, cache }) => {
      return { step, asked, outcome, ms: durationMs, cache: cacheReport(cache) }
    }),
    places: found.places.map(
      ({ host, port, addresses, refused, cname, trouble, proxy, durationMs, cache }) => {
        const lists = { addresses: [...addresses], refused: [...refused] }
        return {
          host,
          port,
          ...lists,
          cname,
          error: trouble,
          proxy,
          ms: durationMs,
          cache: cacheReport(cache),
        }
      },
    ),
  }
}

/** Nothing was asked of it. */
export const reportOfBlocked = (name: ServerName, blocked: string): DiscoveryReport => ({
  ...{ destination: name, connects_to: [], step: null, host_header: null, certificate_name: null },
  ...{ error: null, blocked, steps: [], places: [] },
})

function cacheReport(cache: CacheView | null): CacheReport | null {
  if (cache === null) return null
  const { state, ageMs, leftMs, failures } = cache
  return { state, age_ms: ageMs, left_ms: leftMs, failures }
}
