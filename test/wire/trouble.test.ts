import { expect } from 'chai'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { startHalfOpenProxy } from '../support/half-open-proxy.ts'
import { useSetting } from './setting.ts'

/** A time-out that is waited for, and yet longer than a busy machine takes to write a request and read what comes. */
const SHORT_MS = 2_000

describe('a destination in trouble', () => {
  const setting = useSetting()

  it('nothing listens: told so, and nothing was handed over', async () => {
    const server = await setting().homeserver()
    await server.stop()
    const result = await setting().sender().send(server.serverName)
    expect(result).to.include({
      kind: 'failed',
      stage: 'connect',
      handed: false,
      message: 'nothing listens there (ECONNREFUSED)',
    })
    await server.restart()
  })

  it('accepts and says nothing: the handshake ends with the connect time-out', async () => {
    const { serverName } = await silentServer()
    const started = performance.now()
    const result = await setting().sender({ connectTimeoutMs: 2000 }).send(serverName)
    expect(result).to.include({ kind: 'failed', stage: 'tls', handed: false })
    expect(result.kind === 'failed' && result.message).to.equal('no TLS handshake in time (ERR_TLS_TIMEOUT)')
    // Far below the time-out of the request, which is a minute here.
    expect(performance.now() - started).to.be.within(1900, 30_000)
  })

  it('takes the request and never answers: a time-out, and it was handed over', async () => {
    const server = await setting().homeserver({ behaviour: { kind: 'hang' } })
    const { send, connections } = setting().sender()
    const result = await send(server.serverName, { timeoutMs: SHORT_MS })
    expect(result).to.include({ kind: 'failed', stage: 'timeout', handed: true, status: null })
    expect(result.durationMs).to.be.at.least(SHORT_MS - 10)
    expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 0, opening: 0 })
  })

  it('answers slowly: within the time-out that is an answer', async () => {
    const server = await setting().homeserver({ behaviour: { kind: 'ok', delayMs: 200 } })
    const result = await setting().sender().send(server.serverName)
    expect(result.kind).to.equal('answered')
    expect(result.durationMs).to.be.at.least(190)
  })

  it('stops in the middle of its answer: a time-out', async () => {
    const port = await tlsServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"pdus":')
    })
    const result = await setting().sender().send(`127.0.0.1:${port}`, { timeoutMs: SHORT_MS })
    expect(result).to.include({ stage: 'timeout', status: 200, handed: true })
  })

  it('stops in the middle of an error: the status still counts', async () => {
    const port = await tlsServer((socket) => {
      socket.write('HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\n{"pdus":')
    })
    const result = await setting().sender().send(`127.0.0.1:${port}`, { timeoutMs: SHORT_MS })
    expect(result).to.include({ stage: 'http', status: 429, retryAfterMs: 7000, handed: true })
  })

  it('answers something that is not HTTP', async () => {
    const port = await tlsServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    const result = await setting().sender().send(`127.0.0.1:${port}`)
    expect(result).to.include({ kind: 'failed', stage: 'protocol', status: null, handed: true })
    expect(result.kind === 'failed' && result.message).to.match(/^the answer is not HTTP \(/)
  })

  it('answers 103 first and then the answer proper', async () => {
    const port = await tlsServer((socket) => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n')
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"pdus":{}}')
    })
    expect((await setting().sender().send(`127.0.0.1:${port}`)).kind).to.equal('answered')
  })

  it('answers 103 and then hangs up: that was no answer', async () => {
    const port = await tlsServer((socket) => socket.end('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'))
    const result = await setting().sender().send(`127.0.0.1:${port}`)
    expect(result).to.include({ stage: 'protocol', status: null, handed: true })
  })

  it('dies without a word while its connection is idle: handed over, no answer in time', async () => {
    const { server, proxy } = await behindProxy()
    const { send } = setting().sender()
    expect((await send(server.serverName)).kind).to.equal('answered')
    proxy.goSilent()
    const result = await send(server.serverName, { timeoutMs: SHORT_MS })
    expect(result).to.include({ kind: 'failed', stage: 'timeout', handed: true })
    expect(server.requests).to.equal(1)
    expect(proxy.accepted).to.equal(1)
  })

  it('dies without a word before the handshake: nothing was handed over', async () => {
    const { server, proxy } = await behindProxy()
    proxy.goSilent()
    const result = await setting().sender({ connectTimeoutMs: 1000 }).send(server.serverName)
    expect(result).to.include({ kind: 'failed', stage: 'tls', handed: false })
  })

  async function silentServer(): Promise<{ serverName: string }> {
    const sockets: Socket[] = []
    const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    setting().closing(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return { serverName: `127.0.0.1:${(server.address() as AddressInfo).port}` }
  }

  /** A TLS server that does the same whenever a chunk arrives; gives its port. */
  async function tlsServer(onChunk: (socket: Socket) => void): Promise<number> {
    const sockets: Socket[] = []
    const server = createTlsServer(await setting().authority.issue(), (socket) => {
      sockets.push(socket)
      socket.on('error', () => undefined).on('data', () => onChunk(socket))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    setting().closing(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return (server.address() as AddressInfo).port
  }

  async function behindProxy() {
    const proxy = await startHalfOpenProxy()
    setting().closing(() => proxy.close())
    const server = await setting().homeserver({ name: `127.0.0.1:${proxy.port}` })
    proxy.forwardTo(server.port)
    return { server, proxy }
  }
})
