/** A balancer on loopback: sends each connection to where it is told to, and may break those that are open. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface Balancer {
  readonly port: number
  /** Ends every connection; the clients open others. */
  breakAll(): void
  close(): void
}

/** `choose`: the port for the connection of this number, from 0. */
export async function startBalancer(choose: (count: number) => number): Promise<Balancer> {
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((client) => {
    const upstream = connect(choose(count++), '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    breakAll,
    close() {
      server.close()
      breakAll()
    },
  }
}
