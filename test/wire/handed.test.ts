import { expect } from 'chai'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { exchange } from '../../src/wire/exchange.ts'
import { makeResolveTarget } from '../support/resolve-target.ts'
import { until } from '../support/poll.ts'
import { name, useSetting } from './setting.ts'

// A transaction that was not handed over may be thrown away and made anew under another id. If a byte of it was
// received all the same, the destination would see two ids, and perhaps two orders.
describe('"never left"', () => {
  const setting = useSetting()

  it('is said of an attempt that was aborted before it began', async () => {
    const server = await setting().homeserver()
    const result = await setting().sender().send(server.serverName, { signal: AbortSignal.abort() })
    expect(result).to.include({ kind: 'failed', stage: 'aborted', handed: false })
    expect(server.connections).to.equal(0)
  })

  it('is said of one that was aborted while its name was looked up', async () => {
    const abort = new AbortController()
    const lookup = () => {
      setImmediate(() => abort.abort())
      return new Promise<never>(() => undefined)
    }
    const result = await setting().sender({ lookup }).send('b.example:1', { signal: abort.signal })
    expect(result).to.include({ stage: 'aborted', handed: false })
  })

  it('is said of one that was aborted during the handshake', async () => {
    const sockets: Socket[] = []
    const abort = new AbortController()
    const silent = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined).resume())
      setImmediate(() => abort.abort())
    })
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    setting().closing(() => silent.close())
    const { send, connections } = setting().sender()
    const { port } = silent.address() as AddressInfo
    const result = await send(`127.0.0.1:${port}`, { signal: abort.signal })
    expect(result).to.include({ stage: 'aborted', handed: false })
    expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 0, opening: 0 })
    await until(() => sockets.every(({ destroyed }) => destroyed), { what: 'our side to hang up' })
  })

  it('is not said of one that was aborted while it waits for its answer', async () => {
    const server = await setting().homeserver({ behaviour: { kind: 'hang' } })
    const abort = new AbortController()
    const sending = setting().sender().send(server.serverName, { signal: abort.signal })
    await server.seen(1)
    abort.abort()
    expect(await sending).to.include({ stage: 'aborted', handed: true, status: null })
  })

  it('is not said of one whose answer broke off or was cut off by us', async () => {
    const server = await setting().homeserver({ behaviour: { kind: 'half an answer' } })
    const { send } = setting().sender()
    expect(await send(server.serverName, { txnId: 't' })).to.include({ handed: true, status: 200 })
    server.behave({ kind: 'drop after processing' })
    expect(await send(server.serverName, { txnId: 't' })).to.include({ handed: true, status: null })
  })

  // Asked at the start, before and after the lookup, and right before the request is written.
  for (const times of [0, 1, 2, 3]) {
    it(`is said of one that lost its lease after ${times} looks, and nothing was sent`, async () => {
      const server = await setting().homeserver()
      let looks = 0
      const stillHeld = () => looks++ < times
      const result = await setting().sender().send(server.serverName, { stillHeld })
      expect(result).to.include({ stage: 'aborted', handed: false, message: 'not ours to send any more' })
      expect(server.requests).to.equal(0)
    })
  }

  it('is said on an idle connection too, and nothing is sent there', async () => {
    const server = await setting().homeserver()
    const { send } = setting().sender()
    await send(server.serverName)
    let looks = 0
    const result = await send(server.serverName, { stillHeld: () => looks++ < 1 })
    expect(result).to.include({ stage: 'aborted', handed: false })
    const abort = new AbortController()
    const sending = send(server.serverName, { signal: abort.signal })
    abort.abort()
    expect(await sending).to.include({ stage: 'aborted', handed: false })
    expect(server.requests).to.equal(1)
  })

  for (const when of ['just before', 'in the very turn in which']) {
    it(`is said of one that was aborted ${when} it was to be written`, () => abortedAt(when))
  }

  async function abortedAt(when: string): Promise<void> {
    const server = await setting().homeserver()
    const { connections, send } = setting().sender()
    const destination = name(server.serverName)
    const found = await makeResolveTarget({ lookup: () => Promise.reject(new Error()) })(destination)
    if (found.kind === 'failed') throw new Error(found.message)
    const opened = await connections.open(destination, found.to, new AbortController().signal)
    if (opened.kind === 'failed') throw new Error(opened.message)
    const abort = new AbortController()
    if (when === 'just before') abort.abort()
    const exchanging = exchange(opened.connection, {
      uri: '/_matrix/federation/v1/send/never',
      headers: ['host', server.serverName],
      body: Buffer.from('{}'),
      timeoutMs: 1000,
      stillHeld: () => true,
      signal: abort.signal,
    })
    abort.abort()
    expect(await exchanging).to.include({ ending: 'aborted', handed: false })
    await send(server.serverName)
    expect(server.requests).to.equal(1)
  }

  it('is never said once a byte could have arrived: 400 aborts at odd moments', async () => {
    const heard = new Map<Socket, string>()
    const server = createTlsServer(await setting().authority.issue(), (socket) => {
      heard.set(socket, '')
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        heard.set(socket, (heard.get(socket) ?? '') + chunk.toString('latin1'))
        if (chunk.includes('\r\n\r\n')) {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"pdus":{}}')
        }
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    setting().closing(() => {
      for (const socket of heard.keys()) socket.destroy()
      server.close()
    })
    const destination = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const { send } = setting().sender()
    const ends = { answered: 0, handed: 0, kept: 0 }
    const kept: string[] = []
    for (let i = 0; i < 400; i++) {
      const txnId = `txn-${i}-`
      const abort = new AbortController()
      const sending = send(destination, { txnId, signal: abort.signal })
      // From nothing at all to longer than a handshake and an answer take, in steps of a turn of the loop.
      for (let turns = i % 40; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      abort.abort()
      const result = await sending
      if (result.kind === 'answered') ends.answered++
      else if (result.handed) ends.handed++
      else ends.kept++
      if (result.kind === 'failed' && !result.handed) kept.push(txnId)
    }
    // What was on its way has arrived when a last request has been answered on its own connection.
    expect((await send(destination)).kind).to.equal('answered')
    const everything = [...heard.values()].join('\n')
    expect(kept.filter((txnId) => everything.includes(txnId))).to.deep.equal([])
    // The test is worth something only where it met both sides of the line.
    expect(ends.kept, JSON.stringify(ends)).to.be.greaterThan(20)
    expect(ends.handed + ends.answered, JSON.stringify(ends)).to.be.greaterThan(20)
  })
})
