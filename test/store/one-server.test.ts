/** Whether one address leads to several servers, as a balancer before replicas does. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { expect } from 'chai'
import { comesBack, hasSeveralServers } from '../../src/store/one-server.ts'
import { ownServer, sharedServer, type OwnServer } from '../support/postgres.ts'

/** Sends each connection to the next of `ports`. */
async function startBalancer(ports: readonly number[]) {
  const sockets = new Set<Socket>()
  let next = 0
  const server = createServer((client) => {
    const upstream = connect(ports[next++ % ports.length] ?? 0, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => to.destroy())
      from.pipe(to)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

describe('several servers at one address', () => {
  let primary: OwnServer
  let standby: OwnServer
  before(async () => {
    primary = await ownServer({ migrated: false })
    await primary.stop()
    const copy = primary.clone()
    await primary.start()
    standby = await copy.start(Number(new URL(primary.url).port) + 1)
  })
  after(async () => {
    await standby.remove()
    await primary.remove()
  })

  it('are noticed behind a balancer', async () => {
    const ports = [primary, standby].map(({ url }) => Number(new URL(url).port))
    const balancer = await startBalancer(ports)
    try {
      const url = new URL(primary.url)
      url.port = String(balancer.port)
      expect(await hasSeveralServers(url.href)).to.equal(true)
    } finally {
      balancer.close()
    }
  })

  it('are not seen where there is one', async () => {
    expect(await hasSeveralServers((await sharedServer()).url)).to.equal(false)
  })

  it('are told from one that was replaced by another', () => {
    expect(comesBack(['a', 'a', 'b', 'b', 'c'])).to.equal(false)
    expect(comesBack(['a', 'b', 'a'])).to.equal(true)
  })
})
