import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Append } from '../../src/ingest/append.ts'
import { openHttpServer } from '../../src/http/server.ts'
import type { HttpOptions, HttpServer } from '../../src/http/server.ts'
import { makeLog } from '../../src/observe/log.ts'
import { makeMetrics } from '../../src/observe/metrics.ts'
import { STAND_IN } from '../support/check-answers.ts'
import { until } from '../support/poll.ts'
import { fakeAppend, SERVER, TOKENS } from './ingest/stage.ts'

const all = ['ingest', 'admin', 'metrics'] as const
const JSON_TYPE = 'content-type: application/json'

describe('the door', function () {
  this.timeout(60_000)
  let dir: string
  const closers: (() => unknown)[] = []
  before(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-door-'))))
  after(() => rmSync(dir, { recursive: true, force: true }))
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  async function open(more: Partial<HttpOptions> & { append?: Append } = {}): Promise<HttpServer> {
    const server = await openHttpServer({
      listeners: [{ host: '127.0.0.1', port: 0, serve: all }],
      ...{ tokens: () => TOKENS, metricsToken: () => null, metrics: makeMetrics({ runtime: false }) },
      log: makeLog({ level: 'silent', pretty: false }),
      readiness: () => Promise.resolve({ ready: true }),
      ingest: {
        ...{ serverName: SERVER, stickyFieldNames: ['sticky'], append: more.append ?? fakeAppend().append },
        db: { query: () => Promise.reject(new Error('no database')) } as never,
      },
      admin: (app) => void app.get('/v1/status', { config: STAND_IN }, () => ({})),
      ...more,
    })
    closers.push(() => server.close({ graceMs: 100 }))
    return server
  }

  interface Client {
    socket: Socket
    /** What was answered so far. */
    said: () => string
    ended: () => boolean
    send: (...lines: string[]) => void
  }
  async function call(server: HttpServer, at = 0): Promise<Client> {
    const address = server.addresses[at] ?? ''
    const socket = address.startsWith('/')
      ? connect(address)
      : connect(Number(new URL(address).port), '127.0.0.1')
    closers.push(() => socket.destroy())
    let said = ''
    let ended = false
    socket.on('data', (data: Buffer) => (said += data.toString()))
    socket.on('error', () => (ended = true)).on('close', () => (ended = true))
    await once(socket, 'connect')
    const send = (...lines: string[]) => socket.write(`${[...lines, 'host: x'].join('\r\n')}\r\n\r\n`)
    return { socket, said: () => said, ended: () => ended, send }
  }
  const health = (server: HttpServer, at = 0) =>
    new Promise<number>((resolve, reject) => {
      const address = server.addresses[at] ?? ''
      const to = address.startsWith('/')
        ? { socketPath: address }
        : { host: '127.0.0.1', port: new URL(address).port }
      httpRequest({ ...to, path: '/health/live', agent: false }, (answer) => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      })
        .on('error', reject)
        .end()
    })

  const ingestToken = 'authorization: Bearer tok-ingest'
  const refused: [what: string, lines: string[], status: number, phase?: 'starting'][] = [
    ['an unknown path', ['POST /nowhere HTTP/1.1'], 404],
    ['an unknown path, with a token', ['POST /nowhere HTTP/1.1', ingestToken], 404],
    ['a method that is not possible', ['PUT /v1/status HTTP/1.1'], 405],
    ['OPTIONS', ['OPTIONS /v1/ingest HTTP/1.1'], 405],
    ['no token', ['POST /v1/ingest HTTP/1.1'], 401],
    ['an unknown token', ['POST /v1/ingest HTTP/1.1', 'authorization: Bearer x'], 401],
    ['a token of another kind', ['POST /v1/ingest HTTP/1.1', 'authorization: Bearer tok-read'], 403],
    ['a daemon that only starts', ['POST /v1/ingest HTTP/1.1', ingestToken], 503, 'starting'],
    ['a GET with a body', ['GET /health/live HTTP/1.1'], 200],
  ]
  for (const [what, lines, status, phase = 'running'] of refused)
    for (const expecting of [false, true]) {
      it(`answers ${what} without a byte of the body${expecting ? ', and does not ask for it' : ''}`, async () => {
        const client = await call(await open({ phase: () => phase }))
        const expectation = expecting ? ['expect: 100-continue'] : []
        client.send(...lines, JSON_TYPE, 'content-length: 500000', ...expectation)
        await until(() => client.said() !== '', { what: 'an answer', withinMs: 20_000 })
        expect(client.said()).to.match(new RegExp(`^HTTP/1.1 ${status} `))
      })
    }

  it('says 100 Continue to whom it takes a body from', async () => {
    const client = await call(await open())
    client.send(
      ...['POST /v1/ingest HTTP/1.1', ingestToken, JSON_TYPE],
      ...['content-length: 12', 'expect: 100-continue'],
    )
    await until(() => client.said() !== '', { what: 'an answer' })
    expect(client.said()).to.equal('HTTP/1.1 100 Continue\r\n\r\n')
    client.socket.write('{"items":[]}')
    await until(() => client.said().includes('"position"'), { what: 'the answer to the body' })
  })

  for (const [what, line] of [
    ['its length in front', 'content-length: 100000000000'],
    ['chunks without end', 'transfer-encoding: chunked'],
  ] as const) {
    it(`ends a connection whose unread body does not end, with ${what}`, async () => {
      const client = await call(await open())
      client.send('POST /nowhere HTTP/1.1', JSON_TYPE, line)
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
      const write = () => {
        while (!client.ended() && client.socket.write(chunk));
      }
      client.socket.on('drain', write)
      write()
      await until(client.ended, { what: 'the end of the connection', withinMs: 30_000 })
      expect(client.said()).to.match(/^HTTP\/1.1 404 /)
      // What lies in the buffers of two sockets comes to it.
      expect(client.socket.bytesWritten).to.be.below(60 << 20)
    })
  }

  it('ends a connection whose unread body does not come', async () => {
    const client = await call(await open())
    client.send('POST /nowhere HTTP/1.1', JSON_TYPE, 'content-length: 100000')
    await until(client.ended, { what: 'the end of the connection', withinMs: 20_000 })
    expect(client.said()).to.match(/^HTTP\/1.1 404 /)
  })

  it('keeps the connection of a client that sent what it announced', async () => {
    const client = await call(await open())
    client.send('POST /nowhere HTTP/1.1', JSON_TYPE, 'content-length: 100000')
    await until(() => client.said() !== '', { what: 'an answer' })
    client.socket.write('x'.repeat(100_000))
    client.send('GET /health/live HTTP/1.1')
    await until(() => client.said().includes('200 OK'), { what: 'the next answer' })
  })

  for (const kind of ['TCP', 'a Unix socket'] as const) {
    it(`answers health and ingest while silent connections come over ${kind}, and keeps no more than it may`, async () => {
      const fake = fakeAppend()
      let release: () => void = () => undefined
      const held = new Promise<void>((resolve) => (release = resolve))
      let entered = 0
      const append: Append = async (request) => {
        entered += 1
        if (entered === 1) await held
        return fake.append(request)
      }
      const socket = join(dir, `door-${kind.length}`)
      const listeners = [
        { host: '127.0.0.1', port: 0, serve: all },
        { socket, mode: 0o600, serve: all },
      ]
      const server = await open({ append, listeners, mostConnections: 10 })
      const at = kind === 'TCP' ? 0 : 1
      const ingest = ['POST /v1/ingest HTTP/1.1', ingestToken, JSON_TYPE, 'content-length: 12']
      const send = (client: Client) => {
        client.send(...ingest)
        client.socket.write('{"items":[]}')
      }
      const underWay = await call(server, at)
      send(underWay)
      await until(() => entered === 1, { what: 'a request to be under way' })
      const keptAlive = await call(server, at)
      send(keptAlive)
      await until(() => keptAlive.said().includes('200 OK'), { what: 'an answer' })
      const silent: Client[] = []
      for (let n = 0; n < 40; n++) {
        const one = await call(server, at)
        if (n % 2 === 0) one.socket.write('GET /health/li')
        silent.push(one)
      }
      expect([await health(server, 0), await health(server, 1)]).to.deep.equal([200, 200])
      await until(() => silent.filter(({ ended }) => ended()).length >= 32, {
        what: 'silent ones to be ended',
      })
      send(keptAlive)
      await until(() => entered === 3, { what: 'the connection that is kept to be of use' })
      release()
      await until(() => underWay.said().includes('200 OK'), { what: 'the answer' })
    })
  }
})
