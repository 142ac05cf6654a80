/**
 * A port that takes connections and never answers them: a listener whose accept queue is full. The kernel drops what comes
 * on top, as a firewall that says nothing does: no refusal, no connection.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'

export interface BlackHole {
  readonly port: number
  close(): Promise<void>
}

// The thread never looks at what comes.
const LISTEN = `
  const { parentPort, workerData } = require('node:worker_threads')
  const server = require('node:net').createServer()
  server.listen(workerData, () => {
    parentPort.postMessage(server.address().port)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`

const BACKLOG = 1

export async function startBlackHole(host: string, port = 0): Promise<BlackHole> {
  const thread = new Worker(LISTEN, { eval: true, workerData: { host, port, backlog: BACKLOG } })
  const [listening] = (await once(thread, 'message')) as [number]
  // Linux keeps one more than it was told.
  const waiting = Array.from({ length: BACKLOG + 1 }, () => connect({ host, port: listening }))
  for (const socket of waiting)
    await once(
      socket.on('error', () => undefined),
      'connect',
    )
  return {
    port: listening,
    async close() {
      for (const socket of waiting) socket.destroy()
      await thread.terminate()
    },
  }
}
