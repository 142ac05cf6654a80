import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { answer, startRawRemote } from './raw-remote.ts'
import type { RawRemoteOptions, RawRequest } from './raw-remote.ts'
import { aBody, name, useSetting } from './setting.ts'

// nginx closes what was idle for 75 s, we keep connections for minutes: a request and the goodbye may pass each other.
describe('a request that went into a connection that was just closing', () => {
  const setting = useSetting()

  const ends: [string, (request: RawRequest) => unknown][] = [
    ['closed', ({ socket }) => socket.destroy()],
    ['ended with a goodbye of TLS', ({ sayGoodbye }) => sayGoodbye()],
    ['reset', ({ reset }) => reset()],
  ]
  for (const [how, close] of ends) {
    it(`goes again at once on a new connection where the old one was ${how}`, async () => {
      const remote = await startRemote((request) => {
        if (request.n === 2) close(request)
        else request.socket.write(answer())
      })
      const { send, connections } = setting().sender()
      await send(remote.serverName)
      const body = aBody('$b', '$ünïcödé')
      const result = await send(remote.serverName, { txnId: 'again', body })
      expect(result, JSON.stringify(result)).to.include({ kind: 'answered' })
      expect(remote.requests.map(({ connection }) => connection)).to.deep.equal([1, 1, 2])
      const [, second, third] = remote.requests
      expect(third?.line).to.equal('PUT /_matrix/federation/v1/send/again HTTP/1.1')
      expect([third?.line, third?.body]).to.deep.equal([second?.line, body])
      // And the new connection is kept, the old one is not.
      expect(connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
      expect((await send(remote.serverName)).kind).to.equal('answered')
      expect(remote.connections).to.equal(2)
    })

    it(`goes again, too, where it was ${how} before the request was read whole`, async () => {
      const remote = await startRemote(
        (request) => {
          if (request.n === 2) close(request)
          else request.socket.resume().write(answer())
        },
        { atHead: true },
      )
      const { send } = setting().sender()
      await send(remote.serverName)
      const body = aBody(`$${'x'.repeat(300_000)}`)
      expect(await send(remote.serverName, { body })).to.include({ kind: 'answered' })
      expect(remote.connections).to.equal(2)
    })

    it(`goes twice and never a third time: ${how} every time is a failure`, async () => {
      const remote = await startRemote((request) => {
        if (request.n === 1) request.socket.write(answer())
        else close(request)
      })
      const { send, connections } = setting().sender()
      await send(remote.serverName)
      const result = await send(remote.serverName, { txnId: 'twice' })
      expect(result).to.include({ kind: 'failed', stage: 'protocol', status: null, handed: true })
      expect(remote.requests.map(({ connection }) => connection)).to.deep.equal([1, 1, 2])
      expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 0, opening: 0 })
    })

    it(`does not go again where a new connection was ${how}`, async () => {
      const remote = await startRemote(close)
      const result = await setting().sender().send(remote.serverName)
      expect(result).to.include({ kind: 'failed', stage: 'protocol', status: null, handed: true })
      expect(remote.requests).to.have.length(1)
      expect(remote.connections).to.equal(1)
    })
  }

  const begun: [string, string][] = [
    ['one byte of an answer', 'H'],
    ['an empty line', '\r\n'],
    ['a piece of an answer', 'HTTP/1.1 200 O'],
    ['an answer without its body', 'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n'],
    ['half an answer', answer().slice(0, -5)],
    ['early hints', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'],
    ['something that is not HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ]
  for (const [what, bytes] of begun) {
    it(`does not go again where ${what} came`, async () => {
      const remote = await startRemote(({ n, socket }) => {
        if (n === 1) socket.write(answer())
        else socket.end(bytes)
      })
      const { send } = setting().sender()
      await send(remote.serverName)
      const result = await send(remote.serverName)
      expect(result).to.include({ kind: 'failed', stage: 'protocol', handed: true })
      expect(remote.requests).to.have.length(2)
      expect(remote.connections).to.equal(1)
    })
  }

  it('goes again, once, where the server said goodbye with a 408', async () => {
    const goodbye = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
    const remote = await startRemote(({ n, socket }) => {
      if (n === 2) socket.end(goodbye)
      else socket.write(answer())
    })
    const { send } = setting().sender()
    await send(remote.serverName)
    expect(await send(remote.serverName)).to.include({ kind: 'answered' })
    expect(remote.requests.map(({ connection }) => connection)).to.deep.equal([1, 1, 2])
  })

  it('does not go again where no answer came in time', async () => {
    const remote = await startRemote(({ n, socket }) => n === 1 && socket.write(answer()))
    const { send } = setting().sender()
    await send(remote.serverName)
    const result = await send(remote.serverName, { timeoutMs: 500 })
    expect(result).to.include({ kind: 'failed', stage: 'timeout', handed: true })
    expect(remote.requests).to.have.length(2)
    expect(remote.connections).to.equal(1)
  })

  it('has one time for both: what the first took, the second has not', async () => {
    const remote = await startRemote(({ n, socket }) => {
      if (n === 1) socket.write(answer())
      if (n === 2) setTimeout(() => socket.destroy(), 1_500)
    })
    const { send } = setting().sender()
    await send(remote.serverName)
    const result = await send(remote.serverName, { timeoutMs: 2_500 })
    expect(result).to.include({ kind: 'failed', stage: 'timeout', handed: true })
    expect(remote.requests).to.have.length(3)
    // Twice the time would be 4 s.
    expect(result.durationMs).to.be.within(2_400, 3_900)
  })

  it('does not wait longer than that for the new connection either', async () => {
    const remote = await startRemote(
      ({ n, socket }) => {
        if (n === 1) socket.write(answer())
        else socket.destroy()
      },
      { greets: (connection) => connection === 1 },
    )
    const { send } = setting().sender({ connectTimeoutMs: 60_000 })
    await send(remote.serverName)
    const result = await send(remote.serverName, { timeoutMs: 2_000 })
    expect(result).to.include({ kind: 'failed', stage: 'timeout', handed: true, status: null })
    expect(result.durationMs).to.be.within(1_900, 20_000)
  })

  it('counts as handed over where there is no new connection: it may have been received', async () => {
    const remote = await startRemote(({ n, socket }) => {
      if (n === 1) socket.write(answer())
      else {
        remote.close()
        socket.destroy()
      }
    })
    const { send } = setting().sender()
    await send(remote.serverName)
    const result = await send(remote.serverName)
    expect(result).to.include({ kind: 'failed', stage: 'connect', handed: true, status: null })
    expect(result.kind === 'failed' && result.message).to.equal('nothing listens there (ECONNREFUSED)')
  })

  it('does not go again where the lease was lost meanwhile, and counts as handed over', async () => {
    // At the start, before the first write; then before the lookup, before connecting and before the second write.
    for (const looks of [2, 3, 4]) {
      const remote = await startRemote(({ n, socket }) => {
        if (n === 1) socket.write(answer())
        else socket.destroy()
      })
      const { send } = setting().sender()
      await send(remote.serverName)
      let asked = 0
      const result = await send(remote.serverName, { stillHeld: () => asked++ < looks })
      expect(result).to.include({ kind: 'failed', stage: 'aborted', handed: true })
      expect(remote.requests, `${looks} looks`).to.have.length(2)
      expect(asked).to.equal(looks + 1)
    }
  })

  it('does not go again once it is aborted, and counts as handed over', async () => {
    const abort = new AbortController()
    const remote = await startRemote(
      ({ n, socket }) => {
        if (n === 1) socket.write(answer())
        else socket.destroy()
      },
      {
        greets(connection) {
          if (connection === 2) abort.abort()
          return true
        },
      },
    )
    const { send } = setting().sender()
    await send(remote.serverName)
    const result = await send(remote.serverName, { signal: abort.signal })
    expect(result).to.include({ kind: 'failed', stage: 'aborted', handed: true })
    expect(remote.requests).to.have.length(2)
  })

  it('does not go again where we closed the connection ourselves', async () => {
    const remote = await startRemote(({ n, socket }) => n === 1 && socket.write(answer()))
    const { send, connections } = setting().sender()
    await send(remote.serverName)
    const sending = send(remote.serverName)
    await until(() => remote.requests.length === 2, { what: 'the second request' })
    await connections.close()
    expect(await sending).to.include({ kind: 'failed', handed: true })
    expect(remote.connections).to.equal(1)
  })

  it('uses no other idle connection for the second try', async () => {
    const remote = await startRemote(({ n, socket }) => {
      if (n === 3) setTimeout(() => socket.destroy(), 300)
      else if (n <= 2) setTimeout(() => socket.write(answer()), 100)
      else socket.write(answer())
    })
    const { send, connections } = setting().sender()
    const destination = name(remote.serverName)
    await send(remote.serverName)
    const first = connections.take(destination)
    await send(remote.serverName)
    const second = connections.take(destination)
    if (first === null || second === null) throw new Error('two idle connections')
    connections.giveBack(second)
    const sending = send(remote.serverName)
    await until(() => remote.requests.length === 3, { what: 'the request on the idle connection' })
    connections.giveBack(first)
    expect(await sending).to.include({ kind: 'answered' })
    expect(remote.requests.map(({ connection }) => connection)).to.deep.equal([1, 2, 2, 3])
  })

  it('is seldom: an idle connection goes before the time at which its server says that it closes it', async () => {
    const remote = await startRemote(({ socket }) =>
      socket.write(answer('Keep-Alive: timeout=3, max=100\r\n')),
    )
    const { send, connections } = setting().sender()
    await send(remote.serverName)
    expect(connections.counts().idle).to.equal(1)
    const asked = performance.now()
    await until(() => connections.counts().idle === 0, { what: 'the idle connection to be given up' })
    expect(performance.now() - asked).to.be.below(3_000)
    expect((await send(remote.serverName)).kind).to.equal('answered')
    expect(remote.connections).to.equal(2)
  })

  async function startRemote(does: (request: RawRequest) => unknown, options?: RawRemoteOptions) {
    const remote = await startRawRemote(await setting().authority.issue(), does, options)
    setting().closing(() => remote.close())
    return remote
  }
})
