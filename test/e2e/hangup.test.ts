/**
 * SIGHUP, sent to real processes: what they do next is done by what their files say now. Each test changes files, sends the signal, and
 * looks at what arrives at remote servers, or is answered.
 */
import { expect } from 'chai'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { generateKey } from '../../src/matrix/signing.ts'
import { matrixError, ok } from '../../src/simulate/fleet/behaviour.ts'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import { until } from '../support/poll.ts'
import { HOUR, makeStage, NO_RETRIES, type Stage, type Tree } from './hangup-stage.ts'
import { TOKENS } from './world.ts'

describe('SIGHUP', function () {
  this.timeout(180_000)
  let stage: Stage
  const setUp = async (settings: Tree & { federation?: Tree } = {}) => (stage = await makeStage(settings))
  afterEach(() => stage.end())

  it('signs what is sent next with the key that its file holds by then; one that others may read is refused', async () => {
    const { world, keys, usedKeys, write, remote, start, has } = await setUp()
    const server = await remote()
    const limpet = await start()
    await has(server, await limpet.tell(server))
    const path = join(world.dir, 'key')
    const second = generateKey(randomBytes)
    keys.set(second.key.keyId, second.key.publicKey)
    writeFileSync(path, second.fileText)
    expect(await limpet.hangup()).to.deep.include({
      level: 30,
      applied: ['signing_key_path'],
      needs_restart: [],
    })
    const first = usedKeys.splice(0)
    await has(server, await limpet.tell(server))
    expect(new Set(first)).to.deep.equal(new Set([world.key.keyId]))
    expect(new Set(usedKeys.splice(0))).to.deep.equal(new Set([second.key.keyId]))

    writeFileSync(path, generateKey(randomBytes).fileText)
    chmodSync(path, 0o644)
    write({ tokens: { ...TOKENS, read: 'another' } })
    const refused = await limpet.hangup()
    expect(refused.level).to.equal(50)
    expect(refused.reason).to.match(/^signing_key_path: .*key is open to others \(mode 0644\)/)
    await has(server, await limpet.tell(server))
    expect(new Set(usedKeys)).to.deep.equal(new Set([second.key.keyId]))
    expect((await limpet.ask('/v1/status', 'another')).status, 'nor anything else').to.equal(401)
    expect(server.violations).to.deep.equal([])
  })

  it('trusts the authorities that the files hold by then, for new connections: others no more', async () => {
    const { world, write, remote, start, has, failed } = await setUp()
    const other = await makeCertificateAuthority(Date.now())
    const [known, unknown] = [await remote(), await remote(await other.issue())]
    const limpet = await start()
    const event = await limpet.tell(known, unknown)
    await has(known, event)
    await failed(unknown, /certificate/)
    expect(unknown.connections).to.equal(0)

    // In the same file: its name says nothing.
    writeFileSync(join(world.dir, 'ca.pem'), other.cert)
    expect((await limpet.hangup()).applied).to.deep.equal(['federation.custom_ca_paths'])
    await limpet.act('reset', unknown)
    await has(unknown, event)
    // It had a connection, which nobody uses any more.
    const next = await limpet.tell(known, unknown)
    await has(unknown, next)
    await failed(known, /certificate/)
    expect([known.connections, known.received.has(next)]).to.deep.equal([1, false])

    writeFileSync(join(world.dir, 'broken.pem'), 'nothing')
    write({ federation: { custom_ca_paths: ['ca.pem', 'broken.pem'] } })
    expect((await limpet.hangup()).reason).to.match(/^federation\.custom_ca_paths\.1: .* no PEM certificate/)
    await has(unknown, await limpet.tell(unknown))
  })

  it('blocks whom the lists name by then, also a request under way, and lets through whom they do not', async () => {
    const { world, write, remote, start, has, row } = await setUp()
    const server = await remote()
    const limpet = await start()
    await has(server, await limpet.tell(server))
    server.behave({ kind: 'hang' })
    const held = await limpet.tell(server)
    await until(() => server.transactions.some(({ pduIds }) => pduIds.includes(held)), {
      what: 'a request under way',
    })
    write({ federation: { domain_denylist: ['127.*'] } })
    expect((await limpet.hangup()).applied).to.deep.equal(['federation.domain_denylist'])
    await world.released()
    expect(await limpet.stateOf(server)).to.equal('blocked')
    expect(await row(server, 'failures'), 'failures that it is blamed for').to.equal(0)
    server.behave(ok)
    const waits = await limpet.tell(server)
    expect(server.received.has(held)).to.equal(false)

    write({ federation: { domain_denylist: [] } })
    await limpet.hangup()
    await has(server, held)
    await has(server, waits)
    write({ federation: { domain_allowlist: ['*.example.org'] } })
    expect((await limpet.hangup()).applied).to.deep.equal(['federation.domain_allowlist'])
    expect(await limpet.stateOf(server)).to.equal('blocked')
    write({ federation: { domain_allowlist: ['127.0.0.1'] } })
    await limpet.hangup()
    await has(server, await limpet.tell(server))
    expect(server.violations).to.deep.equal([])
    expect(server.mostOpenAtOnce).to.equal(1)
  })

  it('connects to the addresses that the lists allow by then, and to no others', async () => {
    const { write, remote, start, has, failed } = await setUp()
    const server = await remote()
    const limpet = await start()
    await has(server, await limpet.tell(server))
    write({ federation: { ip_allowlist: [] } })
    expect((await limpet.hangup()).applied).to.deep.equal(['federation.ip_allowlist'])
    const event = await limpet.tell(server)
    await failed(server, /127\.0\.0\.1 may not be connected to \(.*loopback/)
    write({ federation: { ip_denylist: ['10.0.0.0/8'] } })
    expect((await limpet.hangup()).applied).to.deep.equal(['federation.ip_denylist'])
    await limpet.act('reset', server)
    await has(server, event)
    expect(server.connections).to.equal(2)
  })

  it('takes the tokens that are configured by then, also in a process that only ingests, and no others', async () => {
    const { write, start } = await setUp()
    const [whole, ingesting] = [await start(), await start(['--role', 'ingest'])]
    write({
      tokens: { ingest: { new: 'in-2', old: TOKENS.ingest }, read: 'read-2', admin: { alice: 'admin-2' } },
      metrics: { token: 'metrics-2' },
    })
    for (const limpet of [whole, ingesting]) {
      const status = async (path: string, token: string, method = 'GET') =>
        (await limpet.ask(path, token, method, method === 'GET' ? undefined : '{"items":[]}')).status
      expect(await status('/v1/status', TOKENS.read)).to.equal(200)
      expect(await status('/metrics', 'none')).to.equal(200)
      expect((await limpet.hangup()).applied).to.deep.equal([
        ...['metrics.token', 'tokens.admin', 'tokens.ingest', 'tokens.read'],
      ])
      expect(await status('/v1/status', TOKENS.read)).to.equal(401)
      expect(await status('/v1/status', TOKENS.admin)).to.equal(401)
      expect(await status('/v1/status', 'read-2')).to.equal(200)
      expect(await status('/v1/audit', 'admin-2')).to.equal(200)
      expect(await status('/v1/ingest', TOKENS.ingest, 'POST'), 'the old one, too').to.equal(200)
      expect(await status('/v1/ingest', 'in-2', 'POST')).to.equal(200)
      expect(await status('/metrics', TOKENS.read)).to.equal(401)
      expect(await status('/metrics', 'metrics-2')).to.equal(200)
    }
  })

  it('takes the tokens of tokens.yaml, as it is by then, and makes another one where it is gone', async () => {
    const { world, write, start } = await setUp()
    write({ tokens: undefined })
    const limpet = await start()
    const path = join(world.dir, 'limpet-data', 'tokens.yaml')
    const made = () => parse(readFileSync(path, 'utf8')) as Record<'ingest' | 'read' | 'admin', string>
    const status = async (token: string) => (await limpet.ask('/v1/status', token)).status
    const first = made()
    expect(await status(first.read)).to.equal(200)
    writeFileSync(path, `read: by-hand\ningest: ${first.ingest}\nadmin: ${first.admin}\n`)
    expect((await limpet.hangup()).applied).to.deep.equal(['tokens.read'])
    expect([await status(first.read), await status('by-hand')]).to.deep.equal([401, 200])

    rmSync(path)
    expect((await limpet.hangup()).applied).to.deep.equal(['tokens.admin', 'tokens.ingest', 'tokens.read'])
    expect(existsSync(path)).to.equal(true)
    const second = made()
    expect(second.read).not.to.equal(first.read)
    expect([await status('by-hand'), await status(first.admin), await status(second.read)]).to.deep.equal([
      ...[401, 401, 200],
    ])
    writeFileSync(path, 'read: [')
    expect((await limpet.hangup()).reason).to.match(/^tokens: .*tokens\.yaml is damaged/)
    expect(await status(second.read)).to.equal(200)
  })

  it('waits after the next failure as is configured by then', async () => {
    const { write, remote, start, failed, row } = await setUp()
    const server = await remote()
    server.behave(matrixError(500, 'M_FIRST'))
    const limpet = await start()
    await limpet.tell(server)
    await failed(server, /M_FIRST/)
    expect(await row(server, 'retry_interval')).to.equal(HOUR)
    server.behave(matrixError(500, 'M_SECOND'))
    write({ federation: { backoff: { first_ms: 2 * HOUR, max_ms: 3 * HOUR, jitter: 0 } } })
    expect((await limpet.hangup()).applied).to.deep.equal([
      ...['federation.backoff.first_ms', 'federation.backoff.max_ms'],
    ])
    expect(await row(server, 'retry_interval'), 'the wait that began before').to.equal(HOUR)
    await limpet.act('reset', server)
    await failed(server, /M_SECOND/)
    expect(await row(server, 'retry_interval')).to.equal(2 * HOUR)
  })

  it('keeps the limits that are configured by then: in a turn, for one that is followed, and in what is previewed', async () => {
    const { write, remote, start, has, world } = await setUp({
      internal: { lease_ms: 30_000, linger_ms: 600_000 },
    })
    const server = await remote()
    const limpet = await start()
    await has(server, await limpet.tell(server))
    await limpet.act('pause', server)
    const room = '!room:home.example'
    const events = (count: number) => Array.from({ length: count }, () => world.event(room))
    const paused = events(6)
    await world.released()
    await limpet.ingest(...paused.map(({ item }) => item))
    write({ federation: { max_pdus: 2 } })
    expect((await limpet.hangup()).applied).to.deep.equal(['federation.max_pdus'])
    const { body } = await limpet.ask(`/v1/destinations/${server.serverName}/preview`, TOKENS.read)
    expect(body['pdus']).to.have.length(2)
    await limpet.act('resume', server)
    for (const { eventId } of paused) await has(server, eventId)
    const sizes = (of: { eventId: string }[]) =>
      server.transactions
        .filter(({ pduIds }) => pduIds.some((id) => of.some(({ eventId }) => eventId === id)))
        .map(({ pduIds }) => pduIds.length)
    expect(sizes(paused)).to.deep.equal([2, 2, 2])

    const isFollowed = async () =>
      (await world.pool.query('select from destinations where follows')).rowCount === 1
    await until(isFollowed, { what: 'it to be followed' })
    write({ federation: { max_pdus: 1 } })
    await limpet.hangup()
    const followed = events(3)
    await limpet.ingest(...followed.map(({ item }) => item))
    for (const { eventId } of followed) await has(server, eventId)
    expect(sizes(followed)).to.deep.equal([1, 1, 1])
    expect(await isFollowed()).to.equal(true)
  })

  it('sends the kinds of EDUs that are on by then, and what came while one was off not even later', async () => {
    const { write, remote, start, has, world } = await setUp({
      federation: { edus: { typing: false } },
      internal: { lease_ms: 30_000, linger_ms: 0 },
    })
    const server = await remote()
    const limpet = await start()
    await has(server, await limpet.tell(server))
    const room = '!room:home.example'
    const give = async (user: string) => {
      const content = { room_id: room, user_id: `@${user}:home.example`, typing: true }
      const receipt = { 'm.read': { [content.user_id]: { event_ids: ['$e'], data: { ts: 1 } } } }
      const { eventId, item } = world.event(room)
      await limpet.ingest(
        { type: 'edu', edu_type: 'm.typing', content, rooms: [room] },
        { type: 'edu', edu_type: 'm.receipt', content: { [room]: receipt }, rooms: [room] },
        item,
      )
      await has(server, eventId)
      await until(() => read().includes(user), { what: 'the receipt' })
    }
    const named = (parts: Iterable<{ part: { userId: string } }>) =>
      [...parts].map(({ part }) => part.userId.slice(1).split(':')[0])
    const read = () => named(server.edus.receipts.values())
    await give('alice')
    expect(named(server.edus.typing.values())).to.deep.equal([])
    write({ federation: { edus: { typing: true, receipts: true } } })
    expect((await limpet.hangup()).applied).to.deep.equal(['federation.edus.typing'])
    await give('bob')
    expect(named(server.edus.typing.values())).to.deep.equal(['bob'])
    expect(read()).to.deep.equal(['alice', 'bob'])
  })

  it('has as many requests under way, and gives them as much time, as is configured by then', async () => {
    const { write, remote, start, has, failed, row } = await setUp({
      // Nothing is served past the queue.
      sweep_interval_ms: HOUR,
      federation: { max_concurrency: 1, recovering_concurrency: 1 },
    })
    const servers = [await remote(), await remote(), await remote()]
    const [one, two, three] = servers
    if (one === undefined || two === undefined || three === undefined) throw new Error('three servers')
    const limpet = await start()
    write({
      federation: { max_concurrency: 8, recovering_concurrency: 8, request_timeout_ms: 10_000 },
    })
    expect((await limpet.hangup()).applied).to.deep.equal([
      'federation.max_concurrency',
      'federation.recovering_concurrency',
      'federation.request_timeout_ms',
    ])
    for (const server of servers) server.behave({ kind: 'hang' })
    await limpet.tell(...servers)
    await Promise.all(servers.map((server) => server.seen(1)))
    const failures = servers.map((server) => row(server, 'failures'))
    expect(await Promise.all(failures), 'none had to wait for the end of another').to.deep.equal([0, 0, 0])
    write({ federation: { request_timeout_ms: 500 } })
    await limpet.hangup()
    for (const server of servers) await failed(server, /no answer in time/)
    for (const server of servers) server.behave(ok)
    const event = await limpet.tell(...servers)
    for (const server of servers) {
      await limpet.act('reset', server)
      await has(server, event)
    }
    one.behave({ kind: 'hang' })
    await limpet.tell(one)
    await failed(one, /no answer in time/)
  })

  it('writes the log lines of the level that is configured by then', async () => {
    const { write, start } = await setUp()
    const limpet = await start()
    const debug = () => limpet.lines().filter(({ level }) => level === 20).length
    expect(debug()).to.equal(0)
    write({ log: { level: 'debug' } })
    expect(await limpet.hangup()).to.deep.include({ level: 30, applied: ['log.level'] })
    await limpet.ask('/v1/status', TOKENS.read)
    await until(() => debug() > 0, { what: 'a line of that level' })
    write({ log: { level: 'error' } })
    // Said by the level of before.
    expect(await limpet.hangup()).to.deep.include({ level: 30, applied: ['log.level'] })
    const before = limpet.lines().length
    await limpet.ask('/v1/status', TOKENS.read)
    write({ tokens: { ...TOKENS, read: TOKENS.admin } })
    expect((await limpet.hangup()).level, 'what is wrong').to.equal(50)
    expect(limpet.lines()).to.have.length(before + 1)
  })

  it('changes nothing at all where anything is wrong, and says in one line what', async () => {
    const { world, write, remote, start, has, usedKeys, row } = await setUp()
    const server = await remote()
    const limpet = await start()
    await has(server, await limpet.tell(server))
    // All this would apply, but for one key more.
    const right: Tree & { federation: Tree } = {
      tokens: { ingest: 'in-2', read: 'read-2', admin: 'admin-2' },
      log: { level: 'silent' },
      federation: {
        domain_denylist: ['127.0.0.1'],
        ip_allowlist: [],
        max_pdus: 1,
        backoff: { ...NO_RETRIES, first_ms: 1 },
      },
    }
    writeFileSync(join(world.dir, 'key'), generateKey(randomBytes).fileText)
    const before = readFileSync(world.file, 'utf8')
    const wrong: [Tree & { federation?: Tree }, RegExp][] = [
      [{ federation: { ...right.federation, max_pdus: 51 } }, /^federation\.max_pdus: /],
      [{ sweep_interval_ms: 'often' }, /^sweep_interval_ms: /],
      [{ frobnicate: 1 }, /^frobnicate: unknown setting$/],
      [
        { federation: { ...right.federation, custom_ca_paths: ['none.pem'] } },
        /^federation\.custom_ca_paths\.0: /,
      ],
      [{ signing_key_path: 'none' }, /^signing_key_path: .*none does not exist$/],
      [{ server_name: 'b.example' }, /^server_name: is b\.example, but this limpet runs for home\.example$/],
      [{ data_dir: 'other' }, /^data_dir: .*: restart it$/],
    ]
    for (const [over, reason] of wrong) {
      write({ ...right, ...over })
      const line = await limpet.hangup()
      expect(line.level).to.equal(50)
      expect(line.reason).to.match(reason)
      writeFileSync(world.file, before)
    }
    writeFileSync(world.file, 'server_name: [')
    expect((await limpet.hangup()).reason).to.include('limpet.yaml')
    rmSync(world.file)
    expect((await limpet.hangup()).reason).to.match(/limpet\.yaml does not exist$/)

    const connections = server.connections
    await has(server, await limpet.tell(server))
    expect(server.connections, 'the connection of before').to.equal(connections)
    expect(new Set(usedKeys)).to.deep.equal(new Set([world.key.keyId]))
    expect((await limpet.ask('/v1/status', 'read-2')).status).to.equal(401)
    server.behave(matrixError(500, 'M_UNKNOWN'))
    await limpet.tell(server)
    await until(async () => (await row(server, 'retry_interval')) === HOUR, { what: 'the wait of before' })
    expect(existsSync(join(world.dir, 'other'))).to.equal(false)
  })

  it('names what needs a restart each time, applies the rest, and names nothing where nothing changed', async () => {
    const { write, start } = await setUp()
    const limpet = await start()
    expect(await limpet.hangup()).to.deep.include({ level: 30, applied: [], needs_restart: [] })
    write({ sweep_interval_ms: 77_000, listen: { port: 1 }, federation: { max_edus: 7 } })
    expect(await limpet.hangup()).to.deep.include({
      level: 40,
      applied: ['federation.max_edus'],
      needs_restart: ['listen', 'sweep_interval_ms'],
    })
    expect(await limpet.hangup()).to.deep.include({
      level: 40,
      applied: [],
      needs_restart: ['listen', 'sweep_interval_ms'],
    })
    expect((await limpet.ask('/health/ready', '')).status).to.equal(200)
  })

  it('goes by the environment before the file, as at the start', async () => {
    const { write, start } = await setUp()
    const limpet = await start([], { LIMPET_TOKENS__READ: 'from-outside', LIMPET_FEDERATION__MAX_PDUS: '3' })
    write({ tokens: { ...TOKENS, read: 'another' }, federation: { max_pdus: 4 } })
    expect((await limpet.hangup()).applied).to.deep.equal([])
    expect((await limpet.ask('/v1/status', 'from-outside')).status).to.equal(200)
  })

  it('ends idle connections at once, and one in use after its request, which is not repeated', async () => {
    const { remote, start, has } = await setUp()
    const [idle, busy] = [await remote(), await remote()]
    const limpet = await start()
    const first = await limpet.tell(idle, busy)
    await has(idle, first)
    await has(busy, first)
    busy.behave({ kind: 'ok', delayMs: 2_000 })
    const slow = await limpet.tell(busy)
    const asked = () => busy.transactions.find(({ pduIds }) => pduIds.includes(slow))
    await until(asked, { what: 'a request under way' })
    await limpet.hangup()
    await until(() => idle.openConnections === 0, { what: 'the idle connection to end' })
    expect([asked()?.answered, busy.openConnections], 'it is under way').to.deep.equal([false, 1])
    await until(() => asked()?.answered, { what: 'its answer' })
    await until(() => busy.openConnections === 0, { what: 'its connection to end' })
    busy.behave(ok)
    const next = await limpet.tell(idle, busy)
    await has(idle, next)
    await has(busy, next)
    expect([idle.connections, busy.connections]).to.deep.equal([2, 2])
    for (const server of [idle, busy]) {
      expect(server.transactions.every(({ requestsAt }) => requestsAt.length === 1)).to.equal(true)
      expect(server.violations).to.deep.equal([])
    }
  })
})
