/** A DNS server on loopback and our resolver, with files of their own; ended after each test. */
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pooledRandom } from '../../../src/matrix/pooled-random.ts'
import { systemClock } from '../../../src/pace/clock.ts'
import type { Clock } from '../../../src/pace/clock.ts'
import type { DnsOutcome } from '../../../src/discovery/dns/outcome.ts'
import { makeDnsResolver } from '../../../src/discovery/dns/resolver.ts'
import type { DnsLimits, DnsResolver, DnsResolverNeeds } from '../../../src/discovery/dns/resolver.ts'
import { startDnsServer } from '../../../src/simulate/dns/server.ts'
import type { DnsServer, DnsServerOptions } from '../../../src/simulate/dns/server.ts'
import type { ZoneData } from '../../../src/simulate/dns/zone.ts'

/** The system's clock, which can be put forward. */
export interface ForwardClock extends Clock {
  forward(ms: number, which?: 'both' | 'wall' | 'monotonic'): void
}

export function makeForwardClock(): ForwardClock {
  let wall = 0
  let steady = 0
  return {
    now: () => systemClock.now() + wall,
    monotonic: () => systemClock.monotonic() + steady,
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    forward(ms, which = 'both') {
      if (which !== 'monotonic') wall += ms
      if (which !== 'wall') steady += ms
    },
  }
}

export interface DnsSetting {
  server(zone?: ZoneData, options?: Partial<DnsServerOptions>): Promise<DnsServer>
  /** Asks these servers (`ADDRESS:PORT`), or those of `resolv.conf`. */
  resolver(
    servers: readonly DnsServer[] | null,
    limits?: Partial<DnsLimits>,
    needs?: Partial<DnsResolverNeeds>,
  ): DnsResolver
  /** Writes a file that was not changed just now. */
  write(file: 'resolv.conf' | 'hosts', text: string, age?: number): string
  path(file: string): string
  clock: ForwardClock
  /** Done after this test, the last first. */
  after(end: () => unknown): void
}

/** Call it in a `describe`. */
export function dnsSetting(): DnsSetting {
  let ends: (() => unknown)[] = []
  let folder = ''
  const setting: DnsSetting = {
    clock: makeForwardClock(),
    after: (end) => void ends.push(end),
    async server(zone = {}, options = {}) {
      const server = await startDnsServer({ zone, clock: systemClock, ...options })
      ends.push(() => server.stop())
      return server
    },
    resolver(servers, limits = {}, needs = {}) {
      const resolver = makeDnsResolver({
        clock: setting.clock,
        randomBytes: pooledRandom,
        port: 53,
        resolvConfPath: setting.path('resolv.conf'),
        hostsPath: setting.path('hosts'),
        servers: servers?.map(({ address, port }) => ({ address, port })) ?? null,
        // On a busy machine both families' answers may be further apart than is waited for as shipped.
        limits: { lateMs: 2_000, ...limits },
        ...needs,
      })
      ends.push(() => resolver.close())
      return resolver
    },
    write(file, text, age = 60) {
      writeFileSync(setting.path(file), text)
      const time = Date.now() / 1_000 - age
      utimesSync(setting.path(file), time, time)
      return setting.path(file)
    },
    path: (file) => join(folder, file),
  }
  beforeEach(() => {
    setting.clock = makeForwardClock()
    folder = mkdtempSync(join(tmpdir(), 'limpet-dns-'))
    ends = [() => rmSync(folder, { recursive: true })]
  })
  afterEach(async () => {
    for (const end of ends.reverse()) await end()
  })
  return setting
}

/** Outcomes in short: `192.0.2.1`, `NXDOMAIN`, `SERVFAIL`. */
export function brief(outcome: DnsOutcome<{ address: string } | { target: string }>): string {
  if (outcome.kind === 'failed') return outcome.code
  if (outcome.kind === 'none') return outcome.why
  return outcome.records.map((one) => ('address' in one ? one.address : one.target)).join(' ')
}
