/**
 * limpet's own DNS resolver: addresses and SRV records of names, with the times that they may be kept, as typed outcomes.
 *
 * It asks the servers of `resolv.conf`, or those that it is given, over sockets of its own; nothing of it runs on libuv's threads or in
 * the system's resolver. `/etc/hosts` is honoured for addresses. Both files are read again when they change, and what was remembered from
 * other servers is forgotten then. Always: one question under way for a name and a type; a limited number in all, where the wait for a
 * place is nobody's time-out (`query-rooms.ts`); a limited number of answers remembered. It never throws.
 */
import type { Clock } from '../../pace/clock.ts'
import { setMaxListeners } from 'node:events'
import { isIP } from 'node:net'
import { unlessAborted } from '../../wire/unless-aborted.ts'
import { joinFamilies } from './addresses.ts'
import { makeAnswerCache } from './answer-cache.ts'
import { askDns } from './ask.ts'
import type { DnsServers } from './ask.ts'
import { dnsNameOf } from './dns-name.ts'
import { parseHostsFile } from './hosts-file.ts'
import { dnsFailed } from './outcome.ts'
import type { DnsAddress, DnsData, DnsNone, DnsOutcome, DnsSrv, DnsType } from './outcome.ts'
import { makeQueryRooms } from './query-rooms.ts'
import { parseResolvConf } from './resolv-conf.ts'
import type { ResolvConf } from './resolv-conf.ts'
import { showDnsServer } from '../../allow/dns-server.ts'
import type { DnsServerAddress } from '../../allow/dns-server.ts'
import { makeServerOrder } from './server-order.ts'
import { watchFile } from './watched-file.ts'

export interface DnsResolver {
  /** `name` whole: `_matrix-fed._tcp.example.org`. */
  lookupSrv(name: string, how?: LookUpHow): Promise<DnsOutcome<DnsSrv>>
  /** IPv6 first, each family in the order of its answer. An IP literal is its own address. */
  lookupAddresses(name: string, how?: LookUpHow): Promise<DnsOutcome<DnsAddress>>
  counts(): DnsCounts
  /** Ends what is under way and takes no more: `failed`, as `OURS`. */
  close(): void
}

export interface LookUpHow {
  /** Ask again, whatever is remembered. */
  readonly fresh?: boolean
  /** Ends the wait, with a failure that is `OURS`. The question goes on, for others and for later. */
  readonly signal?: AbortSignal
}

export interface DnsCounts {
  /** Packets that went out, since the start. */
  readonly sent: number
  readonly underWay: number
  /** Questions that wait for a place. */
  readonly waiting: number
  readonly remembered: number
}

export interface DnsResolverNeeds {
  readonly clock: Clock
  /** Not to be guessed. */
  readonly randomBytes: (size: number) => Uint8Array
  /** Where a server is asked that comes without a port: 53. */
  readonly port: number
  readonly resolvConfPath: string
  readonly hostsPath: string
  /** Instead of those in `resolv.conf`; null: those. */
  readonly servers: readonly DnsServerAddress[] | null
  readonly limits?: Partial<DnsLimits>
}

export interface DnsLimits {
  /** For an answer of one server, if `resolv.conf` says nothing. */
  readonly timeoutMs: number
  /** Rounds through all servers, if `resolv.conf` says nothing. */
  readonly attempts: number
  /** For a question in all. */
  readonly wholeMs: number
  /** Questions that are new, and how long they count as new; those that are asked anew; those that are slow. Each is a socket. */
  readonly quick: number
  readonly slotMs: number
  readonly again: number
  readonly slow: number
  /** How long an address waits for those of the other family. */
  readonly lateMs: number
  /** Bounds of what answers say of themselves, and what is taken where they say nothing. */
  readonly leastKeptMs: number
  readonly mostFoundMs: number
  readonly mostNoneMs: number
  readonly unsaidNoneMs: number
  /** A failure. */
  readonly failedMs: number
  readonly mostRemembered: number
  /** How often at most a file is looked at. */
  readonly filesMs: number
}

export const DNS_LIMITS: DnsLimits = {
  ...{ timeoutMs: 3_000, attempts: 2, wholeMs: 15_000 },
  ...{ quick: 256, slotMs: 300, again: 64, slow: 320, lateMs: 50 },
  ...{
    leastKeptMs: 5_000,
    mostFoundMs: 86_400_000,
    mostNoneMs: 3_600_000,
    unsaidNoneMs: 30_000,
    failedMs: 5_000,
  },
  ...{ mostRemembered: 20_000, filesMs: 3_000 },
}

/** The same with no more than so many sockets in all. */
export function dnsRoomsWithin(sockets: number): Pick<DnsLimits, 'quick' | 'again' | 'slow'> {
  const { quick, again, slow } = DNS_LIMITS
  const part = Math.min(1, sockets / (quick + again + slow))
  const of = (places: number) => Math.max(1, Math.floor(places * part))
  return { quick: of(quick), again: of(again), slow: of(slow) }
}

export function makeDnsResolver(needs: DnsResolverNeeds): DnsResolver {
  const { clock, randomBytes } = needs
  const limits = { ...DNS_LIMITS, ...needs.limits }
  const { filesMs: everyMs } = limits
  const hosts = watchFile({ path: needs.hostsPath, parse: parseHostsFile, clock, everyMs })
  const conf = watchFile({ path: needs.resolvConfPath, parse: parseResolvConf, clock, everyMs })
  const rooms = makeQueryRooms(limits)
  const cache = makeAnswerCache<DnsOutcome<never>>({ clock, most: limits.mostRemembered })
  const closed = new AbortController()
  // One for each question, and no leak.
  setMaxListeners(0, closed.signal)
  let underWay = new Map<string, Promise<DnsOutcome<never>>>()
  let sent = 0
  let from: ResolvConf | null = null
  let servers: DnsServers | null = null

  /** Those of now. What was learnt from others is forgotten. */
  function serversOfNow(): DnsServers {
    const now = needs.servers === null ? conf.read() : GIVEN
    if (servers !== null && now === from) return servers
    if (servers !== null) {
      cache.clear()
      underWay = new Map()
    }
    from = now
    servers = makeServers(needs.servers ?? now.servers, now)
    return servers
  }

  function makeServers(addresses: readonly DnsServerAddress[], { timeoutMs, attempts, named }: ResolvConf) {
    const list = addresses.map(({ address, port }) => ({ address, port: port ?? needs.port }))
    const remark = named ? '' : ' (resolv.conf names no server)'
    return {
      order: makeServerOrder(list, clock),
      timeoutMs: timeoutMs ?? limits.timeoutMs,
      attempts: attempts ?? limits.attempts,
      show: (server: DnsServerOfOrder) => `${showDnsServer(server, needs.port)}${remark}`,
    }
  }

  function keptMs(kind: 'found' | 'none', ttlS: number | null): number {
    const most = kind === 'found' ? limits.mostFoundMs : limits.mostNoneMs
    const ttlMs = ttlS === null ? limits.unsaidNoneMs : ttlS * 1_000
    return Math.min(most, Math.max(limits.leastKeptMs, ttlMs))
  }

  const askNeeds = {
    ...{ clock, randomBytes, sent: () => void (sent += 1) },
    ...{ wholeMs: limits.wholeMs, servers: serversOfNow, keptMs },
  }

  function question<Type extends DnsType>(
    name: string,
    type: Type,
    { fresh = false }: LookUpHow,
  ): Promise<DnsOutcome<DnsData[Type]>> {
    if (closed.signal.aborted) return Promise.resolve(CLOSED)
    serversOfNow()
    const key = `${type} ${name}`
    const kept = fresh ? null : cache.get(key)
    if (kept !== null) return Promise.resolve(remembered(kept))
    const running = underWay.get(key)
    if (running !== undefined) return running
    const asked = askAndKeep(key, { name, type })
    underWay.set(key, asked as Promise<DnsOutcome<never>>)
    return asked
  }

  async function askAndKeep<Type extends DnsType>(
    key: string,
    query: { name: string; type: Type },
  ): Promise<DnsOutcome<DnsData[Type]>> {
    const mine = underWay
    const told = await rooms.run((signal) => askDns(askNeeds, query, signal), closed.signal)
    mine.delete(key)
    if (told === null || closed.signal.aborted) return CLOSED
    // It may be from servers that are not those of now any more. And no failure replaces an answer that is still good.
    const better = told.kind === 'failed' && (cache.get(key)?.value ?? told).kind !== 'failed'
    if (mine === underWay && !better) cache.set(key, told as DnsOutcome<never>, timeOf(told, limits.failedMs))
    return told
  }

  async function services(name: string, how: LookUpHow): Promise<DnsOutcome<DnsSrv>> {
    const known = dnsNameOf(name)
    return known === null ? NOT_A_NAME : question(known, 'SRV', how)
  }

  async function addresses(name: string, how: LookUpHow): Promise<DnsOutcome<DnsAddress>> {
    const family = isIP(name)
    if (family === 4 || family === 6) {
      return { kind: 'found', records: [{ address: name, family }], ttlMs: limits.mostFoundMs }
    }
    const known = dnsNameOf(name)
    if (known === null) return NOT_A_NAME
    const listed = hosts.read()(known)
    if (listed !== null) return { kind: 'found', records: listed, ttlMs: limits.leastKeptMs }
    const v6 = question(known, 'AAAA', how)
    return joinFamilies(
      { v4: question(known, 'A', how), v6 },
      { lateMs: limits.lateMs, halfMs: limits.unsaidNoneMs },
    )
  }

  return {
    lookupSrv: (name, how = {}) => waitFor(services(name, how), how.signal),
    lookupAddresses: (name, how = {}) => waitFor(addresses(name, how), how.signal),
    counts: () => ({
      ...{ sent, underWay: rooms.underWay, waiting: rooms.waiting, remembered: cache.size },
    }),
    close: () => closed.abort(CLOSED),
  }
}

type DnsServerOfOrder = Parameters<DnsServers['show']>[0]

async function waitFor<Data>(
  asked: Promise<DnsOutcome<Data>>,
  signal: AbortSignal | undefined,
): Promise<DnsOutcome<Data>> {
  if (signal === undefined) return asked
  return (await unlessAborted(asked, signal)) ?? dnsFailed('OURS', 'the lookup was given up')
}

const GIVEN: ResolvConf = { servers: [], named: true, timeoutMs: null, attempts: null }
const CLOSED = dnsFailed('OURS', 'limpet is stopping')
const NOT_A_NAME: DnsNone = { kind: 'none', why: 'NXDOMAIN', ttlMs: 3_600_000 }

function remembered<Data>({ value, leftMs }: { value: DnsOutcome<never>; leftMs: number }): DnsOutcome<Data> {
  return value.kind === 'failed' ? value : { ...value, ttlMs: leftMs }
}

/** How long an outcome is remembered. That we could not ask says nothing that could be. */
function timeOf(outcome: DnsOutcome<unknown>, failedMs: number): number {
  if (outcome.kind !== 'failed') return outcome.ttlMs
  return outcome.code === 'OURS' ? 0 : failedMs
}
