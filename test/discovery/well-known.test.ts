import { expect } from 'chai'
import { createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { gzipSync } from 'node:zlib'
import { makeConnectTo } from '../../src/discovery/connect-to.ts'
import type { ConnectTo } from '../../src/discovery/connect-to.ts'
import type { WellKnown } from '../../src/discovery/read-well-known.ts'
import { makeAskWellKnown } from '../../src/discovery/well-known.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { until } from '../support/poll.ts'
import { testDial, vetForTests } from './check-case.ts'
import { ADDRESSES, useLoopback } from './loopback.ts'

const GOOD = '{"m.server":"b.example:1"}'

describe('asking for .well-known', () => {
  const loopback = useLoopback()
  const forever = new AbortController().signal
  let closers: (() => unknown)[] = []
  afterEach(() => {
    for (const close of closers.splice(0)) close()
    closers = []
  })

  interface Asking {
    readonly addresses?: (host: string) => readonly string[]
    readonly limitMs?: number
    readonly port?: number
    readonly stop?: AbortSignal
  }
  function ask(
    host: string,
    { addresses = () => [ADDRESSES.serves], limitMs, port, stop = forever }: Asking = {},
  ) {
    const connectTo = makeConnectTo({
      lookUpHost: (name) =>
        Promise.resolve({
          kind: 'found',
          records: addresses(name).map((address) => ({ address })),
          ttlMs: 0,
        }),
      vet: vetForTests,
      proxyFor: () => null,
      dial: testDial(loopback()),
    })
    const asking = makeAskWellKnown({
      ...{
        connectTo,
        httpsPort: port ?? loopback().httpsPort,
        userAgent: 'limpet/1.2.3',
        clock: systemClock,
      },
      limitMs: limitMs ?? 30_000,
    })
    return asking(host, stop)
  }

  /** A server that does with each connection what the test says, after TLS. Gives its port. */
  async function raw(serve: (socket: TLSSocket) => void): Promise<{ port: number; open: () => number }> {
    const sockets = new Set<TLSSocket>()
    const server: Server = createTlsServer(
      await loopback().authority.issue({ names: ['a.example'] }),
      (socket) => {
        sockets.add(socket)
        socket.on('error', () => undefined).once('close', () => sockets.delete(socket))
        socket.once('data', () => serve(socket))
      },
    )
    server.listen(0, ADDRESSES.serves)
    await once(server, 'listening')
    closers.push(() => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    return { port: (server.address() as AddressInfo).port, open: () => sockets.size }
  }
  const answering = (text: string) => raw((socket) => socket.end(text, 'latin1'))
  const why = (answer: WellKnown) => (answer.kind === 'failed' ? answer.why : answer.kind)

  it('sends what a web server expects, under the name of each hop', async () => {
    const seen: unknown[] = []
    loopback().serve((request, response) => {
      const { servername } = request.socket as unknown as { servername: string }
      seen.push([request.method, request.url, request.headers, servername])
      if (request.headers.host === 'a.example')
        response.writeHead(302, { location: 'https://w.example/x?y#z' }).end()
      else response.end(GOOD)
    })
    expect(await ask('a.example')).to.include({
      kind: 'delegated',
      to: 'b.example:1',
      from: 'https://w.example/x?y',
    })
    const headers = (host: string) => ({
      ...{ host, 'user-agent': 'limpet/1.2.3', 'accept-encoding': 'identity', connection: 'close' },
    })
    expect(seen).to.deep.equal([
      ['GET', '/.well-known/matrix/server', headers('a.example'), 'a.example'],
      ['GET', '/x?y', headers('w.example'), 'w.example'],
    ])
  })

  it('looks a name up once a hop, and connects to the very address that was vetted', async () => {
    const lookups: string[] = []
    // The first answer is allowed; whoever asked again would be sent to the forbidden address.
    const addresses = (host: string) => {
      lookups.push(host)
      return [lookups.filter((one) => one === host).length === 1 ? ADDRESSES.serves : ADDRESSES.forbidden]
    }
    loopback().serve((request, response) => {
      if (request.headers.host === 'a.example')
        response.writeHead(302, { location: 'https://w.example/x' }).end()
      else response.end(GOOD)
    })
    expect(why(await ask('a.example', { addresses }))).to.equal('delegated')
    expect(lookups).to.deep.equal(['a.example', 'w.example'])
    expect(why(await ask('a.example', { addresses }))).to.equal(
      'no address may be connected to: 127.0.66.1 is in a forbidden network',
    )
    expect(loopback().forbidden()).to.equal(0)
  })

  it('goes to the port that a redirect names', async () => {
    const other = await answering(`HTTP/1.1 200 OK\r\nContent-Length: ${GOOD.length}\r\n\r\n${GOOD}`)
    loopback().serve((_request, response) =>
      response.writeHead(307, { location: `https://a.example:${other.port}/` }).end(),
    )
    expect(why(await ask('a.example'))).to.equal('delegated')
  })

  it('reads a body without a length, to its end, and one in chunks', async () => {
    for (const text of [
      `HTTP/1.0 200 OK\r\n\r\n${GOOD}`,
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${GOOD.length.toString(16)}\r\n${GOOD}\r\n0\r\n\r\n`,
      `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n${GOOD}`,
    ]) {
      expect(why(await ask('a.example', { port: (await answering(text)).port }))).to.equal('delegated')
    }
  })

  const odd: [what: string, text: string, says: RegExp][] = [
    ['is not HTTP', 'SSH-2.0-OpenSSH\r\n', /the answer is not HTTP/],
    [
      'is cut off in its body',
      `HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n${GOOD}`,
      /reset|cut off|aborted/,
    ],
    ['is cut off in its head', 'HTTP/1.1 200 OK\r\nContent-', /reset|closed|hang up/],
    ['has chunks that are none', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz`, /not HTTP/],
    [
      'has headers of 20 KB',
      `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(20_000)}\r\n\r\n${GOOD}`,
      /headers|not HTTP/i,
    ],
    ['has 5,000 headers', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(5000)}\r\n${GOOD}`, /headers|not HTTP/i],
    ['is not UTF-8', `HTTP/1.1 200 OK\r\n\r\n{"m.server":"\xff"}`, /not UTF-8/],
    ['says nothing and ends', '', /reset|closed|hang up/],
  ]
  for (const [what, text, says] of odd) {
    it(`fails where the answer ${what}`, async () => {
      const { port, open } = await answering(text)
      expect(why(await ask('a.example', { port }))).to.match(says)
      await until(() => open() === 0, { what: 'the connections to close' })
    })
  }

  it('does not decompress', async () => {
    loopback().serve((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(1_000_000))),
    )
    expect(why(await ask('a.example'))).to.match(/not UTF-8|not JSON/)
  })

  it('reads no more than 50 KiB of a body without end, and leaves', async () => {
    let written = 0
    const { port, open } = await raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      const more = () => {
        while (!socket.destroyed && socket.write('x'.repeat(16_384))) written += 16_384
      }
      socket.on('drain', more)
      more()
    })
    expect(why(await ask('a.example', { port }))).to.equal('the body is longer than 50 KiB')
    await until(() => open() === 0, { what: 'the connections to close' })
    // What the kernel's buffers took.
    expect(written).to.be.below(16 * 1024 * 1024)
  })

  const floods = [
    'HTTP/1.1 103 Early Hints\r\n\r\n',
    '\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n',
  ]
  for (const flood of floods) {
    it(`counts all bytes, not only those of the body: ${JSON.stringify(flood)} without end`, async () => {
      const { port, open } = await raw((socket) => {
        const more = () => {
          while (!socket.destroyed && socket.write(flood.repeat(100)));
        }
        socket.on('drain', more)
        more()
      })
      expect(why(await ask('a.example', { port }))).to.match(
        /sent more than any answer|not HTTP|headers|reset/,
      )
      await until(() => open() === 0, { what: 'the connections to close' })
    })
  }

  it('takes a body of exactly 50 KiB', async () => {
    const body = GOOD.padEnd(50 * 1024)
    loopback().serve((_request, response) => response.end(body))
    expect(why(await ask('a.example'))).to.equal('delegated')
    loopback().serve((_request, response) => response.end(`${body} `))
    expect(why(await ask('a.example'))).to.equal('the body is longer than 50 KiB')
  })

  const slow: [what: string, serve: (socket: TLSSocket) => void][] = [
    ['no byte', () => undefined],
    ['half a head', (socket) => socket.write('HTTP/1.1 200 OK\r\nx: ')],
    ['half a body', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{')],
    ['a byte now and then', (socket) => drip(socket, 'HTTP/1.1 200 OK\r\n\r\n', '{')],
    ['early hints without end', (socket) => drip(socket, '', 'HTTP/1.1 103 Early Hints\r\n\r\n')],
  ]
  for (const [what, serve] of slow) {
    it(`ends in time where ${what} comes, and leaves`, async () => {
      const { port, open } = await raw(serve)
      expect(await ask('a.example', { port, limitMs: 200 })).to.deep.equal({
        ...{ kind: 'failed', arrived: false, why: 'no answer within 0.2 s' },
      })
      await until(() => open() === 0, { what: 'the connections to close' })
    })
  }

  it('ends in time where TLS is not answered, and where each hop takes a while', async () => {
    const silent = await ask('a.example', { addresses: () => [ADDRESSES.silent], limitMs: 200 })
    expect(why(silent)).to.equal('no answer within 0.2 s')
    let hop = 0
    loopback().serve((_request, response) => {
      setTimeout(() => response.writeHead(302, { location: `/${++hop}` }).end(), 60)
    })
    expect(why(await ask('a.example', { limitMs: 200 }))).to.match(/^no answer within 0.2 s/)
    expect(hop).to.be.below(6)
  })

  it('ends when it is told to', async () => {
    const stop = new AbortController()
    const { port, open } = await raw(() => stop.abort())
    expect(await ask('a.example', { port, stop: stop.signal })).to.include({ kind: 'failed', arrived: false })
    await until(() => open() === 0, { what: 'the connections to close' })
    expect(await ask('a.example', { port, stop: stop.signal })).to.include({ kind: 'failed', arrived: false })
  })

  it('closes a connection that opens when nobody waits for it any more', async () => {
    const { port, open } = await raw(() => undefined)
    let goOn = (): void => undefined
    const ended = new Promise<void>((resolve) => (goOn = resolve))
    const dial = testDial(loopback())
    const late: ConnectTo = async () => {
      const target = { addresses: [ADDRESSES.serves], port, tlsName: 'a.example', sni: 'a.example' }
      const dialled = await dial({ ...target, hostHeader: 'a.example' }, forever)
      await ended
      return dialled.kind === 'open' ? { kind: 'open', socket: dialled.socket } : dialled
    }
    const about = { httpsPort: port, userAgent: 'limpet/1.2.3', clock: systemClock, limitMs: 200 }
    expect(why(await makeAskWellKnown({ connectTo: late, ...about })('a.example', forever))).to.match(
      /^no answer/,
    )
    await until(() => open() === 1, { what: 'the connection to open' })
    goOn()
    await until(() => open() === 0, { what: 'the connection to close' })
  })

  it('says which failures every process would see', async () => {
    const arrived = async (text: string) => {
      const answer = await ask('a.example', { port: (await answering(text)).port })
      return answer.kind === 'failed' && answer.arrived
    }
    expect(await arrived('HTTP/1.1 503 No\r\n\r\n')).to.equal(true)
    expect(await arrived('HTTP/1.1 200 OK\r\n\r\n{}')).to.equal(true)
    expect(await arrived('HTTP/1.1 301 Go\r\nLocation: http://x.example\r\n\r\n')).to.equal(true)
    expect(await arrived('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}')).to.equal(false)
    expect(await arrived('')).to.equal(false)
  })

  it('leaves no connection behind', async () => {
    const { port, open } = await answering(
      `HTTP/1.1 200 OK\r\nContent-Length: ${GOOD.length}\r\nConnection: keep-alive\r\n\r\n${GOOD}`,
    )
    for (let i = 0; i < 5; i++) expect(why(await ask('a.example', { port }))).to.equal('delegated')
    await until(() => open() === 0, { what: 'the connections to close' })
  })
})

/** `piece` every few milliseconds, for as long as the other side listens. */
function drip(socket: TLSSocket, first: string, piece: string): void {
  socket.write(first)
  const timer = setInterval(() => socket.write(piece), 5)
  socket.once('close', () => clearInterval(timer))
}
