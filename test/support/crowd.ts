/**
 * Hundreds of homeservers in a process of their own, for tests of how those that hang, refuse or flood are kept away from those that are
 * well. They are cheap: one listener, one certificate, and no check of what comes, which is what stricter ones are for (`src/simulate/fleet`).
 */
import { fileURLToPath } from 'node:url'
import type { CertificateAuthority, KeyPair } from '../../src/simulate/fleet/certs.ts'
import { startChild } from '../bench/child.ts'
import { quietPort } from './port.ts'

/** `hang`: takes requests and never answers; `silent`: takes connections and says nothing; `flood`: answers without an end. */
export type Behaves = 'well' | 'hang' | 'silent' | 'flood'

export interface Order {
  /** One certificate for each block of addresses: one for thousands takes longer to read than everything else. */
  tls: Record<string, KeyPair>
}

/** All but the last number. */
export const blockOf = (ip: string): string => ip.replace('::ffff:', '').split('.').slice(0, 3).join('.')

export interface CrowdCounts {
  /** Connections: now, the most at once, and in all. */
  open: number
  mostOpen: number
  connections: number
  /** Requests under way: now, and the most at once. */
  unanswered: number
  mostUnanswered: number
}

export interface Crowd {
  /** Names by group, in the order in which they were asked for. */
  names: string[][]
  behave(group: number, how: Behaves): Promise<void>
  /** When each numbered event arrived where it was answered, by `machineMs`, ms. */
  arrivals(): Promise<Map<number, number>>
  /** When requests began, by name. */
  requests(): Promise<Map<string, number[]>>
  counts(): Promise<CrowdCounts>
  stop(): Promise<void>
}

/** Groups begin at 127.100.0.0, with 62,500 addresses each. */
const FIRST_GROUP = 100

const address = (group: number, index: number) =>
  `127.${FIRST_GROUP + group}.${Math.floor(index / 250)}.${1 + (index % 250)}`

/** `sizes`: how many there are of each group; those of a group behave alike, well at first. */
export async function startCrowd(ca: CertificateAuthority, sizes: readonly number[]): Promise<Crowd> {
  const addresses = sizes.map((size, group) => Array.from({ length: size }, (_, i) => address(group, i)))
  const tls: Order['tls'] = {}
  for (const block of new Set(addresses.flat().map(blockOf)))
    tls[block] = await ca.issue({ ips: addresses.flat().filter((ip) => blockOf(ip) === block) })
  const child = startChild(fileURLToPath(new URL('./crowd-worker.ts', import.meta.url)), ['--import', 'tsx'])
  const port = await child.ask<number>('listen', { tls })
  return {
    names: addresses.map((those) => those.map((ip) => `${ip}:${port}`)),
    behave: (group, how) => child.ask('behave', { group: FIRST_GROUP + group, how }),
    arrivals: () => child.ask('arrivals'),
    requests: () => child.ask('requests'),
    counts: () => child.ask('counts'),
    stop: () => child.stop(),
  }
}

/** Names of servers that are not there: every connection is refused. */
export async function refusing(count: number): Promise<string[]> {
  const port = await quietPort()
  return Array.from({ length: count }, (_, i) => `${address(-1, i)}:${port}`)
}
