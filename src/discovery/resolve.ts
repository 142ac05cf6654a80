/**
 * From a server name to where to connect, and which name the certificate must have.
 *
 * Spec, server-server API, "Resolving server names": its steps in their order, each named where it is obeyed. What
 * the steps ask (`.well-known`, SRV) comes in as functions, which remember and share answers. Addresses are not looked
 * up here: a place may be a name.
 *
 * Always: the result is a value, with a record of each step. Identity stays with the server name: what is signed and
 * shown is never the delegated name.
 */
import { splitServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { Clock, Random } from '../pace/clock.ts'
import { oneLine } from '../observe/one-line.ts'
import type { LookedUp, ServiceRecord } from './lookups.ts'
import type { Remembered } from './memory.ts'
import type { WellKnown } from './read-well-known.ts'
import { allServices, orderServices } from './srv.ts'
import type { Service } from './srv.ts'
import { cacheView } from './steps.ts'
import type { DiscoveryStep, SpecStep } from './steps.ts'

export interface Route {
  /** The step that found it. */
  readonly step: SpecStep
  /** Where to connect, to be tried in this order; at least one. */
  readonly places: readonly Service[]
  /** Where there are more than are tried: all of them. */
  readonly among?: readonly Service[]
  /** The name or address that the certificate has to be for, an IPv6 address without its brackets. */
  readonly tlsName: string
  /** What TLS announces as the name wanted; null for an IP literal (spec, "TLS": no SNI then). */
  readonly sni: string | null
  readonly hostHeader: string
}

/**
 * Equal for routes that lead to the same places under the same names, in whatever order weights put them, whichever of many are
 * tried, and in whatever case a name server writes them: a connection that was made for another one is retired.
 */
export function routeKey({ places, among = places, tlsName, sni, hostHeader }: Route): string {
  const names = new Set(among.map(({ host, port }) => `${host.name} ${port}`.toLowerCase()))
  return [tlsName, sni ?? '', hostHeader]
    .map((name) => name.toLowerCase())
    .concat([...names].sort())
    .join('|')
}

export type Routed =
  | { readonly kind: 'found'; readonly route: Route; readonly steps: readonly DiscoveryStep[] }
  | {
      readonly kind: 'failed'
      readonly stage: 'discovery'
      readonly message: string
      readonly steps: readonly DiscoveryStep[]
    }

export interface AskOptions {
  /** Asks although an answer is remembered. */
  readonly anew?: boolean
  /** Asked before each step that would ask somebody: false ends the search. Default: all are asked. */
  readonly mayAsk?: () => boolean
}

export type Resolve = (name: ServerName, options?: AskOptions) => Promise<Routed>

export interface ResolveNeeds {
  /** Of a host, in lower case. */
  readonly wellKnown: (host: string, options: AskOptions) => Promise<Remembered<WellKnown>>
  /** Of a name such as `_matrix-fed._tcp.example.org`, in lower case. */
  readonly services: (name: string, options: AskOptions) => Promise<Remembered<LookedUp<ServiceRecord>>>
  /** The port where a name carries none: 8448. */
  readonly matrixPort: number
  readonly clock: Clock
  readonly random: Random
}

/** The steps for a name without a port: SRV, the older SRV, and neither. */
type ByName = readonly [fed: SpecStep, old: SpecStep, plain: SpecStep]
const DELEGATED: ByName = ['3.3', '3.4', '3.5']
const UNDELEGATED: ByName = ['4', '5', '6']

const NOT_ASKED = 'nothing may be asked of it'

/** An SRV lookup that takes longer than this does not hold up the next one. */
const OVERLAP_MS = 1000

export function makeResolve({ wellKnown, services, matrixPort, clock, random }: ResolveNeeds): Resolve {
  return async function resolve(name, options = {}) {
    const steps: DiscoveryStep[] = []
    const { host, port, literal } = splitServerName(name)
    // 1. An IP literal: that address, with the port if there is one. The Host header is the server name as it is.
    if (literal !== null) return direct(name, '1', steps)
    // 2. A name with a port: its addresses, and that port; no .well-known, no SRV. Host has the port too.
    if (port !== null) return direct(name, '2', steps)
    if (options.mayAsk?.() === false) return failed(NOT_ASKED, steps)
    // 3. A name without a port: https://NAME/.well-known/matrix/server.
    const delegate = await askWellKnown(host, options, steps)
    if (options.mayAsk?.() === false) return failed(NOT_ASKED, steps)
    // Whatever is not a valid answer leads to step 4, and fails nothing.
    if (delegate === null) return byName(host, UNDELEGATED, options, steps)
    const delegated = splitServerName(delegate)
    // 3.1. Delegated to an IP literal. Host is that address, with the port if it was given.
    if (delegated.literal !== null) return direct(delegate, '3.1', steps)
    // 3.2. Delegated to a name with a port. Host has both.
    if (delegated.port !== null) return direct(delegate, '3.2', steps)
    // 3.3 to 3.5. A delegated name is not asked for a .well-known of its own.
    return byName(delegated.host, DELEGATED, options, steps)
  }

  /** Nothing has to be asked: the name itself says where. */
  function direct(name: ServerName, step: SpecStep, steps: DiscoveryStep[]): Routed {
    const { host, port, literal } = splitServerName(name)
    const place = { host: { name: host, literal: literal !== null }, port: port ?? matrixPort }
    const what = literal === null ? 'a name with a port' : 'an IP address'
    steps.push({ step, asked: null, outcome: `${name} is ${what}`, durationMs: 0, cache: null })
    const sni = literal === null ? host : null
    return found({ step, places: [place], tlsName: host, sni, hostHeader: name }, steps)
  }

  async function askWellKnown(
    host: string,
    options: AskOptions,
    steps: DiscoveryStep[],
  ): Promise<ServerName | null> {
    const started = clock.monotonic()
    const told = await wellKnown(host.toLowerCase(), options)
    const { answer } = told
    const outcome =
      answer.kind === 'delegated'
        ? `m.server is ${answer.to}`
        : answer.kind === 'absent'
          ? `answered ${answer.status}: no delegation`
          : answer.why
    steps.push({
      step: '3',
      asked: `https://${host.toLowerCase()}/.well-known/matrix/server`,
      outcome:
        answer.kind === 'failed' || answer.from === undefined
          ? outcome
          : `${outcome} (${oneLine(answer.from, 120)})`,
      durationMs: Math.round(clock.monotonic() - started),
      cache: cacheView(told),
    })
    return answer.kind === 'delegated' ? answer.to : null
  }

  async function byName(
    host: string,
    [fed, old, plain]: ByName,
    options: AskOptions,
    steps: DiscoveryStep[],
  ): Promise<Routed> {
    // The target of an SRV record appears neither in the Host header nor in the certificate: DNS is not trusted, the
    // delegate has to prove that it is one (spec, the note below step 6).
    const identity = { tlsName: host, sni: host, hostHeader: host }
    // 3.3 and 4 (since v1.8): SRV under _matrix-fed._tcp gives hosts and ports.
    const first = askServices(`_matrix-fed._tcp.${host}`, fed, options)
    const early = await within(first, OVERLAP_MS)
    // 3.4 and 5 (deprecated): SRV under _matrix._tcp.
    const second = early?.isAnswer === true ? null : askServices(`_matrix._tcp.${host}`, old, options)
    // It is awaited after the first: until then a defect of ours must not count as unhandled.
    second?.catch(() => undefined)
    for (const asking of [first, second]) {
      const asked = await asking
      if (asked === null) continue
      const { step, services: places, all, refused } = asked
      steps.push(step)
      if (places !== null) {
        const among = all.length > places.length ? { among: all } : {}
        return found({ step: step.step, places, ...among, ...identity }, steps)
      }
      if (refused) return failed(`${step.asked}: ${step.outcome}`, steps)
    }
    // 3.5 and 6. No SRV: the name's own addresses and port 8448. Host is the name without a port.
    const outcome = `no SRV record leads on: ${host}, port ${matrixPort}`
    steps.push({ step: plain, asked: null, outcome, durationMs: 0, cache: null })
    const place = { host: { name: host, literal: false }, port: matrixPort }
    return found({ step: plain, places: [place], ...identity }, steps)
  }

  async function within<T>(asked: Promise<T>, ms: number): Promise<T | null> {
    const over = new AbortController()
    return Promise.race([asked, clock.sleep(ms, over.signal).then(() => null)]).finally(() => over.abort())
  }

  /** `isAnswer`: nothing further has to be asked. */
  async function askServices(name: string, step: SpecStep, options: AskOptions) {
    const started = clock.monotonic()
    const told = await services(name.toLowerCase(), options)
    const { answer } = told
    const offered = answer.kind === 'found' ? orderServices(answer.records, random) : null
    const record = {
      step,
      asked: `SRV ${name}`,
      outcome: wordsFor(answer, offered),
      durationMs: Math.round(clock.monotonic() - started),
      cache: cacheView(told),
    }
    const places = offered?.kind === 'offered' ? offered.services : null
    const refused = offered?.kind === 'refused'
    const all = answer.kind === 'found' ? allServices(answer.records) : []
    return { step: record, services: places, all, refused, isAnswer: places !== null || refused }
  }
}

function wordsFor(answer: LookedUp<ServiceRecord>, offered: ReturnType<typeof orderServices> | null): string {
  if (answer.kind === 'none') return 'no such record'
  // Not taken for "no record": it is asked again soon.
  if (answer.kind === 'failed') return `not known: ${oneLine(answer.why, 150)}`
  if (offered?.kind === 'refused') return 'the record says that there is no such service'
  if (offered?.kind !== 'offered') return 'no record names a host and a port'
  const places = offered.services.map(({ host, port }) => `${host.name} port ${port}`)
  return (
    places.join(', ') +
    (answer.cname === undefined ? '' : ` (a CNAME leads to ${oneLine(answer.cname, 120)})`)
  )
}

function found(route: Route, steps: readonly DiscoveryStep[]): Routed {
  return { kind: 'found', route, steps }
}

function failed(message: string, steps: readonly DiscoveryStep[]): Routed {
  return { kind: 'failed', stage: 'discovery', message, steps }
}
