/**
 * Where the names of a fleet lead, on loopback: a DNS server, `.well-known` over TLS, and the port that names without one have.
 *
 * All ports are free ones above 1023, so nobody needs a privilege; what uses them is told which (`ports`). A name is known from `publish` on.
 */
import type { Clock } from '../../pace/clock.ts'
import { startDnsServer } from '../dns/server.ts'
import type { DnsServer } from '../dns/server.ts'
import type { ZoneData } from '../dns/zone.ts'
import type { CertificateAuthority, KeyPair } from '../fleet/certs.ts'
import type { FakeHomeserver } from '../fleet/fake-homeserver.ts'
import { startSharedPort } from './shared-port.ts'
import type { SharedPort } from './shared-port.ts'
import { DOMAINS, wayTo } from './ways.ts'
import type { WayTo } from './ways.ts'
import { startWellKnownServer } from './well-known.ts'
import type { WellKnownServer } from './well-known.ts'

/** How one homeserver is to be started, and told of. */
export interface Place {
  /** For `startFakeHomeserver`: its name, or the host of a name that ends with its port; neither: it is called by its address. */
  readonly called: { readonly name?: string; readonly hostName?: string }
  /** For the only name that its clients may expect. */
  readonly tls: KeyPair
  /** What they must ask for. */
  readonly hostHeader: (port: number) => string
  /** Makes the name lead to it. */
  readonly publish: (server: Pick<FakeHomeserver, 'port' | 'take'>) => void
}

export interface FleetNames {
  /** What stands for 443, 8448 and 53. */
  readonly ports: { readonly https: number; readonly matrix: number; readonly dns: number }
  readonly dns: DnsServer
  /** For the server at `index` of a fleet. */
  place(index: number): Promise<Place>
  stop(): Promise<void>
}

const ADDRESS = '127.0.0.1'
/** So short that a run asks again, seconds. */
const TTL_S = 20
const DELEGATED_S = 3600

export async function startNames(authority: CertificateAuthority, clock: Clock): Promise<FleetNames> {
  const started: { stop(): Promise<void> }[] = []
  const stop = async () => {
    await Promise.all(started.map((one) => one.stop()))
  }
  const add = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const one = await starting
    started.push(one)
    return one
  }
  try {
    const dns = await add(startDnsServer({ clock }))
    const all = Object.values(DOMAINS).map((domain) => `*.${domain}`)
    const web = await add(startWellKnownServer(await authority.issue({ names: all })))
    const shared = await add(startSharedPort())
    const byAddress = await authority.issue({ ips: [ADDRESS] })
    return {
      ports: { https: web.port, matrix: shared.port, dns: dns.port },
      dns,
      async place(index) {
        const to = wayTo(index)
        const host = hostOf(to)
        const tls = host === null ? byAddress : await authority.issue({ names: [host] })
        return {
          called: calledBy(to),
          tls,
          hostHeader: (port) => headerOf(to, port),
          publish: (server) => publish({ dns, web, shared }, { to, tls, server }),
        }
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The name that the certificate is for; null: the address. */
const hostOf = ({ way, host, delegate }: WayTo) => (way === '3.1' ? null : (delegate ?? host))

function calledBy({ way, host }: WayTo): Place['called'] {
  if (host === null) return {}
  return way === '2' ? { hostName: host } : { name: host }
}

function headerOf(to: WayTo, port: number): string {
  const host = hostOf(to) ?? ADDRESS
  return ['1', '2', '3.1', '3.2'].includes(to.way) ? `${host}:${port}` : host
}

function publish(
  { dns, web, shared }: { dns: DnsServer; web: WellKnownServer; shared: SharedPort },
  { to, tls, server }: { to: WayTo; tls: KeyPair; server: Pick<FakeHomeserver, 'port' | 'take'> },
): void {
  const { way, host, delegate } = to
  for (const [name, records] of Object.entries(recordsOf(to, server.port))) dns.zone.set(name, records)
  if (host !== null && way.startsWith('3.'))
    web.delegations.set(host, { to: headerOf(to, server.port), maxAge: DELEGATED_S })
  if (host !== null && (way === '3.5' || way === '6')) shared.lead(delegate ?? host, tls, server)
}

function recordsOf({ way, host, delegate }: WayTo, port: number): ZoneData {
  if (host === null) return {}
  const here = { a: [ADDRESS], ttl: TTL_S }
  const names = { [host]: here, ...(delegate === null ? {} : { [delegate]: here }) }
  const service = { '3.3': '_matrix-fed', '4': '_matrix-fed', '3.4': '_matrix', '5': '_matrix' }[
    way as string
  ]
  if (service === undefined) return names
  // The target has a name of its own, which nobody's certificate is for.
  const target = `a.${DOMAINS.hosting}`
  const srv = [{ port, target }]
  return { ...names, [target]: here, [`${service}._tcp.${delegate ?? host}`]: { srv, ttl: TTL_S } }
}
