import { expect } from 'chai'
import type { Socket } from 'node:net'
import { makeHandshakeGate } from '../../src/wire/handshake-gate.ts'
import { makeProxyFor } from '../../src/allow/no-proxy.ts'
import { parseProxy } from '../../src/allow/proxy-url.ts'
import { makeVet } from '../../src/allow/vet.ts'
import { startBlackHole } from '../support/black-hole.ts'
import { until } from '../support/poll.ts'
import { startConnectProxy } from './connect-proxy.ts'
import { allClosed, listen, makeDialler, silent, somePort, speaking, targetAt } from './dialling.ts'
import { useSetting } from './setting.ts'

const FOR_EVER = 600_000

describe('through a proxy', () => {
  const setting = useSetting()
  const good = async () => speaking(await setting().authority.issue({ names: ['b.example'] }))
  const through = (url: string, port: number, addresses = ['b.example']) =>
    targetAt(addresses, port, { proxy: parseProxy(url) })

  it('a transaction arrives, by the name, which nobody here looked up', async () => {
    const tls = await setting().authority.issue({ names: ['b.example'] })
    const server = await setting().homeserver({ tls, hostName: 'b.example' })
    const proxy = await startConnectProxy(setting())
    const proxyFor = makeProxyFor(parseProxy(`http://127.0.0.1:${proxy.port}`), [])
    const { send } = setting().sender({ proxyFor })
    expect(await send(server.serverName)).to.include({ kind: 'answered' })
    expect(await send(server.serverName)).to.include({ kind: 'answered' })
    expect(proxy.asked).to.deep.equal([server.serverName])
    expect(proxy.hosts).to.deep.equal([server.serverName])
    expect(server.connections).to.equal(1)
  })

  it('not to what is in no_proxy: that is looked up and vetted here', async () => {
    const tls = await setting().authority.issue({ names: ['b.example'] })
    const server = await setting().homeserver({ tls, hostName: 'b.example' })
    const proxy = await startConnectProxy(setting())
    const proxyFor = makeProxyFor(parseProxy(`http://127.0.0.1:${proxy.port}`), ['.example'])
    const { send } = setting().sender({
      proxyFor,
      lookup: () => Promise.resolve([{ address: '127.0.0.1' }]),
    })
    expect(await send(server.serverName)).to.include({ kind: 'answered' })
    expect(proxy.asked).to.deep.equal([])
  })

  it('over TLS to the proxy, whose own certificate is checked, with TLS to the destination inside', async () => {
    const tls = await setting().authority.issue({ names: ['b.example'] })
    const server = await setting().homeserver({ tls, hostName: 'b.example' })
    const issue = (names: string[]) => setting().authority.issue({ names })
    const proxy = await startConnectProxy(setting(), { tls: await issue(['proxy.example']) })
    const lookup = () => Promise.resolve([{ address: '127.0.0.1' }])
    const url = `https://proxy.example:${proxy.port}`
    const { open } = makeDialler(setting(), { lookup })
    const dialled = await open(through(url, server.port))
    expect(dialled).to.include({ kind: 'open', address: 'b.example' })
    const other = await startConnectProxy(setting(), { tls: await issue(['c.example']) })
    const refused = await open(through(`https://proxy.example:${other.port}`, server.port))
    expect(refused).to.deep.equal({
      ...{ kind: 'failed', stage: 'connect' },
      message: `proxy proxy.example:${other.port}: certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)`,
    })
    expect(other.asked).to.deep.equal([])
    // A whole answer comes through both layers.
    const proxyFor = makeProxyFor(parseProxy(url), [])
    const { send } = setting().sender({ proxyFor, proxyLookup: lookup })
    expect(await send(server.serverName)).to.include({ kind: 'answered' })
  })

  it('with a user name and a password, and says which is missing or wrong without telling it', async () => {
    const server = await listen(setting(), '127.0.0.1', 0, await good())
    const proxy = await startConnectProxy(setting(), { credentials: 'limpet:s:e%c ret' })
    const at = `127.0.0.1:${proxy.port}`
    const { open } = makeDialler(setting())
    const dialled = await open(through(`http://limpet:s%3Ae%25c%20ret@${at}`, server.port))
    expect(dialled).to.include({ kind: 'open' })
    for (const [url, why] of [
      [`http://${at}`, 'it wants a user name and a password (407)'],
      [`http://limpet:wrong@${at}`, 'it does not accept our user name and password (407)'],
    ] as const)
      expect(await open(through(url, server.port))).to.deep.equal({
        ...{ kind: 'failed', stage: 'connect', message: `proxy ${at}: ${why}` },
      })
  })

  it('whose name has several addresses of which one is dead', async () => {
    const server = await listen(setting(), '127.0.0.1', 0, await good())
    const proxy = await startConnectProxy(setting())
    const hole = await startBlackHole('127.0.0.7', proxy.port)
    setting().closing(() => hole.close())
    const lookup = () => Promise.resolve([{ address: '127.0.0.7' }, { address: '127.0.0.1' }])
    const { open } = makeDialler(setting(), { lookup, connectTimeoutMs: FOR_EVER })
    expect(await open(through(`http://p.example:${proxy.port}`, server.port))).to.include({ kind: 'open' })
  })

  it('what a handshake with it waits for its place at the gate counts for nothing', async () => {
    const server = await listen(setting(), '127.0.0.1', 0, await good())
    const tls = await setting().authority.issue()
    const proxy = await startConnectProxy(setting(), { tls })
    const gate = makeHandshakeGate({ atOnce: 1, slotMs: FOR_EVER })
    const leave = await gate.enter(new AbortController().signal)
    const { open } = makeDialler(setting(), { gate, connectTimeoutMs: 1_000 })
    const dialling = open(through(`https://127.0.0.1:${proxy.port}`, server.port))
    await until(() => proxy.open.size === 1, { what: 'the connection' })
    const free = performance.now() + 1_100
    await until(() => performance.now() > free, { what: 'the place to be free' })
    leave?.()
    expect(await dialling).to.include({ kind: 'open' })
  })

  it('the certificate behind it is checked as ever', async () => {
    const tls = await setting().authority.issue({ names: ['c.example'] })
    const server = await listen(setting(), '127.0.0.1', 0, speaking(tls))
    const proxy = await startConnectProxy(setting())
    const dialled = await makeDialler(setting()).open(through(`http://127.0.0.1:${proxy.port}`, server.port))
    expect(dialled).to.include({
      stage: 'tls',
      message: 'certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)',
    })
    await until(() => proxy.open.size === 0, { what: 'the connections to be closed' })
  })

  describe('what goes wrong', () => {
    const answering = (text: string) => ({ answers: (socket: Socket) => void socket.resume().write(text) })
    const wrong: [string, string, (at: string) => string][] = [
      [
        '403',
        'HTTP/1.1 403 Forbidden by policy\r\n\r\n',
        (at) => `the proxy ${at} answered 403 Forbidden by policy`,
      ],
      ['502', 'HTTP/1.0 502 Bad Gateway\r\nX: y\r\n\r\n', (at) => `the proxy ${at} answered 502 Bad Gateway`],
      ['a status without words', 'HTTP/1.1 503\r\n\r\n', (at) => `the proxy ${at} answered 503`],
      ['an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n', (at) => `the proxy ${at} answered 100 Continue`],
      ['escapes', 'HTTP/1.1 500 \u001b[2J\u0007!\r\n\r\n', (at) => `the proxy ${at} answered 500 [2J !`],
      [
        'another protocol',
        '220 mail.example ESMTP\r\n\r\n',
        (at) => `proxy ${at}: what listens there is not an HTTP proxy`,
      ],
      [
        'another version',
        'HTTP/2 200 OK\r\n\r\n',
        (at) => `proxy ${at}: what listens there is not an HTTP proxy`,
      ],
      [
        'a head without end',
        `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(5000)}`,
        (at) => `proxy ${at}: what listens there is not an HTTP proxy`,
      ],
      [
        'bytes before TLS',
        'HTTP/1.1 200 OK\r\n\r\nhello',
        (at) => `proxy ${at}: it sent 5 bytes before TLS began`,
      ],
      [
        'a body with its 200',
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
        (at) => `proxy ${at}: it sent 2 bytes before TLS began`,
      ],
    ]
    for (const [what, text, message] of wrong)
      it(`${what}: said so`, async () => {
        const proxy = await startConnectProxy(setting(), answering(text))
        const at = `127.0.0.1:${proxy.port}`
        const dialled = await makeDialler(setting()).open(through(`http://${at}`, 443))
        expect(dialled).to.deep.equal({ kind: 'failed', stage: 'connect', message: message(at) })
        await until(() => proxy.open.size === 0, { what: 'the connection to be closed' })
      })

    it('takes an answer in pieces, and one with a Content-Length that means nothing', async () => {
      const server = await listen(setting(), '127.0.0.1', 0, await good())
      const { connect } = await import('node:net')
      const proxy = await startConnectProxy(setting(), {
        answers: (socket) => {
          const upstream = connect(server.port, '127.0.0.1', () => {
            const bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
            const write = (i: number) => {
              if (i === bytes.length) socket.pipe(upstream).pipe(socket)
              else socket.write(bytes.slice(i, i + 1), () => setImmediate(() => write(i + 1)))
            }
            write(0)
          })
          socket.on('close', () => upstream.destroy())
        },
      })
      const dialled = await makeDialler(setting()).open(
        through(`http://127.0.0.1:${proxy.port}`, server.port),
      )
      expect(dialled).to.include({ kind: 'open' })
    })

    it('nothing listens, no answer, an end, no such name: each in its own words', async () => {
      const port = await somePort()
      const hole = await startBlackHole('127.0.0.1', port)
      setting().closing(() => hole.close())
      const mute = await startConnectProxy(setting(), { answers: silent })
      const closing = await startConnectProxy(setting(), { answers: (socket) => socket.resume().end() })
      const quick = makeDialler(setting(), { connectTimeoutMs: 300 })
      const patient = makeDialler(setting())
      const lookup = () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }))
      const nameless = makeDialler(setting(), { lookup })
      const cases = [
        [patient, `127.0.0.2:${port}`, 'nothing listens there (ECONNREFUSED)'],
        [quick, `127.0.0.1:${port}`, 'no connection in time (ETIMEDOUT)'],
        [quick, `127.0.0.1:${mute.port}`, 'no answer in time'],
        [patient, `127.0.0.1:${closing.port}`, 'it closed the connection'],
        [nameless, 'p.example:3128', 'the name has no address (ENOTFOUND)'],
      ] as const
      for (const [{ open }, at, why] of cases)
        expect(await open(through(`http://${at}`, 443))).to.deep.equal({
          ...{ kind: 'failed', stage: 'connect', message: `proxy ${at}: ${why}` },
        })
      await until(() => mute.open.size + closing.open.size === 0, { what: 'all to be closed' })
    })

    it('a dial that is ended leaves nothing behind, at whatever it waits', async () => {
      const mute = await startConnectProxy(setting(), { answers: silent })
      const server = await listen(setting(), '127.0.0.1', 0, silent)
      const proxy = await startConnectProxy(setting())
      const waiting: [() => boolean, string, Parameters<typeof makeDialler>[1]][] = [
        [() => mute.asked.length === 1, `http://127.0.0.1:${mute.port}`, {}],
        [() => server.accepted.length === 1, `http://127.0.0.1:${proxy.port}`, {}],
        [() => true, 'http://p.example:1', { lookup: () => new Promise(() => undefined) }],
      ]
      for (const [isWaiting, url, needs] of waiting) {
        const abort = new AbortController()
        const { open } = makeDialler(setting(), { connectTimeoutMs: FOR_EVER, ...needs })
        const dialling = open(through(url, server.port), null, abort.signal)
        await until(isWaiting, { what: 'the dial to wait' })
        abort.abort()
        expect(await dialling).to.include({ kind: 'failed', stage: 'aborted' })
      }
      await allClosed([server])
      await until(() => mute.open.size + proxy.open.size === 0, { what: 'all to be closed' })
    })
  })

  it('is not asked for a forbidden address in any spelling, for localhost, or for what is not a name', async () => {
    const proxy = await startConnectProxy(setting())
    const { open } = makeDialler(setting(), { vet: makeVet({}) })
    for (const host of [
      ...[
        '127.0.0.1',
        '10.0.0.1',
        '127.1',
        '2130706433',
        '0x7f000001',
        '0177.0.0.1',
        '0x7f.1',
        '0x',
        '127.0.0.1.',
      ],
      ...[
        '::1',
        '[::1]',
        '::1%lo',
        '::ffff:127.0.0.1',
        '64:ff9b::7f00:1',
        'localhost',
        'LOCALHOST',
        'a.localhost',
        'localhost.',
      ],
      ...[
        '',
        '.',
        'b.example.',
        'b.example:1',
        'b.example\r\nX: y',
        'b example',
        'b.example/x',
        'a@b.example',
        'bücher.example',
      ],
    ]) {
      const dialled = await open(through(`http://127.0.0.1:${proxy.port}`, 443, [host]))
      expect(dialled, host).to.include({ kind: 'failed', stage: 'address' })
    }
    expect(proxy.asked).to.deep.equal([])
    await open(through(`http://127.0.0.1:${proxy.port}`, 9, ['8.8.8.8']))
    await open(through(`http://127.0.0.1:${proxy.port}`, 9, ['2001:4860::1']))
    expect(proxy.asked).to.deep.equal(['8.8.8.8:9', '[2001:4860::1]:9'])
  })
})
