/**
 * Ports that take connections and never answer them: listeners whose accept queues are full. The kernel drops what comes
 * on top, as a firewall that says nothing does: no refusal, no connection.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'

export interface BlackHole {
  readonly port: number
  readonly close: () => Promise<void>
}

export interface HolePlace {
  readonly host: string
  /** 0: one that is free. */
  readonly port: number
}

// The thread never looks at what comes.
const LISTEN = `
  const { parentPort, workerData } = require('node:worker_threads')
  const listening = workerData.map((place) => new Promise((resolve) => {
    const server = require('node:net').createServer()
    server.listen(place, () => resolve(server.address().port))
  }))
  Promise.all(listening).then((ports) => {
    parentPort.postMessage(ports)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`

const BACKLOG = 1

export async function startBlackHole(host: string, port = 0): Promise<BlackHole> {
  const { ports, close } = await startBlackHoles([{ host, port }])
  return { port: ports[0] ?? port, close }
}

/** Many of them, in one thread. `ports`: in the order of the places. */
export async function startBlackHoles(
  places: readonly HolePlace[],
): Promise<{ readonly ports: readonly number[]; readonly close: () => Promise<void> }> {
  const workerData = places.map((place) => ({ ...place, backlog: BACKLOG }))
  const thread = new Worker(LISTEN, { eval: true, workerData })
  const [ports] = (await once(thread, 'message')) as [number[]]
  // Linux keeps one more than it was told.
  const waiting = places.flatMap(({ host, port }, index) =>
    Array.from({ length: BACKLOG + 1 }, () => connect({ host, port: ports[index] ?? port })),
  )
  const connected = waiting.map((socket) => once(socket, 'connect'))
  for (const socket of waiting) socket.on('error', () => undefined)
  await Promise.all(connected)
  return {
    ports,
    async close() {
      for (const socket of waiting) socket.destroy()
      await thread.terminate()
    },
  }
}
