/**
 * One port for many homeservers: which one a connection is for is said by the name that its client asks for (SNI, RFC 6066, section 3).
 *
 * It stands for port 8448, which each name has for itself in the real world. So the names need no addresses of their own.
 */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createSecureContext, createServer } from 'node:tls'
import type { SecureContext, TLSSocket } from 'node:tls'
import type { KeyPair } from '../fleet/certs.ts'
import type { FakeHomeserver } from '../fleet/fake-homeserver.ts'

export interface SharedPort {
  readonly port: number
  /** Connections for `name` are this homeserver's from now on. */
  lead(name: string, tls: KeyPair, to: Pick<FakeHomeserver, 'take'>): void
  stop(): Promise<void>
}

export async function startSharedPort(): Promise<SharedPort> {
  const led = new Map<string, { context: SecureContext; to: Pick<FakeHomeserver, 'take'> }>()
  const server = createServer({
    SNICallback(name, done) {
      const context = led.get(name)?.context
      if (context === undefined) done(new Error(`nobody is called ${name} here`))
      else done(null, context)
    },
  })
  server.on('secureConnection', (socket: TLSSocket & { servername?: string | false }) => {
    const found = led.get(String(socket.servername))
    // One that asked for no name.
    if (found === undefined) socket.destroy()
    else found.to.take(socket)
  })
  server.on('tlsClientError', () => undefined)
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    lead: (name, tls, to) => void led.set(name, { context: createSecureContext(tls), to }),
    async stop() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}
