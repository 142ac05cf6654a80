/**
 * A TCP proxy on loopback that can fall silent: from then on it forwards nothing in either direction, closes
 * nothing and still accepts, like a peer whose machine lost its power or whose NAT forgot the connection.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export interface HalfOpenProxy {
  readonly port: number
  /** Connections accepted so far. */
  readonly accepted: number
  /** Where it leads. Set after the start, so that what stands behind it can be named after the proxy's port. */
  forwardTo(port: number): void
  goSilent(): void
  close(): Promise<void>
}

export async function startHalfOpenProxy(): Promise<HalfOpenProxy> {
  const sockets = new Set<Socket>()
  let silent = false
  let toPort: number | null = null
  let accepted = 0

  const server = createServer((client) => {
    accepted++
    const upstream = silent || toPort === null ? null : connect(toPort, '127.0.0.1')
    keep(client, upstream)
    if (upstream !== null) keep(upstream, client)
  })

  function keep(from: Socket, to: Socket | null): void {
    sockets.add(from)
    from.on('data', (chunk) => {
      if (!silent) to?.write(chunk)
    })
    from.on('error', () => undefined)
    from.on('close', () => {
      sockets.delete(from)
      if (!silent) to?.destroy()
    })
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted
    },
    forwardTo(port) {
      toPort = port
    },
    goSilent() {
      silent = true
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
