import { expect } from 'chai'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { systemClock } from '../../src/pace/clock.ts'
import { makeConnections } from '../../src/wire/connections.ts'
import { until } from '../support/poll.ts'
import { noLookup } from '../support/resolve-target.ts'
import { listen, silent, somePort, speaking, targetAt } from './dialling.ts'
import { answer, startRawRemote } from './raw-remote.ts'
import { name, useSetting } from './setting.ts'

describe('connections', () => {
  const setting = useSetting()

  it('keeps at most so many idle ones, and gives up the one unused longest', async () => {
    const { send, connections } = setting().sender({ maxIdleConnections: 2 })
    const tls = await setting().authority.issue()
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => setting().homeserver({ tls })))
    if (a === undefined || b === undefined || c === undefined) throw new Error('three servers')
    for (const { serverName } of [a, b, a, c]) await send(serverName)
    expect(connections.counts()).to.deep.equal({ idle: 2, inUse: 0, opening: 0 })
    for (const { serverName } of [a, c, b]) await send(serverName)
    expect([a.connections, b.connections, c.connections]).to.deep.equal([1, 2, 1])
  })

  it('keeps none where none may be kept', async () => {
    const { send, connections } = setting().sender({ maxIdleConnections: 0 })
    const server = await setting().homeserver()
    await send(server.serverName)
    await send(server.serverName)
    expect(server.connections).to.equal(2)
    expect(connections.counts().idle).to.equal(0)
  })

  it('keeps none to a server that is blocked: neither an idle one nor one that is given back', async () => {
    const blocked = new Set<string>()
    const { send, connections } = setting().sender({ isBlocked: (one) => blocked.has(one) })
    const tls = await setting().authority.issue()
    const [a, b] = await Promise.all([1, 2].map(() => setting().homeserver({ tls })))
    if (a === undefined || b === undefined) throw new Error('two servers')
    for (const { serverName } of [a, b]) await send(serverName)
    blocked.add(a.serverName)
    connections.dropBlocked()
    expect(connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
    const taken = connections.take(name(b.serverName))
    if (taken === null) throw new Error('it was idle')
    blocked.add(b.serverName)
    connections.dropBlocked()
    expect(taken.socket.destroyed, 'while it is in use').to.equal(false)
    connections.giveBack(taken)
    expect(taken.socket.destroyed).to.equal(true)
    expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 0, opening: 0 })
  })

  it('uses none of before for another request once it goes by other settings: idle ones end at once, those in use after their request', async () => {
    const { send, connections } = setting().sender()
    const tls = await setting().authority.issue()
    const [idle, used] = await Promise.all([1, 2].map(() => setting().homeserver({ tls })))
    if (idle === undefined || used === undefined) throw new Error('two servers')
    for (const { serverName } of [idle, used]) await send(serverName)
    const taken = connections.take(name(used.serverName))
    if (taken === null) throw new Error('it was idle')
    connections.renew([setting().authority.cert])
    expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 1, opening: 0 })
    expect(taken.socket.destroyed, 'while it is in use').to.equal(false)
    connections.giveBack(taken)
    expect(taken.socket.destroyed).to.equal(true)
    for (const { serverName } of [idle, used]) await send(serverName)
    expect([idle.connections, used.connections]).to.deep.equal([2, 2])
    expect(connections.counts(), 'new ones are kept').to.deep.equal({ idle: 2, inUse: 0, opening: 0 })
    expect(() => connections.renew(['no certificate'])).to.throw('contains no PEM certificate')
    expect(connections.counts(), 'after one that failed').to.deep.equal({ idle: 2, inUse: 0, opening: 0 })
  })

  it('goes by the authorities of the moment, also where those of before have begun to connect', async () => {
    let meanwhile: (() => void) | null = null
    const { send, connections } = setting().sender({
      customCas: [],
      // Asked right before a handshake, which has begun by then and can't have ended.
      isInsecure() {
        if (meanwhile !== null) setImmediate(meanwhile)
        meanwhile = null
        return false
      },
    })
    const server = await setting().homeserver()
    expect(await send(server.serverName)).to.include({ kind: 'failed', stage: 'tls' })
    connections.renew([setting().authority.cert])
    expect(await send(server.serverName)).to.include({ kind: 'answered' })
    connections.renew([])
    expect(await send(server.serverName)).to.include({ kind: 'failed', stage: 'tls' })
    connections.renew([setting().authority.cert])
    meanwhile = () => connections.renew([])
    expect(await send(server.serverName), 'allowed before').to.include({ kind: 'failed', stage: 'tls' })
    meanwhile = () => connections.renew([setting().authority.cert])
    expect(await send(server.serverName), 'refused before').to.include({ kind: 'answered' })
    expect(connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
  })

  it('never serves two requests at once on one connection', async () => {
    const { send, connections } = setting().sender()
    const server = await setting().homeserver({ behaviour: { kind: 'status', status: 200, delayMs: 100 } })
    await Promise.all([send(server.serverName), send(server.serverName)])
    expect(server.connections).to.equal(2)
    await until(() => connections.counts().inUse === 0, { what: 'both to end' })
    expect(connections.counts().idle).to.equal(1)
  })

  it('forgets an idle connection when the server closes it', async () => {
    const { send, connections } = setting().sender()
    const server = await setting().homeserver()
    await send(server.serverName)
    await server.stop()
    await until(() => connections.counts().idle === 0, { what: 'the closed connection to be forgotten' })
    expect(connections.take(name(server.serverName))).to.equal(null)
    await server.restart()
  })

  it('serves for as long as it is known where the destination is; then only the same places go on with it', async () => {
    let now = 0
    const clock = { ...systemClock, monotonic: () => now }
    const own = { vet: () => null, lookup: noLookup, customCas: [setting().authority.cert] }
    const config = { maxIdleConnections: 9, connectTimeoutMs: 60_000, ...own }
    const connections = makeConnections(config, clock)
    setting().closing(() => connections.close())
    const tls = await setting().authority.issue({ names: ['b.example'] })
    const [here, there] = [await setting().homeserver({ tls }), await setting().homeserver({ tls })]
    const b = name('b.example')
    const signal = new AbortController().signal
    /** Opens one to there, and gives it back. */
    const use = async ({ port }: { port: number }, leftMs: number | null, anew = false) => {
      const to = { targets: [targetAt(['127.0.0.1'], port)], key: String(port), leftMs }
      const opened = await connections.open(b, to, signal, anew)
      if (opened.kind === 'failed') throw new Error(opened.message)
      connections.giveBack(opened.connection)
      return opened
    }
    const { connection: first } = await use(here, 10_000)
    const isTaken = () => {
      const taken = connections.take(b)
      if (taken !== null) connections.giveBack(taken)
      return taken !== null
    }
    now = 9_999
    expect(isTaken()).to.equal(true)
    now = 10_000
    expect([isTaken(), connections.isIdle(b)]).to.deep.equal([false, true])
    expect(await use(here, 10_000)).to.include({ wasIdle: true, connection: first })
    expect(isTaken()).to.equal(true)
    now = 20_000
    expect(await use(there, null)).to.include({ wasIdle: false })
    expect(first.socket.destroyed).to.equal(true)
    now = 1e12
    expect(isTaken()).to.equal(true)
    const opening = use(here, 10_000, true)
    now += 9_999
    await opening
    expect(isTaken()).to.equal(true)
    now += 1
    expect(isTaken(), 'whatever time dialling took').to.equal(false)
    expect(await use(there, null, true)).to.include({ wasIdle: false })
  })

  for (const [what, bytes] of [
    ['an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"pdus":{}}'],
    ['an empty line', '\r\n'],
    ['a single byte', 'H'],
  ] as const) {
    it(`gives up an idle one on which ${what} comes that nobody asked for`, async () => {
      const remote = await startRawRemote(await setting().authority.issue(), ({ socket }) =>
        socket.write(answer()),
      )
      setting().closing(() => remote.close())
      const { send, connections } = setting().sender()
      await send(remote.serverName)
      expect(connections.counts().idle).to.equal(1)
      remote.requests[0]?.socket.write(bytes)
      await until(() => connections.counts().idle === 0, { what: 'the connection to be given up' })
      expect(await send(remote.serverName)).to.include({ kind: 'answered' })
      expect(remote.connections).to.equal(2)
    })
  }

  it('tries first the address that a name had last, and one that is not allowed never', async () => {
    const port = await somePort()
    const tls = speaking(await setting().authority.issue({ names: ['b.example'] }))
    const mute = await listen(setting(), '127.0.0.1', port, silent)
    const well = await listen(setting(), '127.0.0.2', port, tls)
    const { connections } = setting().sender()
    const target = targetAt(['127.0.0.1', '127.0.0.2'], port)
    const open = async (from = connections) => {
      const opened = await from.open(
        name('b.example'),
        { targets: [target], key: '', leftMs: null },
        new AbortController().signal,
      )
      if (opened.kind === 'open') from.drop(opened.connection)
      return opened
    }
    for (let i = 0; i < 3; i++) expect(await open()).to.include({ kind: 'open' })
    expect([mute.accepted.length, well.accepted.length]).to.deep.equal([1, 3])
    const vet = (address: string) => `not ${address}`
    const config = { maxIdleConnections: 1, connectTimeoutMs: 1000, customCas: [], vet, lookup: noLookup }
    expect(await open(makeConnections(config, systemClock))).to.deep.equal({
      ...{ kind: 'failed', stage: 'address', message: 'not 127.0.0.2; not 127.0.0.1' },
    })
    expect([mute.accepted.length, well.accepted.length]).to.deep.equal([1, 3])
  })

  it('ends requests under way when it is closed, and says that they were handed over', async () => {
    const { send, connections } = setting().sender()
    const server = await setting().homeserver({ behaviour: { kind: 'hang' } })
    const sending = send(server.serverName)
    await server.seen(1)
    await connections.close()
    expect(await sending).to.include({ kind: 'failed', handed: true })
    expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 0, opening: 0 })
  })

  it('starts at most 32 handshakes at once, and silent servers do not keep the places', async () => {
    /** When the first bytes came. */
    const greeted: number[] = []
    const accepted = new Set<Socket>()
    const silent = createServer((socket) => {
      accepted.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', () => greeted.push(performance.now())) // The first bytes are TLS's hello.
    })
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const abort = new AbortController()
    const { send } = setting().sender()
    const started = performance.now()
    const stuck = Array.from({ length: 50 }, () => send(`127.0.0.1:${port}`, { signal: abort.signal }))
    setting().closing(async () => {
      abort.abort()
      for (const socket of accepted) socket.destroy()
      silent.close()
      await Promise.all(stuck)
    })
    // A server that answers gets its turn behind all of them, long before the silent ones time out (a minute).
    const server = await setting().homeserver()
    await until(() => accepted.size === 50, { what: 'all to be connected' })
    expect((await send(server.serverName)).kind).to.equal('answered')
    expect(performance.now() - started).to.be.below(40_000)
    await until(() => greeted.length === 50, { what: 'all to have had a place' })
    // Half a second is what a place is kept.
    expect(greeted.filter((at) => at - started < 490)).to.have.length.at.most(32)
  })
})
