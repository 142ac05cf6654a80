/**
 * Who delegates to whom: a web server on loopback that answers `/.well-known/matrix/server` over TLS for many names.
 *
 * A name that delegates nothing gets 404, as most of the real ones do.
 */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { KeyPair } from '../fleet/certs.ts'

export interface Delegation {
  /** A server name. */
  readonly to: string
  /** `max-age`, seconds. */
  readonly maxAge: number
}

export interface WellKnownServer {
  /** It stands for 443. */
  readonly port: number
  /** By name; may be changed at any time. */
  readonly delegations: Map<string, Delegation>
  /** The name in each request so far. */
  readonly asked: readonly string[]
  stop(): Promise<void>
}

/** `tls`: for all the names. */
export async function startWellKnownServer(tls: KeyPair): Promise<WellKnownServer> {
  const delegations = new Map<string, Delegation>()
  const asked: string[] = []
  const server = createServer(tls, (request, response) => {
    const name = request.headers.host?.replace(/:\d+$/, '') ?? ''
    asked.push(name)
    const found = request.url === '/.well-known/matrix/server' ? delegations.get(name) : undefined
    if (found === undefined) return response.writeHead(404).end()
    response.writeHead(200, {
      'content-type': 'application/json',
      'cache-control': `max-age=${found.maxAge}`,
    })
    return response.end(JSON.stringify({ 'm.server': found.to }))
  })
  // A client that refuses our certificate is the client's business.
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    ...{ port, delegations, asked },
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
