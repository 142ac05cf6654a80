import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { request as httpRequest } from 'node:http'
import { ListenError, openHttpServer } from '../../src/http/server.ts'
import type { HttpOptions, HttpServer, Phase } from '../../src/http/server.ts'
import type { Append } from '../../src/ingest/append.ts'
import { makeLog } from '../../src/observe/log.ts'
import { makeMetrics } from '../../src/observe/metrics.ts'
import { STAND_IN } from '../support/check-answers.ts'
import { until } from '../support/poll.ts'
import { fakeAppend, SERVER, TOKENS } from './ingest/stage.ts'

const all = ['ingest', 'admin', 'metrics'] as const
const free = { host: '127.0.0.1', port: 0, serve: all }

describe('our own listeners', () => {
  let dir: string
  let servers: HttpServer[] = []
  before(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-http-'))))
  after(() => rmSync(dir, { recursive: true, force: true }))
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.close()))
    servers = []
  })

  const open = async (more: Partial<HttpOptions> & { append?: Append } = {}) => {
    const server = await openHttpServer({
      listeners: [free],
      tokens: () => TOKENS,
      metricsToken: () => null,
      metrics: makeMetrics({ runtime: false }),
      log: makeLog({ level: 'silent', pretty: false }),
      readiness: () => Promise.resolve({ ready: true }),
      ingest: {
        serverName: SERVER,
        stickyFieldNames: ['sticky'],
        append: more.append ?? fakeAppend().append,
        db: { query: () => Promise.reject(Object.assign(new Error('gone'), { code: '57P01' })) } as never,
      },
      admin: (app) => void app.get('/v1/status', { config: STAND_IN }, () => ({})),
      ...more,
    })
    servers.push(server)
    return server
  }
  const get = async (url: string, init: RequestInit = {}) => {
    const answer = await fetch(url, { headers: { authorization: 'Bearer tok-read' }, ...init })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const ingestRequest = {
    method: 'POST',
    headers: { authorization: 'Bearer tok-ingest', 'content-type': 'application/json' },
  }
  const ingest = (base = '') => fetch(`${base}/v1/ingest`, { ...ingestRequest, body: '{"items":[]}' })

  it('serve what each of them is for, and health everywhere', async () => {
    const { addresses } = await open({
      listeners: [
        { ...free, serve: ['ingest'] },
        { ...free, serve: ['admin'] },
        { ...free, serve: ['metrics'] },
      ],
    })
    const statuses = async (path: string) =>
      Promise.all(
        addresses.map(
          async (base) =>
            (await fetch(`${base}${path}`, { headers: { authorization: 'Bearer tok-read' } })).status,
        ),
      )
    expect(await statuses('/health/live')).to.deep.equal([200, 200, 200])
    expect(await statuses('/v1/status')).to.deep.equal([404, 200, 404])
    expect(await statuses('/metrics')).to.deep.equal([404, 404, 200])
    expect(await statuses('/openapi.json')).to.deep.equal([200, 200, 404])
    expect(await statuses('/docs')).to.deep.equal([200, 200, 404])
    expect(await statuses('/v1/ingest')).to.deep.equal([405, 404, 404])
  })

  it('without the role ingest serve health and metrics only', async () => {
    const { addresses } = await open({ ingest: null, admin: null })
    const [base = ''] = addresses
    expect((await get(`${base}/health/ready`)).status).to.equal(200)
    expect((await fetch(`${base}/metrics`)).status).to.equal(200)
    for (const path of ['/v1/ingest', '/v1/status', '/v1/rooms', '/openapi.json', '/docs'])
      expect((await get(base + path)).body).to.include({ errcode: 'M_UNRECOGNIZED' })
  })

  it('answer unknown paths with 404 and unknown methods with 405, as Matrix errors', async () => {
    const [base = ''] = (await open()).addresses
    for (const path of ['/', '/v2', '/v1/blocks', '/v1/audit', '/openapi.yaml']) {
      const { status, body } = await get(base + path)
      expect(status, path).to.equal(404)
      expect(body).to.include({ errcode: 'M_UNRECOGNIZED' })
    }
    const { status, body } = await get(`${base}/v1/rooms/!a`, { method: 'DELETE' })
    expect(status).to.equal(405)
    expect(body).to.include({ errcode: 'M_UNRECOGNIZED' })
    expect((await get(`${base}/v1/rooms/%zz`)).body).to.include({ errcode: 'M_INVALID_PARAM' })
  })

  it('answer what is no HTTP with a Matrix error too', async () => {
    const [base = ''] = (await open()).addresses
    const socket = connect(Number(new URL(base).port), '127.0.0.1')
    socket.end('hello there\r\n\r\n')
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(data.toString()).to.match(/^HTTP\/1\.1 400 [^]*\{"errcode":"M_UNRECOGNIZED"/)
  })

  for (const [how, large] of [
    ['with its length in front', `Buffer.alloc(40 << 20, ' ')`],
    ['in chunks', `ReadableStream.from(Array.from({ length: 640 }, () => Buffer.alloc(65_536, ' ')))`],
  ] as const) {
    it(`answer a body of more than 16 MiB, ${how}, with 413, also while it is being sent`, async () => {
      const [base = ''] = (await open()).addresses
      // In a process of its own: only then it is still writing when the answer comes.
      const script = `
        const options = ${JSON.stringify(ingestRequest)}
        const ask = (body) => fetch('${base}/v1/ingest', { ...options, body, duplex: 'half' })
        const told = async () => {
          const answer = await ask(${large})
          return answer.status + ' ' + (await answer.json()).errcode
        }
        for (let time = 0; time < 8; time += 1) console.log(await told().catch((error) => String(error.cause)))
        console.log((await ask('{"items":[]}')).status)`
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
      expect(stdout.trim().split('\n')).to.deep.equal([
        ...Array.from({ length: 8 }, () => '413 M_TOO_LARGE'),
        '200',
      ])
    })
  }

  it('say that the database is away with 503', async () => {
    const [base = ''] = (await open()).addresses
    const { status, body } = await get(`${base}/v1/rooms`)
    expect(status).to.equal(503)
    expect(body).to.include({ errcode: 'M_LIMPET_UNAVAILABLE' })
  })

  it('are not ready, and say why, while something is missing', async () => {
    let why: string | undefined = 'the queue does not answer'
    const [base = ''] = (await open({ readiness: () => Promise.resolve({ ready: why === undefined, why }) }))
      .addresses
    const { status, body } = await get(`${base}/health/ready`)
    expect(status).to.equal(503)
    expect(body['error']).to.equal('the queue does not answer')
    expect((await get(`${base}/health/live`)).status).to.equal(200)
    why = undefined
    expect((await get(`${base}/health/ready`)).status).to.equal(200)
  })

  it('answer 503 while the daemon starts and while it stops, but for health', async () => {
    let phase: Phase = 'starting'
    const [base = ''] = (await open({ phase: () => phase })).addresses
    const answer = await ingest(base)
    expect(answer.status).to.equal(503)
    expect(await answer.json()).to.include({ errcode: 'M_LIMPET_UNAVAILABLE' })
    expect((await get(`${base}/health/live`)).status).to.equal(200)
    phase = 'running'
    expect((await ingest(base)).status).to.equal(200)
    phase = 'stopping'
    const stopping = await ingest(base)
    expect(stopping.status).to.equal(503)
    expect(stopping.headers.get('connection')).to.equal('close')
    expect((await get(`${base}/health/live`)).status).to.equal(200)
  })

  it('answer 503 with what keeps the daemon from taking more work, but for health', async () => {
    let unfit: string | null = 'the schema is another one'
    const [base = ''] = (await open({ unfit: () => unfit })).addresses
    const answer = await ingest(base)
    expect(answer.status).to.equal(503)
    expect(await answer.json()).to.deep.equal({
      errcode: 'M_LIMPET_UNAVAILABLE',
      error: 'the schema is another one; this process takes no more work',
    })
    expect(answer.headers.get('connection')).to.not.equal('close')
    expect((await get(`${base}/health/live`)).status).to.equal(200)
    unfit = null
    expect((await ingest(base)).status).to.equal(200)
  })

  it('let requests in flight end when they close, and take no new ones', async () => {
    const fake = fakeAppend()
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    let entered = 0
    const server = await open({
      append: async (request) => {
        entered += 1
        await held
        return fake.append(request)
      },
    })
    const [base = ''] = server.addresses
    const { port } = new URL(base)
    const head =
      'POST /v1/ingest HTTP/1.1\r\nhost: x\r\nauthorization: Bearer tok-ingest\r\ncontent-type: application/json\r\n'
    const rest = `content-length: 12\r\n\r\n{"items":[]}`
    const socket = connect(Number(port), '127.0.0.1')
    let said = ''
    socket.on('data', (data) => (said += data.toString()))
    socket.write(head + rest)
    await until(() => entered === 1, { what: 'the request to be under way' })
    const closed = server.close()
    // Behind the first one, on the same connection.
    socket.write(head + rest)
    const late = await ingest(base).then(
      ({ status }) => status,
      () => 'refused',
    )
    expect(late).to.be.oneOf(['refused', 503])
    expect(said, 'still under way').to.equal('')
    release()
    await closed
    await until(() => said !== '', { what: 'the first one to be answered' })
    expect(said).to.match(/^HTTP\/1\.1 200 /)
    expect(entered).to.equal(1)
    servers = []
  })

  it('end what does not end within the grace', async () => {
    let entered = false
    const server = await open({
      append: () => {
        entered = true
        return new Promise(() => undefined)
      },
    })
    const [base = ''] = server.addresses
    const request = ingest(base).then(
      () => 'answered',
      () => 'cut off',
    )
    await until(() => entered, { what: 'the request to be under way' })
    await server.close({ graceMs: 100 })
    expect(await request).to.equal('cut off')
    servers = []
  })

  it('may be Unix sockets with a mode of their own', async () => {
    const socket = join(dir, 's1')
    const { addresses } = await open({ listeners: [{ socket, mode: 0o600, serve: all }] })
    expect(addresses).to.deep.equal([socket])
    expect(statSync(socket).mode & 0o777).to.equal(0o600)
    const status = await new Promise((resolve, reject) => {
      const request = httpRequest({ socketPath: socket, path: '/health/live' }, (answer) => {
        resolve(answer.statusCode)
        answer.resume()
      })
      request.on('error', reject).end()
    })
    expect(status).to.equal(200)
  })

  it('as Unix sockets are never wider than asked, not even in the moment in which they are made', async () => {
    const socket = join(dir, 's3')
    const umask = process.umask(0)
    const listen = Reflect.get(Server.prototype, 'listen') as (...given: unknown[]) => unknown
    let first: number | undefined
    Server.prototype.listen = function (this: Server, ...given: unknown[]) {
      const result = listen.apply(this, given)
      first ??= statSync(socket, { throwIfNoEntry: false })?.mode
      return result as Server
    } as never
    try {
      await open({ listeners: [{ socket, mode: 0o640, serve: all }] })
    } finally {
      Server.prototype.listen = listen as never
      expect(process.umask(umask)).to.equal(0)
    }
    expect((first ?? 0) & 0o777).to.equal(0o640)
    expect(statSync(socket).mode & 0o777).to.equal(0o640)
  })

  it('take over the socket of a process that was killed, and leave a living one its own', async () => {
    const socket = join(dir, 's2')
    const script = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => console.log('up'))`
    const other = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(other.stdout, 'data')
    const busy = await refusedListen([{ socket, mode: 0o660, serve: all }])
    expect(busy.message).to.equal(
      `can't listen on ${socket}: somebody else listens there; \`listen\` or --listen names another address`,
    )
    other.kill('SIGKILL')
    await once(other, 'exit')
    expect(existsSync(socket)).to.equal(true)
    await open({ listeners: [{ socket, mode: 0o660, serve: all }] })
  })

  async function refusedListen(listeners: HttpOptions['listeners']): Promise<ListenError> {
    try {
      await open({ listeners })
    } catch (error) {
      expect(error).to.be.instanceOf(ListenError)
      return error as ListenError
    }
    throw new Error('it listens')
  }

  it('leave alone a file that is no socket', async () => {
    const path = join(dir, 'file')
    writeFileSync(path, 'mine')
    expect((await refusedListen([{ socket: path, mode: 0o660, serve: all }])).message).to.include(path)
    expect(statSync(path).isFile()).to.equal(true)
  })

  it('say in one line which address they cannot have, and open none then', async () => {
    const { addresses } = await open()
    const port = Number(new URL(addresses[0] ?? '').port)
    const error = await refusedListen([free, { ...free, port }])
    expect(error.message).to.equal(
      `can't listen on 127.0.0.1:${port}: somebody else listens there; \`listen\` or --listen names another address`,
    )
    expect((await refusedListen([{ ...free, host: '192.0.2.1', port: 80 }])).message).to.include(
      'does not have that address',
    )
  })
})
