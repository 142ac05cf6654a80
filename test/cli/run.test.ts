import { EventEmitter } from 'node:events'
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { untilSignal } from '../../src/cli/run.ts'
import { makeLog } from '../../src/observe/log.ts'
import { quietPort } from '../support/port.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { freshDatabase } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { install, limpet, startLimpet } from './cli-stage.ts'
import type { Install, Process } from './cli-stage.ts'

describe('limpet run, as a process', function () {
  // Several processes a test, one after another, and each needs seconds to start.
  this.timeout(300_000)
  const installs: Install[] = []
  afterEach(() => {
    for (const one of installs.splice(0)) one.remove()
  })
  const setUp = (settings: object = {}) => {
    const one = install(settings)
    installs.push(one)
    return one
  }
  const start = (one: Install, ...args: string[]) => startLimpet(['run', ...args], { cwd: one.dir })
  const fails = async (run: Process, status: number, line: RegExp) => {
    expect(await run.ended, run.err).to.equal(status)
    expect(run.err).to.match(line)
    expect(run.err.match(/\n/g), 'one line').to.have.length(1)
  }
  /** Resolves with where it listens. */
  const running = (run: Process) =>
    until(() => /"(http:\/\/127\.0\.0\.1:\d+)"/.exec(run.out)?.[1], {
      what: `limpet to run: ${run.err}`,
    })

  it('serves until SIGTERM, exit 0', async () => {
    const one = setUp({ database: (await freshDatabase()).url })
    const run = start(one)
    const base = await running(run)
    expect((await fetch(`${base}/health/ready`)).status).to.equal(200)
    run.child.kill('SIGTERM')
    expect(await run.ended).to.equal(0)
    expect(run.err).to.equal('')
  })

  it('ends in order at whichever moment of its start it is told to: `stopped`, exit 0, no PostgreSQL left', async () => {
    const one = setUp()
    const room = join(one.dir, 'limpet-data/postgres')
    const moments: [string, (run: Process) => boolean][] = [
      ['while the database is made', () => existsSync(join(room, 'data.partial'))],
      ['while PostgreSQL starts', () => existsSync(join(room, 'data/postmaster.pid'))],
      ['before the schema is there', (run) => run.out.includes('embedded PostgreSQL started')],
      ['before it runs', (run) => run.out.includes('migrated to this version')],
    ]
    for (const [moment, reached] of moments) {
      rmSync(join(one.dir, 'limpet-data'), { recursive: true, force: true })
      const run = start(one)
      await until(() => reached(run), { what: `${moment}: ${run.err}` })
      run.child.kill('SIGHUP')
      run.child.kill('SIGTERM')
      expect(await run.ended, moment).to.equal(0)
      expect(run.err, moment).to.equal('')
      expect(run.out.trimEnd().split('\n').at(-1), moment).to.include('"msg":"stopped"')
      expect(run.out, moment)
        .to.include('SIGHUP')
        .and.not.to.match(/\bat \S+:\d+:\d+/)
      expect(existsSync(join(room, 'data/postmaster.pid')), moment).to.equal(false)
    }
  })

  it('told twice, exits at once and takes its PostgreSQL along', async () => {
    const one = setUp()
    const pidFile = join(one.dir, 'limpet-data/postgres/data/postmaster.pid')
    const run = start(one)
    await running(run)
    run.child.kill('SIGTERM')
    await until(() => run.out.includes('stopping'), { what: 'it to stop' })
    run.child.kill('SIGTERM')
    expect([0, 143]).to.include(await run.ended)
    await until(() => !existsSync(pidFile), { what: 'PostgreSQL to be gone' })
    expect(run.err).to.equal('')
  })

  it('without a listener, with one role, stops on SIGINT as well', async () => {
    const one = setUp({ database: (await freshDatabase()).url })
    const run = start(one, '--role', 'housekeep', '--listen', 'none')
    await until(() => run.out.includes('limpet runs'), { what: 'limpet to run' })
    run.child.kill('SIGINT')
    expect(await run.ended).to.equal(0)
  })

  it('refuses a second run on one data_dir, and the first goes on', async () => {
    const one = setUp()
    const first = start(one)
    const base = await running(first)
    await fails(
      start(one),
      1,
      /^limpet: data_dir .* is in use by another limpet \(process \d+\): stop that one first/,
    )
    expect((await fetch(`${base}/health/ready`)).status).to.equal(200)
    // Commands share the embedded database while it runs, and start and stop it when it doesn't.
    for (const state of ['running', 'stopped']) {
      const checked = await limpet(['check-config'], { cwd: one.dir })
      expect(checked.out, state).to.include("database: ok; the queue's schema ok")
      expect(await limpet(['migrate'], { cwd: one.dir }), state).to.include({ status: 0, err: '' })
      if (state === 'stopped') break
      expect((await fetch(`${base}/health/ready`)).status).to.equal(200)
      first.child.kill('SIGTERM')
      expect(await first.ended).to.equal(0)
    }
    expect(existsSync(join(one.dir, 'limpet-data/postgres/data/postmaster.pid'))).to.equal(false)
  })

  it('says in one line what keeps it from starting, with the status of the contract', async () => {
    const { url } = await freshDatabase()
    const key = setUp({ database: url })
    chmodSync(key.key, 0o644)
    const wrong = setUp({ database: url })
    writeFileSync(wrong.file, 'server_name: a.example\nfrobnicate: 1\n')
    const away = setUp({ database: `postgres://u:hidden@127.0.0.1:${await quietPort()}/d` })
    const noQueue = setUp({ database: url, queue: `redis://:hidden@127.0.0.1:${await quietPort()}` })
    const noCa = setUp({ database: url, federation: { custom_ca_paths: ['none.pem'] } })
    const awayRun = start(away)
    const noQueueRun = start(noQueue)
    await Promise.all([
      fails(start(key), 2, /^limpet: signing_key_path: .* is open to others/),
      fails(start(wrong), 2, /^limpet: frobnicate: unknown setting\n$/),
      fails(start(noCa), 2, /^limpet: federation\.custom_ca_paths\.0: .*none\.pem does not exist\n$/),
      fails(awayRun, 1, /^limpet: the database at 127\.0\.0\.1:\d+\/d can't be reached \(.*ECONNREFUSED/),
      fails(noQueueRun, 1, /ECONNREFUSED/),
    ])
    expect(awayRun.err + noQueueRun.err).not.to.include('hidden')
  })

  it('refuses a database of another server_name, and a schema that it does not know, exit 2', async () => {
    const { url } = await freshDatabase()
    const sql = (text: string) => query(url, (client) => client.query(text))
    await sql(`insert into settings (key, value) values ('server_name', 'b.example')`)
    await fails(start(setUp({ database: url })), 2, /^limpet: the database belongs to server_name b\.example/)
    await sql(`insert into limpet_migrations (version, name, checksum) values (9999, 'x', 'x')`)
    await fails(start(setUp({ database: url })), 2, /^limpet: the database schema is version 9999/)
    const { url: empty } = await freshDatabase({ migrated: false })
    await fails(start(setUp({ database: empty, auto_migrate: false })), 2, /run `limpet migrate`\n$/)
  })

  it('says that somebody else listens there, exit 1', async () => {
    const { url } = await freshDatabase()
    const first = start(setUp({ database: url }))
    const { port } = new URL(await running(first))
    await fails(
      start(setUp({ database: url }), '--listen', `127.0.0.1:${port}`),
      1,
      /^limpet: can't listen on 127\.0\.0\.1:\d+: somebody else listens there; `listen` or --listen names another address\n$/,
    )
    first.child.kill('SIGTERM')
    await first.ended
  })
})

describe('signals', () => {
  const log = makeLog({ level: 'silent', pretty: false })

  function stage() {
    const signals = new EventEmitter()
    const clock = { now: 0 }
    const exits: number[] = []
    let stopped = 0
    let reloaded = 0
    let fail: (error: Error) => void = () => undefined
    let finish: () => void = () => undefined
    const stopping = new Promise<void>((resolve) => (finish = resolve))
    const done = new Promise<void>((_resolve, reject) => (fail = reject))
    const ended = untilSignal(signals, {
      start: () =>
        Promise.resolve({
          done,
          reload: () => (reloaded += 1),
          stop: () => {
            stopped += 1
            return stopping
          },
        }),
      exitNow: (status) => exits.push(status),
      now: () => clock.now,
      log,
    })
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    const signal = async (name: string) => {
      signals.emit(name, name)
      await turn()
    }
    return {
      ...{ signals, clock, exits, ended, fail, finish, signal, turn },
      ...{ stopped: () => stopped, reloaded: () => reloaded },
    }
  }

  it('the first one stops, the second one exits at once', async () => {
    const { exits, ended, finish, signal, stopped } = stage()
    await signal('SIGTERM')
    expect(stopped()).to.equal(1)
    expect(exits).to.deep.equal([])
    await signal('SIGTERM')
    expect(exits).to.deep.equal([143])
    finish()
    await ended
  })

  it('a Ctrl-C that comes twice, from the terminal and from npm, is one', async () => {
    const { clock, exits, ended, finish, signal, stopped } = stage()
    await signal('SIGINT')
    clock.now = 100
    await signal('SIGINT')
    expect(exits).to.deep.equal([])
    clock.now = 1000
    await signal('SIGINT')
    expect(exits).to.deep.equal([130])
    expect(stopped()).to.equal(1)
    finish()
    await ended
  })

  it('one that comes before it runs makes what kept it from running unimportant', async () => {
    const signals = new EventEmitter()
    const lines: string[] = []
    const stream = { write: (line: string) => lines.push(line) }
    const ended = untilSignal(signals, {
      start: () => {
        signals.emit('SIGTERM', 'SIGTERM')
        return Promise.reject(new Error('the database is away'))
      },
      exitNow: () => undefined,
      now: () => 0,
      log: makeLog({ level: 'info', pretty: false, stream }),
    })
    await ended
    expect(lines.at(-1)).to.include('"msg":"stopped"')
    expect(lines.join('')).to.include('the database is away')
  })

  it('a hangup ends nothing and has the configuration read again: also one that comes before it runs, and none while it stops', async () => {
    const { signals, ended, finish, signal, stopped, reloaded } = stage()
    signals.emit('SIGHUP', 'SIGHUP')
    expect(reloaded(), 'before it runs').to.equal(0)
    await signal('SIGHUP')
    expect(reloaded(), 'two of before').to.equal(1)
    await signal('SIGHUP')
    expect([stopped(), reloaded()]).to.deep.equal([0, 2])
    await signal('SIGTERM')
    await signal('SIGHUP')
    expect([stopped(), reloaded()]).to.deep.equal([1, 2])
    finish()
    await ended
    expect(signals.listenerCount('SIGHUP')).to.equal(0)
  })

  it('a daemon that can not go on is stopped, and its reason told', async () => {
    const { signals, ended, fail, finish, stopped } = stage()
    finish()
    fail(new Error('the schema is another one'))
    const error = await ended.catch((reason: unknown) => reason)
    expect(error).to.have.property('message', 'the schema is another one')
    expect(stopped()).to.equal(1)
    expect(signals.listenerCount('SIGTERM')).to.equal(0)
  })
})
