/**
 * A remote behind a proxy that hangs up: on some connections before anything was asked, on the others after a moment, whatever is under way. So
 * now and then a transaction is frozen and never leaves (contract 5.2), and now and then its answer is cut off.
 */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:tls'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { loopbackAuthority, type World } from '../e2e/world.ts'
import type { Random } from './random.ts'

/** How often it hangs up at once. */
const AT_ONCE = 0.4
const LONGEST_MS = 400

export interface HangingUp {
  readonly remote: FakeHomeserver
  /** From now on it hangs up on nobody any more. */
  calm(): void
  close(): Promise<void>
}

export async function remoteHangingUp(world: World, random: Random): Promise<HangingUp> {
  const { tls } = await loopbackAuthority()
  const proxy = createServer(tls).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const remote = await world.remote({ name: `127.0.0.1:${(proxy.address() as AddressInfo).port}` })
  const open = new Set<Socket>()
  let isCalm = false
  proxy.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  proxy.on('tlsClientError', () => undefined)
  proxy.on('secureConnection', (socket) => {
    socket.on('error', () => undefined)
    if (!isCalm && random() < AT_ONCE) {
      socket.destroy()
      return
    }
    remote.take(socket)
    if (isCalm) return
    const timer = setTimeout(() => socket.destroy(), LONGEST_MS * random())
    socket.once('close', () => clearTimeout(timer))
  })
  return {
    remote,
    calm: () => {
      isCalm = true
    },
    async close() {
      const closed = once(proxy, 'close')
      proxy.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}
