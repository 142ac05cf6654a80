/** The receivers, in their processes, as the measurements see them. */
import { startChild } from './child.ts'
import type { PresenceSeen } from './edus-received.ts'
import type { Counts, ListenOptions, Received } from './receivers.ts'
import type { Setting } from './setting.ts'

export interface Fleet {
  pids: number[]
  names: string[]
  counts(): Promise<Counts>
  /** Notes from now on each transaction and when each numbered event arrives, or no more. */
  record(on: boolean): Promise<void>
  arrivals(): Promise<Map<number, number>>
  /** In the order in which they came. */
  received(): Promise<Received[]>
  /** Notes presence from now on. */
  notePresence(): Promise<void>
  /** Compared with the number of each user's last change, at all of them. */
  presence(latest: ReadonlyMap<string, number>): Promise<PresenceSeen>
  stop(): Promise<void>
}

/** Receivers of one process: each costs it two open files, the listener and a connection, and 20,000 are often allowed. */
const MOST_IN_ONE = 5_000

/** `each` receivers on each of the addresses. */
export async function startFleet(setting: Setting, hosts: string[], each: number): Promise<Fleet> {
  const hostsInOne = Math.max(1, Math.floor(MOST_IN_ONE / each))
  const processes = Math.ceil(hosts.length / hostsInOne)
  const children = Array.from({ length: processes }, () =>
    startChild(setting.built('test/bench/receivers.ts')),
  )
  const askAll = <T>(verb: string, given?: unknown) =>
    Promise.all(children.map((child) => child.ask<T>(verb, given)))
  const names = await Promise.all(
    children.map((child, index) => {
      const own = hosts.slice(index * hostsInOne, (index + 1) * hostsInOne)
      const options: ListenOptions = { tls: setting.tls, hosts: own, each, publicKey: setting.key.publicKey }
      return child.ask<string[]>('listen', options)
    }),
  )
  return {
    pids: children.map(({ pid }) => pid),
    names: names.flat(),
    async counts() {
      const counts = (await askAll<Counts>('counts')).reduce(together)
      const [fault] = counts.faults
      if (fault !== undefined) throw new Error(`${counts.faults.length} faults in what was sent: ${fault}`)
      return counts
    },
    record: async (on) => {
      await askAll('record', on)
    },
    arrivals: async () => new Map((await askAll<Map<number, number>>('arrivals')).flatMap((map) => [...map])),
    received: async () => (await askAll<Received[]>('received')).flat().sort((a, b) => a.at - b.at),
    notePresence: async () => {
      await askAll('notePresence')
    },
    presence: async (latest) =>
      (await askAll<PresenceSeen>('presence', { latest, servers: names.flat() })).reduce((a, b) => ({
        updates: a.updates + b.updates,
        backwards: a.backwards + b.backwards,
        behind: a.behind + b.behind,
        examples: [...a.examples, ...b.examples],
      })),
    stop: async () => {
      await Promise.all(children.map((child) => child.stop()))
    },
  }
}

const together = (a: Counts, b: Counts): Counts => ({
  transactions: a.transactions + b.transactions,
  pdus: a.pdus + b.pdus,
  edus: a.edus + b.edus,
  sampled: {
    transactions: a.sampled.transactions + b.sampled.transactions,
    parts: a.sampled.parts + b.sampled.parts,
  },
  handshakes: a.handshakes + b.handshakes,
  lastAt: Math.max(a.lastAt, b.lastAt),
  faults: [...a.faults, ...b.faults],
})
