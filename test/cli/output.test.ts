import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { quietPort } from '../support/port.ts'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { smallDisk } from '../support/small-disk.ts'
import { install, limpet, limpetCommand, startLimpet } from './cli-stage.ts'
import type { Install } from './cli-stage.ts'

const BACKSLASH_N = 10

describe('standard output, as a real process has it', function () {
  // Several processes, one after another, and each needs seconds to start.
  this.timeout(300_000)
  const closers: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  async function setUp(): Promise<{ one: Install; base: string }> {
    const port = await quietPort()
    const one = install({ database: (await freshDatabase()).url, listen: { port } })
    closers.push(() => one.remove())
    return { one, base: `http://127.0.0.1:${port}` }
  }

  /** A real limpet whose standard output is this file, or a pipe. */
  function start(args: string[], cwd: string, stdout: number | 'pipe') {
    const child = spawn(process.execPath, limpetCommand(args).args, {
      ...{ cwd, env: limpetCommand(args).env, stdio: ['ignore', stdout, 'pipe'] },
    })
    let err = ''
    child.stderr?.on('data', (data: Buffer) => (err += data.toString()))
    const ended = once(child, 'close').then(([status]) => status as number | null)
    closers.push(async () => {
      child.kill('SIGKILL')
      await ended
    })
    return { child, ended, err: () => err }
  }

  const ready = (base: string) =>
    until(
      () =>
        fetch(`${base}/health/ready`).then(
          ({ status }) => status === 200,
          () => false,
        ),
      { what: 'limpet to be ready' },
    )
  const lost = async (base: string) => {
    const text = await (await fetch(`${base}/metrics`)).text()
    return Number(/^limpet_log_lines_lost_total (\d+)$/m.exec(text)?.[1])
  }

  it('its reader gone: the daemon goes on, counts what is lost, and stops in order', async () => {
    const { one, base } = await setUp()
    const { child, ended, err } = start(['run'], one.dir, 'pipe')
    await once(child.stdout!, 'data')
    child.stdout!.destroy()
    await ready(base)
    child.kill('SIGHUP')
    await until(async () => (await lost(base)) > 0, { what: 'a line to be lost' })
    expect((await fetch(`${base}/health/ready`)).status).to.equal(200)
    child.kill('SIGTERM')
    expect(await ended).to.equal(0)
    expect(err()).to.equal('')
  })

  it('never read: the daemon goes on, and ends all the same', async () => {
    const { one, base } = await setUp()
    const { child, ended, err } = start(['run'], one.dir, 'pipe')
    child.stdout!.pause()
    await ready(base)
    child.kill('SIGTERM')
    const status = once(child, 'exit')
    expect((await status)[0]).to.equal(0)
    child.stdout!.resume()
    await ended
    expect(err()).to.equal('')
  })

  it('full: the daemon goes on, counts what is lost, and stops in order', async () => {
    const { one, base } = await setUp()
    const full = openSync('/dev/full', 'w')
    const { child, ended, err } = start(['run'], one.dir, full)
    closeSync(full)
    await ready(base)
    await until(async () => (await lost(base)) >= 1, { what: 'a line to be lost' })
    child.kill('SIGTERM')
    expect(await ended).to.equal(0)
    expect(err()).to.equal('')
  })

  it('full for a while: afterwards lines are whole again, and one says how many are missing', async function () {
    const disk = smallDisk(this, 1)
    closers.push(() => disk.remove())
    const path = join(disk.path, 'log')
    const { one, base } = await setUp()
    const file = openSync(path, 'a')
    const { child, ended, err } = start(['run'], one.dir, file)
    closeSync(file)
    await ready(base)
    expect(await lost(base)).to.equal(0)
    disk.fill()
    // A page may have some room left.
    await until(
      async () => {
        child.kill('SIGHUP')
        return (await lost(base)) > 1
      },
      { what: 'lines to be lost' },
    )
    disk.free()
    child.kill('SIGHUP')
    await until(() => readFileSync(path, 'utf8').includes('"lost":'), { what: 'the line that says so' })
    const counted = await lost(base)
    child.kill('SIGTERM')
    expect(await ended).to.equal(0)
    expect(err()).to.equal('')
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    const whole = lines.flatMap((line) => {
      try {
        return [JSON.parse(line) as { msg: string; lost?: number }]
      } catch {
        return []
      }
    })
    // At most the one that was cut off is not whole.
    expect(lines.length - whole.length).to.be.at.most(1)
    expect(whole.reduce((sum, one) => sum + (one.lost ?? 0), 0)).to.equal(counted)
    expect(whole.at(-1)?.msg).to.equal('stopped')
  })

  it('closed, and standard error too: the daemon runs and stops', async () => {
    const { one, base } = await setUp()
    const { args, env } = limpetCommand(['run'])
    const shell = ['-c', 'exec "$@" >&- 2>&-', 'sh', process.execPath, ...args]
    const child = spawn('/bin/sh', shell, { cwd: one.dir, env, stdio: 'ignore' })
    closers.push(() => child.kill('SIGKILL'))
    await ready(base)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).to.deep.equal([0, null])
  })

  describe('of a command', () => {
    /** An API with more destinations than a pipe holds, and what a command is told to reach it. */
    async function api(): Promise<string[]> {
      const destinations = Array.from({ length: 3_000 }, (_, i) => ({
        ...{ destination: `a-rather-long-name-${i}.example`, state: 'idle', reason: 'nothing is owed to it' },
        ...{ pending_pdus: 0, pending_sticky: 0, next_attempt: null, last_error: null, failing_since: null },
        ...{ oldest_pending_ms: null, gap: null, last_success: null, last_attempt: null },
      }))
      const totals = {
        server_name: 'a',
        version: '1',
        position: 0,
        destinations: { idle: 3_000 },
        pending_pdus: 0,
      }
      const server = createServer(({ url }, response) => {
        response.setHeader('content-type', 'application/json')
        const list = { destinations, total: destinations.length }
        response.end(JSON.stringify(url === '/v1/status' ? { ...totals, as_of: null } : list))
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      closers.push(() => server.close())
      return ['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`, '--token', 'x']
    }

    it('arrives whole, also where its reader is slow', async () => {
      const { one } = await setUp()
      const { child, ended } = start(['destinations', '--json', ...(await api())], one.dir, 'pipe')
      let read = 0
      let last = 0
      const stdout = child.stdout!.pause()
      await once(stdout, 'readable')
      // Whatever the process does when its pipe is full, it has had the time for by now.
      await until(() => stdout.readableLength >= 16_384 && stdout.readableLength, {
        what: 'the pipe to fill',
      })
      stdout.on('data', (data: Buffer) => {
        read += data.length
        last = data.at(-1) ?? 0
      })
      expect(await ended).to.equal(0)
      expect(read).to.be.greaterThan(500_000)
      expect(last).to.equal(BACKSLASH_N)
    })

    it('its reader gone, is no error', async () => {
      const { one } = await setUp()
      const { child, ended, err } = start(['destinations', '--all', ...(await api())], one.dir, 'pipe')
      child.stdout!.destroy()
      expect(await ended).to.equal(0)
      expect(err()).to.equal('')
    })

    it('full, is an error in one line', async () => {
      const { one } = await setUp()
      const full = openSync('/dev/full', 'w')
      const { ended, err } = start(['destinations', ...(await api())], one.dir, full)
      closeSync(full)
      expect(await ended).to.equal(1)
      expect(err()).to.match(/^limpet: standard output: ENOSPC: no space left on device, write\n$/)
    })

    it('its reader gone in the middle, leaves no embedded PostgreSQL running', async () => {
      const one = install()
      closers.push(() => one.remove())
      expect(await limpet(['migrate'], { cwd: one.dir })).to.include({ status: 0 })
      const { child, ended } = start(['check-config'], one.dir, 'pipe')
      await once(child.stdout!, 'data')
      child.stdout!.destroy()
      expect(await ended).to.equal(0)
      expect(existsSync(join(one.dir, 'limpet-data/postgres/data'))).to.equal(true)
      expect(existsSync(join(one.dir, 'limpet-data/postgres/data/postmaster.pid'))).to.equal(false)
    })
  })

  it('of a run that fails, whose standard error nobody reads: the status says it', async () => {
    const { one } = await setUp()
    const run = startLimpet(['run', '--role', 'nonsense'], { cwd: one.dir })
    run.child.stderr?.destroy()
    expect(await run.ended).to.equal(2)
  })
})
