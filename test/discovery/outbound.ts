/** How a process reaches other servers, as the daemon joins it, on loopback: real DNS, TLS and HTTP, ports and time of the test's. */
import type { Config } from '../../src/config/config.ts'
import { mappedNetwork, openOutbound, type Outbound } from '../../src/daemon/open-outbound.ts'
import { parseDnsServerAddress } from '../../src/allow/dns-server.ts'
import type { Clock } from '../../src/pace/clock.ts'
import type { Pool } from '../../src/store/db.ts'

export interface OutboundOptions {
  /** `ADDRESS:PORT` of the DNS server. */
  readonly dns: string
  readonly ports: { readonly https: number; readonly matrix?: number }
  /** PEM of the authority that is trusted. */
  readonly authority: string
  /** Null: what is found is not shared. */
  readonly pool: Pool | null
  readonly clock: Clock
}

/** `troubles`: what was logged as a warning or worse, and where the shared table failed. */
export function outboundOnLoopback({
  dns,
  ports,
  authority,
  pool,
  clock,
}: OutboundOptions): Outbound & { troubles: unknown[] } {
  const troubles: unknown[] = []
  const note = (about: unknown) => void troubles.push(about)
  const federation: Partial<Config['federation']> = {
    ...{ domain_allowlist: null, domain_denylist: [], insecure_domains: [], proxy: null, no_proxy: [] },
    ...{
      ip_allowlist: ['127.0.0.0/8', '::1/128'],
      dns_servers: [parseDnsServerAddress(dns)!],
      max_idle_connections: 1000,
    },
    connect_timeout_ms: 30_000,
  }
  const outbound = openOutbound({
    config: { federation: federation as Config['federation'] },
    lookups: 640,
    blocking: null,
    ...{ pool, clock, authorities: [authority], random: Math.random },
    log: { debug: note, warn: note, error: note },
    network: mappedNetwork({ https: ports.https, matrix: ports.matrix ?? 1, dns: 1 }),
  })
  return { ...outbound, troubles }
}
