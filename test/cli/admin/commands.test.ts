import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAdminApp, type AdminApp } from '../../http/admin/app.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { runCommand, type Ran } from './run-command.ts'

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
  const limpetIn = (how: Parameters<typeof runCommand>[2], ...args: string[]): Promise<Ran> =>
    runCommand(folder, args, how)
  const there = () => ['--url', url, '--token', 'admin-token']
  const shown = async (...args: string[]) => {
    const { status, out, error } = await limpet(...args, ...there())
    expect([status, error]).to.deep.equal([0, ''])
    for (const line of out.split('\n').filter((line) => line !== LONG))
      expect(line.length, line).to.be.at.most(100)
    expect(out).to.not.include('\u001b')
    return out
  }

  it('status: totals on one screen', async () => {
    await s.insert('cursors', { name: 'counted_at', pos: Date.now() - 150_000 })
    const out = await shown('status')
    expect(out).to.match(/^server +us\.example \(limpet 1\.2\.3\)$/m)
    expect(out).to.match(/^destinations +2: 1 backing_off, 1 idle$/m)
    expect(out).not.to.match(/^(trend|taken) /m)
    expect(out).to.match(/^PDUs pending +2, the oldest 3m$/m)
    expect(out).to.match(/^counted +20.* \([23]m ago\)$/m)
  })

  it('destinations: one line each, filtered and ordered', async () => {
    const out = await shown('destinations')
    expect(out).to.match(/^DESTINATION +STATE +PDUS +STICKY +EDUS +OLDEST +FAILING +NEXT +LAST OK$/m)
    expect(out).to.match(/^d\.example:8448 +idle +0 +0 +0 +- +- +- +2m$/m)
    expect(out).to.match(new RegExp(`^${LONG}\n +backing_off +2 +1 +0 +3m +1h +in [45]m +-$`, 'm'))
    expect(out.indexOf(LONG), 'urgent first').to.be.below(out.indexOf(D))
    expect(out).to.match(/^2 of 2, not counted yet$/m)
    expect(await shown('destinations', '--state', 'idle', '--search', 'EXAMPLE')).to.match(/^1 of 1,/m)
    const first = (
      await shown('destinations', '--order-by', 'pending_pdus', '--dir', 'b', '--limit', '1')
    ).split('\n')
    expect(first.slice(0, 3).join(' ')).to.match(/^DESTINATION *(STATE.*)? very-long/)
    expect(first.at(-2)).to.match(/^1 of 2 \(--all shows all\),/)
  })

  it('status: what comes in, how the backlog changes, and when it is empty at that pace', async () => {
    const at = Date.now()
    const counts = { at, head: 40, pdus: 2, before_at: at - 20_000, before_head: 20, before_pdus: 42 }
    for (const [name, pos] of Object.entries(counts))
      await s.insert('cursors', { name: `counted_${name}`, pos })
    const out = await shown('status')
    expect(out).to.match(/^taken +1 item a second$/m)
    expect(out).to.match(/^trend +shrinks by 2 PDUs a second; empty in about 1s$/m)
  })

  describe('with more destinations than a page has', () => {
    const MANY = 1203
    beforeEach(async () => {
      await s.pool.query(
        `insert into destinations (name, position, created_at, lists, pending_pdus, oldest_pending, failures, failing_since, retry_at)
         select 'many-' || g || '.example', 0, 0, true, case when g % 100 = 0 then 5 else 0 end,
                case when g % 100 = 0 then g end, case when g % 100 = 0 then 3 else 0 end,
                case when g % 100 = 0 then 5 end, case when g % 100 = 0 then now_ms() + 600000 end
           from generate_series(1, $1) g`,
        [MANY],
      )
    })
    const namesIn = (out: string) =>
      out.split('\n').flatMap((line) => /^\S*(?=\.example )/.exec(line)?.[0] ?? [])

    it('destinations: shows the hundred that are most urgent, those first that are owed longest', async () => {
      const out = await shown('destinations')
      const names = namesIn(out)
      expect(names.slice(0, 12)).to.deep.equal(
        Array.from({ length: 12 }, (_, nth) => `many-${(nth + 1) * 100}`),
      )
      expect(out).to.match(/^100 of 1,205 \(--all shows all\), not counted yet$/m)
    })

    it('destinations: shows as many as --limit says, or --all, each once', async () => {
      for (const [more, count] of [
        [['--limit', '1100'], 1100],
        [['--all'], MANY + 2],
        [['--all', '--order-by', 'destination'], MANY + 2],
      ] as const) {
        const out = await shown('destinations', ...more)
        expect(out).to.match(new RegExp(`^${count.toLocaleString('en-US')} of 1,205`, 'm'))
        expect(new Set(namesIn(out)).size).to.be.at.least(count - 2)
      }
      expect((await limpet('destinations', '--all', '--limit', '5', ...there())).error).to.match(/not both/)
      for (const wrong of ['0', 'x', '-1', '1.5'])
        expect(await limpet('destinations', `--limit=${wrong}`, ...there()), wrong).to.include({ status: 2 })
    })

    it('destinations --json: is the page that the API gives, and several as one', async () => {
      const json = async (...args: string[]) => {
        const { out } = await limpet('destinations', '--json', ...args, ...there())
        return JSON.parse(out) as {
          destinations: { destination: string }[]
          total: number
          next_token?: string
        }
      }
      const still = (value: unknown) => JSON.stringify(value).replace(/_ms":\d+/g, '_ms":0')
      expect(still(await json())).to.equal(still((await app.get('/v1/destinations')).body))
      const all = await json('--all')
      expect([all.destinations.length, all.total, all.next_token]).to.deep.equal([
        MANY + 2,
        MANY + 2,
        undefined,
      ])
      expect((await json('--limit', '1001')).next_token).to.equal('1001')
    })
  })

  it('destination: why nothing goes out, with rooms, sticky events and transactions', async () => {
    const out = (await shown('destination', LONG)).replace(/\n +/g, ' ')
    expect(out).to.match(
      /is backing_off: the last 4 attempts failed \(the certificate �\[31mhas expired\): next attempt/,
    )
    expect(out).to.match(/^PDUs pending +2, the oldest 3m$/m)
    expect(out).to.match(/^last error +tls: the certificate/m)
    expect(out).to.match(/^rooms with something owed:\nROOM +PDUS +STICKY +LATEST\n!a:us +2 +1 +2$/m)
    expect(out).to.match(/^sticky events still owed:\nEVENT +ROOM +LAPSES\n\$1 +!a:us +in [789]m$/m)
    const other = await shown('destination', D)
    expect(other).to.match(/^d\.example:8448 is idle: nothing is owed$/m)
    expect(other).to.match(
      /^attempts, newest first:\nAT .*\n20.*abcdefghijklmnopqrstuv +2 +0 +answered +200 +12$/m,
    )
    expect(other).to.not.match(/rooms with/)
  })

  it('sticky: who has it and to whom it is owed', async () => {
    const out = await shown('sticky')
    expect(out).to.match(new RegExp(`^\\$1 +!a:us +@alice:us +in [789]m +1 +1\n +owed to\n${LONG}$`, 'm'))
    expect(await shown('sticky', '--destination', D)).to.equal('0 of 0\n')
    expect(await shown('sticky', '--room', '!a:us')).to.match(/1 of 1/)
    await s.event(3, 'a', { sticky: 5 * MINUTE })
    expect((await shown('sticky')).match(/^\$\d/gm), 'what lapses soonest first').to.deep.equal(['$3', '$1'])
  })

  it('explain: what became of an event, with the reason below', async () => {
    const out = await shown('explain', '$1')
    expect(out).to.match(/^destinations +1 delivered, 1 pending$/m)
    expect(out).to.match(/^d\.example:8448 +delivered +timeline +20\S+ \S+ +abc.*$/m)
    expect(out).to.match(
      /8448\n +pending +timeline +- +-\n {4}it has everything up to 0; this event is 1; the last/m,
    )
    expect(out.indexOf('pending  '), 'what is not there yet first').to.be.below(out.indexOf(D))
    expect(await shown('explain', '$1', '--destination', D)).to.match(/^destinations +1 delivered$/m)
  })

  it('explain: leaves out what went well where there are more than 100', async () => {
    const many = Array.from({ length: 120 }, (_, index) => `s${index}.example:1`)
    for (const name of many) await s.server(name, { position: 9 })
    for (const name of many) await s.member(name, 'a')
    const out = await shown('explain', '$2')
    expect(out).to.match(/^… and 22 more: --destination shows one, --all all$/m)
    expect(out).to.match(/ pending /)
  })

  for (const [action, said] of [
    ['wake', 'is tried now'],
    ['reset', 'is tried now; its failures are forgotten'],
    ['pause', 'is paused'],
    ['resume', 'is resumed'],
  ] as const) {
    it(`${action}: does it and says so`, async () => {
      await s.change(D, { position: 0 })
      expect(await shown(action, D)).to.equal(`${D} ${said}\n`)
      expect(app.woken).to.deep.equal([{ destination: D, queue: 'delivery' }])
      expect((await s.pool.query<{ action: string }>('select action from audit')).rows[0]?.action).to.equal(
        action,
      )
    })
  }

  it('wake: says so where nothing is owed, so that nothing is tried', async () => {
    await s.server('idle.example:1', { position: 2 })
    expect(await shown('wake', 'idle.example:1')).to.equal(
      'idle.example:1 is owed nothing, so there is nothing to try now\n',
    )
  })

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
      `${LONG}\n  is not sent what was owed to it up to now: 2 PDUs and 1 sticky event\n`,
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
        error: `unknown token (M_UNKNOWN_TOKEN): the limpet at http://127.0.0.1:${port} has other tokens; is it one with another configuration (--config)?`,
      })
    })

    it('by a Unix socket', async () => {
      const socket = join(folder, 'admin.sock')
      const server = createServer((request, response) =>
        response.end(
          request.url === '/v1/status'
            ? '{"server_name":"a","version":"1","position":0,"destinations":{},"pending_pdus":0,"as_of":null}'
            : '{"destinations":[],"total":0,"as_of":null}',
        ),
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

    it('by LIMPET_URL, LIMPET_TOKEN and LIMPET_CONFIG, before which the options come', async () => {
      const env = { LIMPET_URL: url, LIMPET_TOKEN: 'admin-token' }
      expect(await limpetIn({ env }, 'status')).to.include({ status: 0, error: '' })
      expect((await limpetIn({ env: { ...env, LIMPET_TOKEN: 'wrong' } }, 'status')).error).to.match(
        /unknown token/,
      )
      expect(
        await limpetIn({ env: { ...env, LIMPET_TOKEN: 'x' } }, 'status', '--token', 'admin-token'),
      ).to.include({
        status: 0,
      })
      const silent = { ...env, LIMPET_URL: 'http://127.0.0.1:1' }
      expect(await limpetIn({ env: silent }, 'status', '--url', url)).to.include({ status: 0 })
      expect((await limpetIn({ env: { ...env, LIMPET_URL: 'nowhere' } }, 'status')).error).to.match(
        /^LIMPET_URL must be an http/,
      )
      const other = join(folder, 'other.yaml')
      writeFileSync(
        other,
        `server_name: us.example\nlisten: {host: 127.0.0.1, port: ${new URL(url).port}}\ntokens: {admin: admin-token}\n`,
      )
      const config = { LIMPET_CONFIG: other }
      expect(await limpetIn({ env: config }, 'status')).to.include({ status: 0 })
      expect(
        await limpetIn({ env: { ...silent, LIMPET_TOKEN: 'x' } }, 'status', '--config', other),
      ).to.include({
        status: 0,
      })
      const empty = { LIMPET_CONFIG: other, LIMPET_URL: '', LIMPET_TOKEN: '' }
      expect(await limpetIn({ env: empty }, 'status')).to.include({ status: 0 })
      expect(
        (await limpetIn({ env: { LIMPET_CONFIG: join(folder, 'none.yaml') } }, 'status')).error,
      ).to.match(/none\.yaml does not exist/)
    })

    it('and says in one line what is no limpet, and changes nothing there', async () => {
      let answer = { status: 200, body: '' }
      const asked: string[] = []
      const other = createServer((request, response) => {
        asked.push(`${request.method ?? ''} ${request.url ?? ''}`)
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
      })
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
      const at = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
      const is = (why: string) => new RegExp(`^what answers at ${at} is not limpet.* \\(${why}\\)$`)
      const commands = [
        'status',
        'destinations',
        'destination x',
        'sticky',
        'explain x',
        'preview x',
        'discover x',
      ]
      const all = [
        ...commands,
        'quarantine x',
        'source x',
        'wake x',
        'skip x',
        'pause *',
        'block x',
        'unblock x',
      ]
      for (const command of all) {
        for (const [status, body, why] of [
          [200, '{}', 'its answer has no proper ".*"'],
          [200, '[]', 'its answer has no proper ".*"'],
          [200, '{"destinations": [1], "total": 1}', 'its answer has no proper ".*"'],
          [404, '{"message": "Not Found"}', 'status 404, no Matrix error'],
          [301, '', 'status 301, no JSON'],
        ] as const) {
          answer = { status, body }
          for (const more of [[], ['--json']]) {
            const ran = await limpet(...command.split(' '), ...more, '--url', at, '--token', 't')
            expect(ran.error, `${command} ${body}`).to.match(is(why))
            expect([ran.status, ran.out]).to.deep.equal([1, ''])
          }
        }
      }
      expect(asked.filter((line) => !line.startsWith('GET '))).to.deep.equal([])
      answer = { status: 404, body: '{"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}' }
      expect((await limpet('status', '--url', at, '--token', 't')).error).to.equal(
        `Unrecognized request (M_UNRECOGNIZED): what answers at ${at} is not limpet, or an older release of it`,
      )
      const secure = at.replace('http', 'https')
      expect((await limpet('status', '--url', secure, '--token', 't')).error).to.equal(
        `what answers at ${secure} is not limpet (it does not speak TLS)`,
      )
      await close(other)
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
    expect((await limpet('destinations', '--order-by', 'colour', ...there())).error).to.match(
      /order_by must be one of/,
    )
  })

  it('names those that may have been meant by a destination that is not known', async () => {
    await s.server('Chat.Example.org')
    const commands = [
      'destination',
      'preview',
      'wake',
      'skip',
      'quarantine',
      'sticky --destination',
      'explain $1 --destination',
    ]
    for (const command of commands) {
      const { status, out, error } = await limpet(...command.split(' '), 'd.example', ...there())
      expect([status, out], command).to.deep.equal([1, ''])
      expect(error, command).to.equal(`unknown destination d.example (M_NOT_FOUND): did you mean ${D}?`)
    }
    for (const [name, meant] of [
      ['chat.exmaple.org', 'Chat.Example.org'],
      ['chatt.example.orgg', 'Chat.Example.org'],
      ['chat.example.org:8448', 'Chat.Example.org'],
      ['e.example:8448', D],
    ] as const)
      expect((await limpet('destination', name, ...there())).error, name).to.match(
        new RegExp(`did you mean ${meant}\\?$`),
      )
    expect((await limpet('wake', 'other.example.net', ...there())).error).to.match(/\(M_NOT_FOUND\)$/)
    expect(app.woken).to.deep.equal([])
  })

  describe('--watch', () => {
    /** A terminal of 60 lines, and what to do between two askings; the last is followed by the end. */
    const watching = async (between: (() => unknown)[], ...args: string[]) => {
      const waits: number[] = []
      const wait = async (ms: number) => {
        waits.push(ms)
        await between[waits.length - 1]?.()
        return waits.length <= between.length
      }
      const terminal = { isTTY: true, columns: 100, rows: 12 }
      const needs = { now: Date.now, wait }
      const ran = await limpetIn({ env: { NO_COLOR: '1' }, terminal, needs }, ...args)
      return { ...ran, waits, pictures: ran.out.split('\u001b[H').slice(1) }
    }

    it('shows what has changed over what was there', async () => {
      const change = () => s.change(D, { paused: true })
      const { status, pictures, waits } = await watching([change], 'destinations', '--watch', ...there())
      expect([status, waits]).to.deep.equal([0, [2000, 2000]])
      expect(pictures).to.have.length(2)
      expect(pictures[0]).to.match(/^limpet destinations, every 2 s, at \d\d:\d\d:\d\d UTC.\[K\n/)
      expect(pictures[0]).to.match(/d\.example:8448 +idle/)
      expect(pictures[1])
        .to.match(/d\.example:8448 +paused/)
        .and.to.match(/.\[J$/)
    })

    it('goes on while limpet does not answer, but ends where it never has', async () => {
      let isAway = false
      const server = createServer((_request, response) => {
        if (isAway) response.socket?.destroy()
        else
          response.end(
            '{"server_name":"a","version":"1","position":7,"destinations":{},"pending_pdus":0,"sticky_pending":0,"sent_per_second":0,"oldest_pending_ms":null,"as_of":null}',
          )
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const where = ['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`, '--token', 't']
      const { status, pictures } = await watching(
        [() => (isAway = true), () => (isAway = false)],
        ...['status', '--every', '5', ...where],
      )
      expect([status, pictures.length]).to.deep.equal([0, 3])
      expect(pictures[1]).to.match(/no limpet answers at/)
      expect(pictures[2]).to.match(/position +7/)
      isAway = true
      expect(await watching([() => undefined], 'status', '--watch', ...where)).to.include({
        status: 1,
        out: '',
      })
      await close(server)
    })

    it('draws no more lines than the screen has', async () => {
      for (let n = 0; n < 20; n++) await s.server(`n${n}.example`)
      const { pictures } = await watching([], 'destinations', '--watch', ...there())
      expect(pictures[0]?.split('\n').length).to.be.within(10, 12)
      expect(pictures[0]).to.match(/\n… \d+ more lines.\[K\n.\[J$/)
    })

    it('is not for programs, and checks how often', async () => {
      expect((await limpet('status', '--watch', '--json', ...there())).error).to.match(/not both/)
      for (const wrong of ['0', 'x', '1e3', '-1'])
        expect(await limpet('status', `--every=${wrong}`, ...there()), wrong).to.include({ status: 2 })
    })
  })

  it('refuses a glob where one destination is looked at', async () => {
    const { status, error } = await limpet('destination', '*.example.org', ...there())
    expect(status).to.equal(2)
    expect(error).to.match(/is a glob: name one destination/)
    expect(app.woken).to.deep.equal([])
  })
})

const close = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()))
