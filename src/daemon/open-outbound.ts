/**
 * How this process reaches other servers: server discovery, DNS, the lists of addresses and names, the proxy, and the connections.
 *
 * The ports are arguments, never settings: 443, 8448 and 53 everywhere but in tests and the demo.
 */
import { randomUUID } from 'node:crypto'
import { devNull } from 'node:os'
import { makeIsInsecure } from '../allow/insecure.ts'
import { makeProxyFor } from '../allow/no-proxy.ts'
import { makeVet, type VetAddress } from '../allow/vet.ts'
import type { Config } from '../config/config.ts'
import type { Blocking } from '../deliver/blocking.ts'
import { makeDiscovery, type Discovery } from '../discovery/discovery.ts'
import { makeLookup } from '../discovery/dns/lookup.ts'
import { dnsRoomsWithin, makeDnsResolver, type DnsResolver } from '../discovery/dns/resolver.ts'
import { reportOf, reportOfBlocked, type DiscoveryReport } from '../discovery/report.ts'
import { routeKey } from '../discovery/resolve.ts'
import type { ServerName } from '../matrix/ids.ts'
import { pooledRandom } from '../matrix/pooled-random.ts'
import type { Log } from '../observe/log.ts'
import type { LookupOutcome } from '../observe/metrics.ts'
import type { Clock, Random } from '../pace/clock.ts'
import type { Pool } from '../store/db.ts'
import { makeAnswers } from '../store/discovery/answers.ts'
import { makeConnections, type Connections } from '../wire/connections.ts'
import type { ResolveTarget } from '../wire/target.ts'
import { version } from './version.ts'

/** What is different where no public network is there. */
export interface Network {
  readonly ports: { readonly https: number; readonly matrix: number; readonly dns: number }
  readonly resolvConfPath: string
  readonly hostsPath: string
}

export const PUBLIC_NETWORK: Network = {
  ports: { https: 443, matrix: 8448, dns: 53 },
  resolvConfPath: '/etc/resolv.conf',
  hostsPath: '/etc/hosts',
}

/** One on this machine alone: these ports, and no file of the machine says anything. */
export const mappedNetwork = (ports: Network['ports']): Network => {
  return { ports, resolvConfPath: devNull, hostsPath: devNull }
}

export interface OutboundNeeds {
  config: Pick<Config, 'federation'>
  /** Nothing is asked of those that are blocked, and no connection to them is kept; null: nobody is. */
  blocking: Pick<Blocking, 'why' | 'onChange'> | null
  /** For what all processes share; null: this one looks up by itself. */
  pool: Pool | null
  /** PEM texts. */
  authorities: readonly string[]
  network: Network
  /** Questions to DNS at once, at most. */
  lookups: number
  /** A lookup of server discovery was made here. */
  onLookup?: (outcome: LookupOutcome) => void
  clock: Clock
  random: Random
  log: Pick<Log, 'debug' | 'warn' | 'error'>
}

export interface Outbound {
  connections: Connections
  discovery: Discovery
  resolver: DnsResolver
  resolveTarget: ResolveTarget
  /** Goes by other settings from now on (`Connections.renew`). Throws with nothing changed. */
  renew(to: Pick<OutboundNeeds, 'config' | 'authorities'>): void
  /** For operators. */
  report: (name: ServerName, options: { anew: boolean }) => Promise<DiscoveryReport>
  close(): Promise<void>
}

export function openOutbound({
  config,
  blocking,
  pool,
  authorities,
  network,
  lookups,
  onLookup = () => undefined,
  clock,
  random,
  log,
}: OutboundNeeds): Outbound {
  let rules = rulesOf(config)
  const closing = new AbortController()
  const whyNot = (name: ServerName): string | null => blocking?.why(name) ?? null
  const resolver = makeDnsResolver({
    ...{ clock, randomBytes: pooledRandom, port: network.ports.dns, servers: config.federation.dns_servers },
    ...{ resolvConfPath: network.resolvConfPath, hostsPath: network.hostsPath },
    limits: dnsRoomsWithin(lookups),
  })
  const vet: VetAddress = (address) => rules.vet(address)
  const connections = makeConnections(
    {
      get maxIdleConnections() {
        return rules.federation.max_idle_connections
      },
      get connectTimeoutMs() {
        return rules.federation.connect_timeout_ms
      },
      customCas: authorities,
      vet,
      isInsecure: (target) => rules.isInsecure(target),
      lookup: makeLookup(resolver),
      isBlocked: (name) => whyNot(name) !== null,
    },
    clock,
  )
  blocking?.onChange(() => connections.dropBlocked())
  const discovery = makeDiscovery({
    lookUpServices: (name, how) => resolver.lookupSrv(name, how),
    lookUpHost: (host, how) => resolver.lookupAddresses(host, how),
    ...{ vet, dial: connections.dial, proxyFor: (host, port) => rules.proxyFor(host, port) },
    shared: pool && makeAnswers(pool, randomUUID()),
    ports: network.ports,
    userAgent: `limpet/${version}`,
    ...{ clock, random, signal: closing.signal },
    onLookup,
    onTrouble: (err) =>
      log.debug({ err }, 'what server discovery found is not shared for now: looking it up here'),
    onBug: (err) => log.error({ err }, 'a lookup of server discovery ended with an unforeseen error'),
  })
  return {
    ...{ connections, discovery, resolver },
    renew(to) {
      const next = rulesOf(to.config)
      connections.renew(to.authorities)
      rules = next
      // What failed may have failed by what was not allowed.
      discovery.forgetFailures()
    },
    async report(name, options) {
      const blocked = whyNot(name)
      if (blocked !== null) return reportOfBlocked(name, blocked)
      return reportOf(name, await discovery.discover(name, options), whyNot(name))
    },
    async resolveTarget(destination) {
      const found = await discovery.discover(destination, { mayAsk: () => whyNot(destination) === null })
      if (found.kind === 'failed') return { kind: 'failed', stage: found.stage, message: found.message }
      const { targets, route, leftMs } = found
      return { kind: 'found', to: { targets, key: routeKey(route), leftMs } }
    },
    async close() {
      closing.abort()
      resolver.close()
      await connections.close()
    },
  }
}

const rulesOf = ({ federation }: OutboundNeeds['config']) => ({
  federation,
  vet: makeVet({ denylist: federation.ip_denylist, allowlist: federation.ip_allowlist }),
  isInsecure: makeIsInsecure(federation.insecure_domains),
  proxyFor: makeProxyFor(federation.proxy, federation.no_proxy),
})
