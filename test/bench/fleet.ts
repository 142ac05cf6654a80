/** The receivers, in their process, as the measurements see them. */
import { startChild } from './child.ts'
import type { Counts, ListenOptions } from './receivers.ts'
import type { Setting } from './setting.ts'

export interface Fleet {
  pid: number
  names: string[]
  counts(): Promise<Counts>
  /** Notes from now on when each numbered event arrives, or no more. */
  record(on: boolean): Promise<void>
  arrivals(): Promise<Map<number, number>>
  stop(): Promise<void>
}

export async function startFleet(setting: Setting, hosts: string[], each: number): Promise<Fleet> {
  const child = startChild(setting.built('test/bench/receivers.ts'))
  const options: ListenOptions = { tls: setting.tls, hosts, each, publicKey: setting.key.publicKey }
  const names = await child.ask<string[]>('listen', options)
  return {
    pid: child.pid,
    names,
    async counts() {
      const counts = await child.ask<Counts>('counts')
      const [fault] = counts.faults
      if (fault !== undefined) throw new Error(`${counts.faults.length} faults in what was sent: ${fault}`)
      return counts
    },
    record: (on) => child.ask('record', on),
    arrivals: () => child.ask('arrivals'),
    stop: () => child.stop(),
  }
}
