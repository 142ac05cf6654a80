import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { type Embedded, type EmbeddedOptions, startEmbedded } from '../../src/store/embedded.ts'
import { query } from '../../src/store/embedded-postmaster.ts'
import { findProgram } from '../../src/store/embedded-program.ts'
import { isAlive } from '../../src/store/process-identity.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'

const log = { info: () => undefined, warn: () => undefined }
const MODULE = fileURLToPath(new URL('../../src/store/embedded.ts', import.meta.url))

const ownerOf = (path: string) => statSync(path).uid

describe('the embedded PostgreSQL', function () {
  // Several starts and stops of a server a test.
  this.timeout(300_000)
  let dataDir: string
  const pids = new Set<number>()

  const start = async (options: Partial<EmbeddedOptions> = {}): Promise<Embedded> => {
    const server = await startEmbedded({ dataDir, log, durable: false, ...options })
    pids.add(server.pid)
    return server
  }
  const ask = async (server: Embedded, sql: string): Promise<unknown> => {
    const rows = await query(
      server.url,
      async (client) => (await client.query({ text: sql, rowMode: 'array' })).rows,
    )
    return (rows as unknown[][])[0]?.[0]
  }
  /** Runs the start in a process of its own, as `command` `args`… node …, and gives what it printed. */
  const startElsewhere = (dir: string, command: string[] = []) => {
    const code = `
      const { startEmbedded } = await import(${JSON.stringify(MODULE)})
      const log = { info: (fields) => fields.as && console.log(fields.as), warn() {} }
      const server = await startEmbedded({ dataDir: ${JSON.stringify(dir)}, log, durable: false })
      console.log('pid ' + server.pid)
      setInterval(() => {}, 1000)`
    const [file, ...args] = [
      ...command,
      process.execPath,
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      code,
    ]
    const child = spawn(file, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
    return { child, ended, output: () => output }
  }

  let forget: () => void
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'limpet-embedded-'))
    forget = leaveBehind({
      clear: () => Promise.resolve(),
      kill: () => {
        for (const pid of pids) process.kill(pid, 'SIGQUIT')
      },
    })
  })
  afterEach(async () => {
    for (const pid of pids) {
      if (isAlive(pid)) process.kill(pid, 'SIGQUIT')
      await until(() => !isAlive(pid), { what: `server ${pid} to be gone` })
    }
    pids.clear()
    forget()
    rmSync(dataDir, { recursive: true, force: true })
  })

  it('keeps its rows, its port and its password from one start to the next', async () => {
    const first = await start()
    await ask(first, 'create table kept as select 42 as answer')
    await first.stop()
    expect(isAlive(first.pid)).to.equal(false)
    const second = await start()
    expect(second.adopted).to.equal(false)
    expect(second.url).to.equal(first.url)
    expect(await ask(second, 'select answer from kept')).to.equal(42)
  })

  it('is UTF-8 in the order of code points, durable, and on 127.0.0.1 alone', async () => {
    const server = await start()
    expect(await ask(server, 'show server_encoding')).to.equal('UTF8')
    expect(await ask(server, `select datcollate from pg_database where datname = 'limpet'`)).to.equal('C')
    expect(await ask(server, 'show fsync')).to.equal('on')
    expect(await ask(server, 'show listen_addresses')).to.equal('127.0.0.1')
    expect(await ask(server, 'show unix_socket_directories')).to.equal('')
  })

  it('lets nobody in without the password, which only we can read', async () => {
    const server = await start()
    const wrong = new URL(server.url)
    wrong.password = 'guessed'
    const refused = await query(wrong.href, () => Promise.resolve('in')).catch((error: unknown) => error)
    expect(refused).to.have.property('code', '28P01')
    expect(statSync(join(dataDir, 'postgres', 'password')).mode & 0o777).to.equal(0o600)
  })

  it('outlives a Ctrl-C and a kill -9 of the process that started it, and is adopted by the next', async () => {
    const { child, ended, output } = startElsewhere(dataDir)
    const pid = await until(() => Number(/pid (\d+)/.exec(output())?.[1]), {
      what: 'the first start',
    })
    pids.add(pid)
    process.kill(-child.pid!, 'SIGINT')
    await ended
    const next = await start()
    expect(next).to.include({ adopted: true, pid })
    expect(await ask(next, 'select 1')).to.equal(1)
  })

  it('is the same server under whatever link leads to its data_dir', async () => {
    const link = `${dataDir}-link`
    symlinkSync(dataDir, link)
    try {
      const first = await start({ dataDir: link })
      expect(await start()).to.include({ adopted: true, pid: first.pid })
    } finally {
      rmSync(link)
    }
  })

  it('recovers what was committed after kill -9 of the server itself', async () => {
    const first = await start()
    await ask(first, 'create table kept as select 42 as answer')
    process.kill(first.pid, 'SIGKILL')
    await until(() => !isAlive(first.pid), { what: 'the server to be dead' })
    const second = await start()
    expect(second.adopted).to.equal(false)
    expect(await ask(second, 'select answer from kept')).to.equal(42)
  })

  it('starts although postmaster.pid names a living stranger', async () => {
    const first = await start()
    const file = join(dataDir, 'postgres', 'data', 'postmaster.pid')
    const left = readFileSync(file, 'utf8')
    await first.stop()
    writeFileSync(file, left.replace(String(first.pid), String(process.pid)))
    expect(await start()).to.include({ adopted: false })
  })

  it('waits for a server that is just going down, instead of adopting it', async () => {
    const first = await start()
    const going = first.stop('fast')
    const second = await start()
    await going
    expect(second.adopted).to.equal(false)
    expect(await ask(second, 'select 1')).to.equal(1)
  })

  it('takes another port when somebody else has got the one it had', async () => {
    const first = await start()
    await first.stop()
    const squatter = createServer()
    await new Promise<void>((resolve) => squatter.listen(first.port, '127.0.0.1', resolve))
    try {
      const second = await start()
      expect(second.port).not.to.equal(first.port)
      expect(await ask(second, 'select 1')).to.equal(1)
    } finally {
      squatter.close()
    }
  })

  it('makes its directory anew when the first try was cut short', async () => {
    const partial = join(dataDir, 'postgres', 'data.partial')
    mkdirSync(join(partial, 'base'), { recursive: true })
    writeFileSync(join(partial, 'PG_VERSION'), '')
    const server = await start()
    expect(await ask(server, 'select 1')).to.equal(1)
    expect(existsSync(partial)).to.equal(false)
  })

  it('refuses a directory of another major version in one line that names the way out', async () => {
    mkdirSync(join(dataDir, 'postgres', 'data'), { recursive: true })
    writeFileSync(join(dataDir, 'postgres', 'data', 'PG_VERSION'), '15\n')
    const error = await start().catch((thrown: unknown) => thrown)
    expect(error).to.have.property('code', 'EMBEDDED_VERSION')
    expect((error as Error).message)
      .to.match(/made by PostgreSQL 15, this limpet brings 18: .*postgres:\/\/ URL/)
      .and.not.include('\n')
  })

  it('says so where npm has no PostgreSQL for the machine', () => {
    expect(() => findProgram('plan9', 'mips')).to.throw(
      /no embedded PostgreSQL for plan9-mips.*set `database`/,
    )
  })

  it('does not mind a data_dir whose path is too long for a socket', async () => {
    const server = await start({ dataDir: join(dataDir, 'a-directory-of-some-length'.repeat(6)) })
    expect(await ask(server, 'select 1')).to.equal(1)
  })

  // Root in a mount namespace in which `unshare` does nothing but fail: as in a container that allows
  // no user namespaces. Where we can't make one there is nothing to test.
  const hidden = [
    'unshare',
    '-m',
    'sh',
    '-c',
    'mount --bind /bin/false "$(command -v unshare)" && exec "$@"',
    'sh',
  ]
  const works = (file: string, args: readonly string[], as = {}) => spawnSync(file, args, as).status === 0
  const othersReach = (path: string) => works('sh', ['-c', 'cd "$1"', 'sh', path], { uid: 1, gid: 1 })
  if (process.getuid?.() === 0 && works(hidden[0]!, [...hidden.slice(1), 'true']) && othersReach(tmpdir())) {
    it('as root without user namespaces runs as another account', async () => {
      const { child, ended, output } = startElsewhere(dataDir, hidden)
      const pid = await until(() => Number(/pid (\d+)/.exec(output())?.[1]), {
        what: 'a start',
      })
      pids.add(pid)
      child.kill('SIGKILL')
      await ended
      expect(output()).to.include('the account ')
      expect(ownerOf(`/proc/${pid}`)).not.to.equal(0)
    })

    it('as root goes on as the owner of the data', async () => {
      const first = await start()
      await first.stop()
      chmodSync(dataDir, 0o711)
      execFileSync('chown', ['-R', '1:1', join(dataDir, 'postgres')])
      const second = await start()
      expect(await ask(second, 'select 1')).to.equal(1)
      expect(ownerOf(`/proc/${second.pid}`)).to.equal(1)
    })

    it('as root without user namespaces says what to do when no other account gets to data_dir', async () => {
      const closed = mkdtempSync(join(dataDir, 'home-'))
      const { ended, output } = startElsewhere(join(closed, 'data'), hidden)
      await ended
      expect(output()).to.match(
        /PostgreSQL does not run as root.*can't reach .*: run limpet as an ordinary user/,
      )
    })
  }
})
