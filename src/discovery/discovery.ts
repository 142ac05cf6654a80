/**
 * Server discovery as one part: from a server name to the targets that are dialled.
 *
 * Joins the steps (`resolve.ts`), the memories in front of what they ask, and the addresses (`targets.ts`). The ports
 * are arguments, never settings: 443 and 8448 everywhere but in tests and the demo.
 */
import type { ServerName } from '../matrix/ids.ts'
import type { LookupOutcome } from '../observe/metrics.ts'
import type { Clock, Random } from '../pace/clock.ts'
import type { Dial } from '../wire/dial.ts'
import type { ProxyFor } from '../allow/no-proxy.ts'
import type { VetAddress } from '../allow/vet.ts'
import type { Target } from '../wire/target.ts'
import { fewAddresses } from './allowed.ts'
import { makeConnectTo } from './connect-to.ts'
import type { ConnectTo } from './connect-to.ts'
import type { LookedUp, LookUpHost, LookUpServices } from './lookups.ts'
import { makeAnswerMemory } from './memory.ts'
import { rateAddresses, rateServices, rateWellKnown } from './ratings.ts'
import { makeResolve } from './resolve.ts'
import type { AskOptions, Route } from './resolve.ts'
import { makeSharedClient } from './share.ts'
import type { SharedAnswers } from '../pace/shared-answers.ts'
import { bestServices } from './srv.ts'
import { decodeServices, decodeWellKnown, encodeServices, encodeWellKnown } from './stored-text.ts'
import type { CacheView, DiscoveryStep } from './steps.ts'
import { makeLocate } from './targets.ts'
import type { LookedUpPlace } from './targets.ts'
import { makeAskWellKnown } from './well-known.ts'

export type Discovered =
  | {
      readonly kind: 'found'
      /** To be dialled in this order; at least one. */
      readonly targets: readonly Target[]
      readonly route: Route
      /** For how long it may be gone by without another look; not positive where a step is past its time and asked for. Null: nothing was asked. */
      readonly leftMs: number | null
      readonly steps: readonly DiscoveryStep[]
      readonly places: readonly LookedUpPlace[]
    }
  | {
      readonly kind: 'failed'
      readonly stage: 'discovery' | 'address'
      readonly message: string
      readonly route: Route | null
      readonly steps: readonly DiscoveryStep[]
      readonly places: readonly LookedUpPlace[]
    }

export interface Discovery {
  /** `anew`: asks every step again, whatever is remembered. */
  discover(name: ServerName, options?: AskOptions): Promise<Discovered>
  /** When a trouble of our own is over: lookups that failed are asked again as if they had not. */
  forgetFailures(): void
  /** How many answers are remembered, and how many lookups are under way. */
  counts(): Record<'wellKnown' | 'services' | 'addresses', { remembered: number; inFlight: number }>
}

export interface DiscoveryNeeds {
  readonly lookUpServices: LookUpServices
  readonly lookUpHost: LookUpHost
  readonly vet: VetAddress
  readonly dial: Dial
  readonly proxyFor: ProxyFor
  /** How `.well-known` is reached. Default: looked up, vetted, dialled. */
  readonly connectTo?: ConnectTo
  /** Null: every process looks up by itself. */
  readonly shared: SharedAnswers | null
  readonly ports: { readonly https: number; readonly matrix: number }
  readonly userAgent: string
  readonly clock: Clock
  readonly random: Random
  /** Ends all lookups. */
  readonly signal: AbortSignal
  /** The shared table failed; nothing is lost but time. */
  readonly onTrouble: (error: unknown) => void
  /** A lookup ended: one that was really made here, for one waiting caller or many, or in the background. */
  readonly onLookup?: (outcome: LookupOutcome) => void
  /** A lookup in the background threw. */
  readonly onBug: (error: unknown) => void
  readonly limits?: Partial<DiscoveryLimits>
}

export interface DiscoveryLimits {
  /** For `.well-known`, redirects and all. */
  readonly wellKnownMs: number
  /** How long who comes waits for an answer that is past its time. */
  readonly patienceMs: number
  /** Hosts that are remembered. */
  readonly most: number
}

const NOT_ASKED = { stage: 'discovery', message: 'nothing may be asked of it' } as const

const LIMITS: DiscoveryLimits = { wellKnownMs: 10_000, patienceMs: 2_000, most: 5_000 }

export function makeDiscovery(needs: DiscoveryNeeds): Discovery {
  const { lookUpServices, lookUpHost, vet, dial, proxyFor, shared, ports, userAgent, clock, random, signal } =
    needs
  const { wellKnownMs, patienceMs, most } = { ...LIMITS, ...needs.limits }
  const common = { most, patienceMs, clock, random, signal, onBug: needs.onBug }
  const table = { clock, signal, onTrouble: needs.onTrouble }
  const { onLookup = () => undefined } = needs
  const counted = <Answer extends LookedUp<unknown>>(asked: 'srv' | 'address', answer: Answer): Answer => {
    onLookup(`${asked}_${answer.kind}`)
    return answer
  }

  const addresses = makeAnswerMemory({
    ...common,
    lookUp: async (host, how) => fewAddresses(counted('address', await lookUpHost(host, how))),
    rate: rateAddresses,
    shared: null,
    failureServes: false,
  })
  const lookUpRemembered = async (host: string) => (await addresses.get(host.toLowerCase())).answer
  const connectTo = needs.connectTo ?? makeConnectTo({ lookUpHost: lookUpRemembered, vet, dial, proxyFor })
  const askWellKnown = makeAskWellKnown({
    ...{ connectTo, httpsPort: ports.https, userAgent, clock, limitMs: wellKnownMs },
  })
  const wellKnown = makeAnswerMemory({
    ...common,
    lookUp: async (host, { signal: until }) => {
      const answer = await askWellKnown(host, until)
      onLookup(WELL_KNOWN_OUTCOMES[answer.kind])
      return answer
    },
    rate: rateWellKnown,
    shared: shared && makeSharedClient({ ...table, table: shared, kind: 'well-known', ...WELL_KNOWN_TEXT }),
    failureServes: true,
  })
  const services = makeAnswerMemory({
    ...common,
    // Two for each host: the newer name and the older one.
    most: 2 * most,
    lookUp: async (name, how) => bestServices(counted('srv', await lookUpServices(name, how))),
    rate: rateServices,
    failureServes: true,
    shared: shared && makeSharedClient({ ...table, table: shared, kind: 'srv', ...SERVICES_TEXT }),
  })

  const resolve = makeResolve({
    wellKnown: (host, options) => wellKnown.get(host, options),
    services: (name, options) => services.get(name, options),
    matrixPort: ports.matrix,
    ...{ clock, random },
  })
  const locate = makeLocate({
    addresses: (host, options) => addresses.get(host, options),
    ...{ vet, proxyFor, clock },
  })

  return {
    async discover(name, options = {}) {
      const began = clock.monotonic()
      const routed = await resolve(name, options)
      if (routed.kind === 'failed') return { ...routed, route: null, places: [] }
      const { route, steps } = routed
      const left = steps.flatMap(({ cache }) => (cache === null ? [] : [goesOnFor(cache)]))
      if (options.mayAsk?.() === false) return { kind: 'failed', ...NOT_ASKED, route, steps, places: [] }
      const located = await locate(route, options)
      // What the lookups took has gone by since the first step was answered, or nearly.
      const leftMs = left.length === 0 ? null : Math.min(...left) - (clock.monotonic() - began)
      return { ...located, route, steps, leftMs }
    },
    forgetFailures() {
      for (const memory of [wellKnown, services, addresses]) memory.forgetFailures()
    },
    counts: () => ({
      wellKnown: wellKnown.counts(),
      services: services.counts(),
      addresses: addresses.counts(),
    }),
  }
}

/** What is past its time because lookups fail is asked again after waits of up to an hour, but looked at each minute: failures may be forgotten. */
const LONGEST_STALE_MS = 60_000

const goesOnFor = ({ leftMs, againMs }: CacheView) => Math.max(leftMs, Math.min(againMs, LONGEST_STALE_MS))

const WELL_KNOWN_OUTCOMES = {
  delegated: 'well_known_found',
  absent: 'well_known_none',
  failed: 'well_known_failed',
} as const
const WELL_KNOWN_TEXT = { encode: encodeWellKnown, decode: decodeWellKnown }
const SERVICES_TEXT = { encode: encodeServices, decode: decodeServices }
