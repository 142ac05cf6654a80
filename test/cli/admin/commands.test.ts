import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAdminApp, type AdminApp } from '../../http/admin/app.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { runCommand } from './run-command.ts'

const MINUTE = 60_000
const D = 'd.example:8448'
const LONG = `${'very-long-label.'.repeat(10)}example.org:8448`

describe('commands that speak to a running daemon', () => {
  let s: Situation
  let app: AdminApp
  let url: string
  let folder: string
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
    url = await app.listen()
    folder = mkdtempSync(join(tmpdir(), 'limpet-cli-'))
  })
  beforeEach(async () => {
    await s.reset()
    app.woken.length = 0
    for (const name of [D, LONG]) {
      await s.server(name)
      await s.member(name, 'a')
    }
    await s.event(1, 'a', { sticky: 10 * MINUTE, receivedAgo: 3 * MINUTE })
    await s.event(2, 'a')
    await s.change(D, { position: 2, last_success: Date.now() - 2 * MINUTE, quick: true })
    await s.attempt(D, 1, { positions: [1, 2], lanes: 'tt', txn_id: 'abcdefghijklmnopqrstuv' })
    await s.change(LONG, {
      ...{ pending_pdus: 2, pending_sticky: 1, oldest_pending: Date.now() - 3 * MINUTE, failures: 4 },
      ...{
        failing_since: Date.now() - 90 * MINUTE,
        retry_at: Date.now() + 5 * MINUTE,
        retry_interval: 600_000,
      },
      last_error: {
        kind: 'tls',
        status: null,
        message: 'the certificate \u001b[31mhas expired',
        at: Date.now(),
      },
    })
  })
  after(async () => {
    await app.close()
    await s.close()
    rmSync(folder, { recursive: true })
  })

  const limpet = (...args: string[]) => runCommand(folder, args)
  const there = () => ['--url', url, '--token', 'admin-token']
  const shown = async (...args: string[]) => {
    const { status, out, error } = await limpet(...args, ...there())
    expect([status, error]).to.deep.equal([0, ''])
    for (const line of out.split('\n')) expect(line.length, line).to.be.at.most(100)
    expect(out).to.not.include('\u001b')
    return out
  }

  it('status: totals on one screen', async () => {
    await s.insert('cursors', { name: 'counted_at', pos: Date.now() - 150_000 })
    const out = await shown('status')
    expect(out).to.match(/^server +us\.example \(limpet 1\.2\.3\)$/m)
    expect(out).to.match(/^destinations +2: 1 idle, 1 backing_off$/m)
    expect(out).to.match(/^PDUs pending +2, the oldest 3m$/m)
    expect(out).to.match(/^counted +20.* \([23]m ago\)$/m)
  })

  it('destinations: one line each, filtered and ordered', async () => {
    const out = await shown('destinations')
    expect(out).to.match(/^DESTINATION +STATE +PDUS +STICKY +EDUS +OLDEST +FAILING +NEXT +LAST OK$/m)
    expect(out).to.match(/^d\.example:8448 +idle +0 +0 +0 +- +- +- +2m$/m)
    expect(out).to.match(/^very-long-.*….*org:8448 +backing_off +2 +1 +0 +3m +1h +in [45]m +-$/m)
    expect(out).to.match(/^2 of 2, not counted yet$/m)
    expect(await shown('destinations', '--state', 'idle', '--search', 'EXAMPLE')).to.match(/^1 of 1,/m)
    const first = (
      await shown('destinations', '--order-by', 'pending_pdus', '--dir', 'b', '--limit', '1')
    ).split('\n')
    expect(first[1]).to.match(/^very-long/)
    expect(first[2]).to.match(/^1 of 2,/)
  })

  it('destination: why nothing goes out, with rooms, sticky events and transactions', async () => {
    const out = (await shown('destination', LONG)).replace(/\n +/g, ' ')
    expect(out).to.match(
      /is backing_off: the last 4 attempts failed \(the certificate �\[31mhas expired\): next attempt/,
    )
    expect(out).to.match(/^PDUs pending +2, the oldest 3m$/m)
    expect(out).to.match(/^last error +tls: the certificate/m)
    expect(out).to.match(/^rooms with something owed:\nROOM +PDUS +STICKY +LATEST\n!a:us +2 +1 +2$/m)
    expect(out).to.match(/^sticky events still owed:\nEVENT +ROOM +LAPSES\n\$1 +!a:us +in [89]m$/m)
    const other = await shown('destination', D)
    expect(other).to.match(/^d\.example:8448 is idle: nothing is owed$/m)
    expect(other).to.match(/^transactions:\nAT .*\n20.*abcdefghijklmnopqrstuv +2 +0 +answered +200 +12$/m)
    expect(other).to.not.match(/rooms with/)
  })

  it('sticky: who has it and to whom it is owed', async () => {
    const out = await shown('sticky')
    expect(out).to.match(/^\$1 +!a:us +@alice:us +in [89]m +1 +1 +very-lo.*….*8448$/m)
    expect(await shown('sticky', '--destination', D)).to.equal('0 of 0\n')
    expect(await shown('sticky', '--room', '!a:us')).to.match(/1 of 1/)
  })

  it('explain: what became of an event, with the reason below', async () => {
    const out = await shown('explain', '$1')
    expect(out).to.match(/^destinations +1 delivered, 1 pending$/m)
    expect(out).to.match(/^d\.example:8448 +delivered +timeline +20\S+ \S+ +abc.*$/m)
    expect(out).to.match(
      /^very-long.* pending +timeline +- +-\n {4}it has everything up to 0; this event is 1; the last/m,
    )
    expect(await shown('explain', '$1', '--destination', D)).to.match(/^destinations +1 delivered$/m)
  })

  it('explain: leaves out what went well where there are more than 100', async () => {
    const many = Array.from({ length: 120 }, (_, index) => `s${index}.example:1`)
    for (const name of many) await s.server(name, { position: 9 })
    for (const name of many) await s.member(name, 'a')
    const out = await shown('explain', '$2')
    expect(out).to.match(/^… and 22 more: --destination shows one, --json all$/m)
    expect(out).to.match(/ pending /)
  })

  for (const [action, said] of [
    ['wake', 'is tried now'],
    ['reset', 'is tried now; its failures are forgotten'],
    ['pause', 'is paused'],
    ['resume', 'is resumed'],
  ] as const) {
    it(`${action}: does it and says so`, async () => {
      expect(await shown(action, D)).to.equal(`${D} ${said}\n`)
      expect(app.woken).to.deep.equal([{ destination: D, queue: 'delivery' }])
      expect((await s.pool.query<{ action: string }>('select action from audit')).rows[0]?.action).to.equal(
        action,
      )
    })
  }

  it('skip: counts what would be given up, or gives it up and says how much', async () => {
    await s.change(LONG, { position: 0 })
    expect(await shown('skip', LONG, '--dry-run')).to.equal(
      'a skip would give up 2 PDUs and 1 sticky event\n',
    )
    const wished = async () => (await s.pool.query('select from destinations where skip_upto = 2')).rowCount
    expect(await wished()).to.equal(0)
    const { status, out } = await limpet('skip', LONG, ...there())
    expect([status, out]).to.deep.equal([
      0,
      `${LONG} is not sent what was owed to it up to now: 2 PDUs and 1 sticky event\n`,
    ])
    expect(await wished()).to.equal(1)
    expect((await limpet('skip', '*', ...there())).status).to.equal(1)
    expect((await limpet('skip', '*', '--yes', '--dry-run', ...there())).status).to.equal(1)
    expect(await shown('skip', '*', '--yes')).to.match(/^done to 2 of the 2 that \* matches/)
  })

  describe('by a glob', () => {
    const paused = async () =>
      (await s.pool.query<{ name: string }>('select name from destinations where paused')).rows

    it('lists what would be done, does nothing and fails, as long as it is not told --yes', async () => {
      const { status, out, error } = await limpet('pause', '*.EXAMPLE', ...there())
      expect(out).to.equal(`*.EXAMPLE matches 1 destination:\n  ${D}\n`)
      expect([status, error]).to.deep.equal([1, "nothing was done: limpet pause '*.EXAMPLE' --yes does it"])
      expect(await paused()).to.have.length(0)
      const json = await limpet('pause', '*', '--json', ...there())
      expect([json.status, (JSON.parse(json.out) as { matched: number }).matched]).to.deep.equal([1, 2])
    })

    it('does it with --yes, and says to how many, and whom it left out', async () => {
      expect(await shown('pause', '*', '--yes')).to.equal(
        'done to 2 of the 2 that * matches: they are paused\n',
      )
      expect(await paused()).to.have.length(2)
      await s.change(LONG, { paused: false })
      expect(await shown('wake', '*', '--yes')).to.equal(
        'done to 1 of the 2 that * matches: they are tried, one after the other\nleft out by a wake: 1 paused\n',
      )
      expect((await s.pool.query('select from planned_acts')).rows).to.have.length(1)
    })

    it('fails where nothing matches', async () => {
      expect(await limpet('reset', '*.nobody.example', '--yes', ...there())).to.include({
        ...{ status: 1, out: '', error: 'no destination matches *.nobody.example (M_NOT_FOUND)' },
      })
    })
  })

  it('prints the answer of the API with --json', async () => {
    const calls = {
      status: '/v1/status',
      destinations: '/v1/destinations',
      [`destination ${D}`]: `/v1/destinations/${D}`,
      sticky: '/v1/sticky',
      'explain $1': '/v1/events/$1',
    }
    // Ages grow between the two.
    const still = (value: unknown) => JSON.stringify(value).replace(/_ms":\d+/g, '_ms":0')
    for (const [command, path] of Object.entries(calls)) {
      const { out } = await limpet(...command.split(' '), '--json', ...there())
      expect(still(JSON.parse(out))).to.equal(still((await app.get(path)).body))
    }
    expect((await limpet('wake', D, '--json', ...there())).out).to.equal('{}\n')
  })

  describe('finds the daemon', () => {
    const configure = (text: string) => writeFileSync(join(folder, 'limpet.yaml'), text)
    afterEach(() => rmSync(join(folder, 'limpet.yaml'), { force: true }))

    it('by the first admin listener and the token of the configuration', async () => {
      const { port } = new URL(url)
      configure(`server_name: us.example
listen:
  - {host: 127.0.0.1, port: 1, serve: [ingest]}
  - {host: 0.0.0.0, port: ${port}, serve: [admin]}
tokens: {admin: {alice: admin-token}}
`)
      expect(await limpet('status')).to.include({ status: 0, error: '' })
      expect(await limpet('status', '--token', 'wrong')).to.deep.equal({
        status: 1,
        out: '',
        error: 'unknown token (M_UNKNOWN_TOKEN)',
      })
    })

    it('by a Unix socket', async () => {
      const socket = join(folder, 'admin.sock')
      const server = createServer((_request, response) =>
        response.end('{"destinations":[],"total":0,"as_of":null}'),
      )
      await new Promise<void>((resolve) => server.listen(socket, resolve))
      configure(`server_name: us.example\nlisten: {socket: ${socket}}\ntokens: {admin: t}\n`)
      expect(await limpet('destinations')).to.include({ status: 0, out: '0 of 0, not counted yet\n' })
      await close(server)
    })

    it('or says in one line what is missing', async () => {
      const nobody = createServer()
      await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve))
      const { port } = nobody.address() as AddressInfo
      await close(nobody)
      const silent = await limpet('status', '--url', `http://127.0.0.1:${port}`, '--token', 't')
      expect(silent.status).to.equal(1)
      expect(silent.error).to.equal(
        `no limpet answers at http://127.0.0.1:${port} (connection refused): is \`limpet run\` running there?`,
      )
      configure('server_name: us.example\n')
      expect(await limpet('status'))
        .to.include({ status: 1 })
        .and.property('error')
        .to.match(/no admin token yet/)
      configure('server_name: us.example\nlisten: {host: 127.0.0.1, port: 8469, serve: [metrics]}\n')
      expect((await limpet('status', '--token', 't')).error).to.match(/serves `admin`: give --url/)
      configure('server_name: us.example\nlisten: {host: 127.0.0.1, port: 0}\n')
      expect((await limpet('status', '--token', 't')).error).to.match(/the admin listener has port 0/)
      configure('server_nam: us.example\n')
      expect(await limpet('status')).to.include({ status: 2 })
      expect(await limpet('status', '--url', 'ftp://x', '--token', 't')).to.include({ status: 2 })
    })

    it('and is not taken in by another server', async () => {
      const other = createServer((_request, response) => response.end('<html>'))
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
      const { port } = other.address() as AddressInfo
      const { status, error } = await limpet('status', '--url', `http://127.0.0.1:${port}`, '--token', 't')
      expect([status, error]).to.deep.equal([
        1,
        `what answers at http://127.0.0.1:${port} is not limpet (status 200, no JSON)`,
      ])
      await close(other)
    })
  })

  it('passes on why the daemon refuses', async () => {
    expect((await limpet('destination', 'nope', ...there())).error).to.equal(
      'unknown destination nope (M_NOT_FOUND)',
    )
    await s.change(D, { paused: true })
    const { status, error } = await limpet('wake', D, ...there())
    expect([status, error]).to.deep.equal([
      1,
      `${D} is paused: resume it to send to it again (M_LIMPET_PAUSED)`,
    ])
    expect((await limpet('destinations', '--limit', '5000', ...there())).error).to.match(
      /limit must be a whole number/,
    )
  })

  it('refuses a glob where one destination is looked at', async () => {
    const { status, error } = await limpet('destination', '*.example.org', ...there())
    expect(status).to.equal(2)
    expect(error).to.match(/is a glob: name one destination/)
    expect(app.woken).to.deep.equal([])
  })
})

const close = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()))
