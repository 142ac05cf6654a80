/**
 * A listener that is stopped, so that its queue stays full: who dials it hears nothing at all, as behind a firewall that drops. It listens
 * on all addresses of the machine, so that as many names as wanted lead to it.
 */
import { once } from 'node:events'
import { createServer, connect, type AddressInfo } from 'node:net'
import { answerParent, type Child } from './child.ts'

if (process.send !== undefined) {
  answerParent({
    listen: async () => {
      const server = createServer().listen({ port: 0, host: '0.0.0.0', backlog: 1 })
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    },
  })
}

const A_WHILE_MS = 1_000
const MOST = 16

/** @returns its port; null where dialling it does not hang (other systems than Linux) */
export async function deafen(child: Child): Promise<number | null> {
  const port = await child.ask<number>('listen')
  process.kill(child.pid, 'SIGSTOP')
  for (let i = 0; i < MOST; i += 1) if (!(await isHeard(port))) return port
  return null
}

/** The connection stays: it is one more in the queue. */
function isHeard(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.unref()
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(true))
    setTimeout(() => resolve(false), A_WHILE_MS)
  })
}
