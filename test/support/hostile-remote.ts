/**
 * Servers that answer with what no server should (`hostile-answers.ts`), in a process of their own: what they cost is not
 * mistaken for what it costs to read them.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'

export interface HostileRemotes {
  /** `127.0.0.1:PORT` of each, by what it answers. */
  readonly names: Readonly<Record<string, readonly string[]>>
  /** Tells them the ids of the events that they will be sent. */
  know(eventIds: readonly string[]): Promise<void>
  /** Bytes that each could write so far, by `127.0.0.1:PORT`. */
  written(): Promise<ReadonlyMap<string, number>>
  close(): Promise<void>
}

/** How many servers there are of each answer. */
export async function startHostileRemotes(
  { key, cert }: KeyPair,
  count: Readonly<Record<string, number>>,
): Promise<HostileRemotes> {
  const file = fileURLToPath(new URL('./hostile-worker.ts', import.meta.url))
  const worker = fork(file, { execArgv: ['--import', 'tsx'] })
  const ended = once(worker, 'exit')
  const heard = async <T>() => {
    const [message] = (await Promise.race([once(worker, 'message'), ended])) as [unknown]
    if (typeof message !== 'object') throw new Error('the hostile servers ended')
    return message as T
  }
  worker.send({ tls: { key, cert }, count })
  const { started } = await heard<{ started: Record<string, { n: number; port: number }[]> }>()
  const ask = async (message: object) => {
    const heardOf = heard<{ written: number[] }>()
    worker.send(message)
    return heardOf
  }
  const nameOf = (port: number) => `127.0.0.1:${port}`
  return {
    names: Object.fromEntries(
      Object.entries(started).map(([name, them]) => [name, them.map(({ port }) => nameOf(port))]),
    ),
    async know(eventIds) {
      await ask({ eventIds })
    },
    async written() {
      const { written } = await ask({})
      const all = Object.values(started).flat()
      return new Map(all.map(({ n, port }) => [nameOf(port), written[n] ?? 0]))
    },
    async close() {
      worker.kill('SIGKILL')
      await ended
    },
  }
}
