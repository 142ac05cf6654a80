import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { type Embedded, type EmbeddedOptions, startEmbedded } from '../../src/embedded/server.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { findProgram } from '../../src/embedded/program.ts'
import { isAlive } from '../../src/embedded/process-identity.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'
import { quietPort } from '../support/port.ts'

const log = { info: () => undefined, warn: () => undefined }
const MODULE = fileURLToPath(new URL('../../src/embedded/server.ts', import.meta.url))

const ownerOf = (path: string) => statSync(path).uid

describe('the embedded PostgreSQL', function () {
  // Several starts and stops of a server a test.
  this.timeout(300_000)
  let dataDir: string
  const pids = new Set<number>()

  const start = async (options: Partial<EmbeddedOptions> = {}): Promise<Embedded> => {
    const dir = options.dataDir ?? dataDir
    if (!existsSync(join(dir, 'postgres'))) place(dir)
    const server = await startEmbedded({ dataDir: dir, log, durable: false, ...options })
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
  const urlOf = ({ url }: Embedded, other: { user?: string; password?: string; database?: string }) => {
    const changed = new URL(url)
    changed.username = other.user ?? changed.username
    changed.password = other.password ?? changed.password
    changed.pathname = other.database ?? changed.pathname
    return changed.href
  }
  /** Why that is refused, or `in`. */
  const refusal = (url: string, sql = 'select 1'): Promise<unknown> =>
    query(url, (client) => client.query(sql)).then(
      () => 'in',
      (error: unknown) => error,
    )
  /** Runs the start in a process of its own, as `command` `args`… node …, and gives what it printed. */
  const startElsewhere = (dir: string, command: string[] = []) => {
    const code = `
      const { startEmbedded } = await import(${JSON.stringify(MODULE)})
      const log = { info: (fields) => fields.as && console.log(fields.as), warn: (_, what) => console.log(what) }
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

  // Made once, and copied: `initdb` is most of what a first start takes.
  let template: string
  before(async () => {
    template = mkdtempSync(join(tmpdir(), 'limpet-embedded-'))
    await (await startEmbedded({ dataDir: template, log, durable: false })).stop()
  })
  after(() => rmSync(template, { recursive: true, force: true }))
  const place = (dir: string) => {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    execFileSync('cp', ['-a', join(template, 'postgres'), dir])
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

  it('keeps its rows from one start to the next, and no password', async () => {
    const first = await start()
    await ask(first, 'create table kept as select 42 as answer')
    await first.stop()
    expect(isAlive(first.pid)).to.equal(false)
    const second = await start()
    expect(second.adopted).to.equal(false)
    expect(second.place.folder).to.equal(first.place.folder)
    expect(await ask(second, 'select answer from kept')).to.equal(42)
    expect(second.place.password).not.to.equal(first.place.password)
    expect(await refusal(urlOf(second, { password: first.place.password }))).to.have.property('code', '28P01')
  })

  it('is UTF-8 in the order of code points, durable, and on a socket of our own alone', async () => {
    const server = await start()
    expect(await ask(server, 'show server_encoding')).to.equal('UTF8')
    expect(await ask(server, `select datcollate from pg_database where datname = 'limpet'`)).to.equal('C')
    expect(await ask(server, 'show fsync')).to.equal('on')
    expect(await ask(server, 'show listen_addresses')).to.equal('')
    expect(server.place.folder).to.equal(join(realpathSync(dataDir), 'postgres', 's'))
    for (const path of [
      dataDir,
      join(dataDir, 'postgres'),
      server.place.folder,
      join(server.place.folder, '.s.PGSQL.5432'),
    ])
      expect(statSync(path).mode & 0o777, path).to.equal(0o700)
  })

  it('listens on no port, whatever its settings say', async () => {
    const first = await start()
    await first.stop()
    appendFileSync(
      join(dataDir, 'postgres/data/postgresql.conf'),
      `listen_addresses = '*'\nport = ${await quietPort()}\n`,
    )
    const second = await start()
    const listening = execFileSync('ss', ['-Hltnp'], { encoding: 'utf8' })
    expect(listening).not.to.include(`pid=${second.pid},`)
    expect(await ask(second, 'show listen_addresses')).to.equal('')
  })

  it('lets nobody in without the password, which only we can read', async () => {
    const server = await start()
    expect(await refusal(urlOf(server, { password: 'guessed' }))).to.have.property('code', '28P01')
    expect(statSync(join(dataDir, 'postgres', 'password')).mode & 0o777).to.equal(0o600)
    expect(readFileSync(join(dataDir, 'postgres', 'password'), 'utf8')).to.equal(server.place.password)
  })

  it('takes us for the owner of our database, and for nothing beyond that', async () => {
    const server = await start()
    const rights = `select concat_ws(' ', rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls)
                      from pg_roles where rolname = current_user`
    expect(await ask(server, rights)).to.equal('limpet f f f f f')
    expect(
      await ask(server, `select pg_get_userbyid(datdba) from pg_database where datname = 'limpet'`),
    ).to.equal('limpet')
    for (const forbidden of [
      `copy (select 1) to program 'cat'`,
      `select pg_read_file('/etc/passwd')`,
      'create role other',
    ])
      expect(await refusal(server.url, forbidden), forbidden).to.have.property('code', '42501')
    // What a long snapshot of somebody else costs is seen all the same.
    await ask(server, 'create table ours ()')
    expect(await ask(server, `select pg_has_role('pg_read_all_stats', 'usage')`)).to.equal(true)
  })

  it('lets nobody in as the superuser, whatever he knows', async () => {
    const server = await start()
    for (const [user, database] of [
      ['limpet_admin', 'limpet'],
      ['limpet_admin', 'postgres'],
      ['limpet', 'postgres'],
    ] as const) {
      const error = await refusal(urlOf(server, { user, database }))
      expect(error, `${user} ${database}`).to.have.property('code', '28000')
      expect(String(error)).to.match(/no pg_hba.conf entry/)
    }
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

  it('is at the same place after it was killed, for those who are connected', async () => {
    const first = await start()
    process.kill(first.pid, 'SIGKILL')
    await until(() => !isAlive(first.pid), { what: 'the server to be dead' })
    const second = await start({ place: first.place })
    expect(second.url).to.equal(first.url)
    expect(await ask(second, 'select 1')).to.equal(1)
  })

  it('has a new password after it was adopted for good', async () => {
    const first = await start()
    const second = await start({ owns: true })
    expect(second).to.include({ adopted: true, pid: first.pid })
    expect(second.place.password).not.to.equal(first.place.password)
    expect(await refusal(first.url)).to.have.property('code', '28P01')
  })

  it('is started anew where the password that is on disk is not its own', async () => {
    const first = await start()
    writeFileSync(join(dataDir, 'postgres', 'password'), 'of a backup')
    const second = await start()
    expect(second).to.include({ adopted: false })
    expect(isAlive(first.pid)).to.equal(false)
    expect(await ask(second, 'select 1')).to.equal(1)
  })

  it('needs no password on disk to be started again', async () => {
    const first = await start()
    await first.stop()
    rmSync(join(dataDir, 'postgres', 'password'))
    expect(await ask(await start(), 'select 1')).to.equal(1)
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
      .to.match(/made by PostgreSQL 15, but this limpet comes with PostgreSQL 18: .*postgres:\/\/ URL/)
      .and.not.include('\n')
  })

  it('says so where npm has no PostgreSQL for the machine', () => {
    expect(() => findProgram('plan9', 'mips')).to.throw(
      /no embedded PostgreSQL for plan9-mips.*set `database`/,
    )
  })

  describe('with a data_dir whose path is too long for a socket', () => {
    const long = () => join(dataDir, 'a-directory-of-some-length'.repeat(6))
    const runtime = process.env['XDG_RUNTIME_DIR']
    beforeEach(() => {
      mkdirSync(join(dataDir, 'run'), { mode: 0o700 })
      process.env['XDG_RUNTIME_DIR'] = join(dataDir, 'run')
    })
    afterEach(() => {
      if (runtime === undefined) delete process.env['XDG_RUNTIME_DIR']
      else process.env['XDG_RUNTIME_DIR'] = runtime
    })

    it('listens in a new folder of its own, which goes with it', async () => {
      const server = await start({ dataDir: long() })
      expect(server.place.folder).to.match(/\/run\/limpet-.{6}$/)
      expect(statSync(server.place.folder).mode & 0o777).to.equal(0o700)
      expect(await ask(server, 'select 1')).to.equal(1)
      await server.stop()
      expect(existsSync(server.place.folder)).to.equal(false)
    })

    it('is found there by the next one, and leaves no second folder behind after kill -9', async () => {
      const first = await start({ dataDir: long() })
      expect(await start({ dataDir: long() })).to.include({ adopted: true, pid: first.pid })
      process.kill(first.pid, 'SIGKILL')
      await until(() => !isAlive(first.pid), { what: 'the server to be dead' })
      const second = await start({ dataDir: long() })
      expect(second.place.folder).to.equal(first.place.folder)
      expect(readdirSync(join(dataDir, 'run'))).to.have.length(1)
    })

    it('goes to another place when somebody can get into the one it had, or it is a link', async () => {
      const first = await start({ dataDir: long() })
      await first.stop()
      for (const spoil of [
        (path: string) => mkdirSync(path, { mode: 0o755 }),
        (path: string) => symlinkSync(dataDir, path),
      ]) {
        spoil(first.place.folder)
        writeFileSync(join(long(), 'postgres', 'socket'), first.place.folder)
        const next = await start({ dataDir: long() })
        expect(next.place.folder).not.to.equal(first.place.folder)
        await next.stop()
        rmSync(first.place.folder, { recursive: true })
      }
    })

    it('does not go where anybody could exchange its folder', async () => {
      chmodSync(join(dataDir, 'run'), 0o777)
      const server = await start({ dataDir: long() })
      expect(server.place.folder).not.to.include(dataDir)
      expect(server.place.folder).to.match(new RegExp(`^${tmpdir()}/limpet-.{6}$`))
      await server.stop()
    })
  })

  it('does not start where its socket would lie in a folder that others can get into', async () => {
    const first = await start()
    await first.stop()
    chmodSync(first.place.folder, 0o755)
    const error = await start().catch((thrown: unknown) => thrown)
    expect(error).to.have.property('code', 'EMBEDDED_FAILED')
    expect(String(error)).to.match(/postgres\/s, .* mode 0700: remove it and start again/)
  })

  it('has a path with a comma, a blank and a quote', async () => {
    const server = await start({ dataDir: join(dataDir, `a, "b' c`) })
    expect(await ask(server, 'select 1')).to.equal(1)
    expect(await start({ dataDir: join(dataDir, `a, "b' c`) })).to.include({ adopted: true })
  })

  it('closes a data_dir that is open to others, and says so', async () => {
    chmodSync(dataDir, 0o755)
    const said: string[] = []
    await start({ log: { info: () => undefined, warn: (_fields, message) => said.push(message) } })
    expect(statSync(dataDir).mode & 0o777).to.equal(0o700)
    expect(said).to.deep.equal([`data_dir ${dataDir} was open to others (mode 0755); it is now 0700`])
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
    const accounts = (line: string) => {
      const file = join(template, 'passwd')
      writeFileSync(file, `${readFileSync('/etc/passwd', 'utf8')}${line}\n`)
      return [...hidden.slice(0, -2), `mount --bind ${file} /etc/passwd && ${hidden.at(-2)}`, 'sh']
    }
    const LIMPET = 'limpet:x:64123:64123::/nonexistent:/usr/sbin/nologin'
    const startedAs = async (command: string[]) => {
      const { child, ended, output } = startElsewhere(dataDir, command)
      const pid = await until(() => Number(/pid (\d+)/.exec(output())?.[1]), { what: 'a start' })
      pids.add(pid)
      child.kill('SIGKILL')
      await ended
      return { pid, said: output() }
    }

    it('as root without user namespaces runs as the account limpet', async () => {
      const { pid, said } = await startedAs(accounts(LIMPET))
      expect(said).to.include('the account limpet')
      expect(ownerOf(`/proc/${pid}`)).to.equal(64123)
      // That account may pass through `data_dir`, and nobody else.
      expect(statSync(dataDir)).to.include({ uid: 0, gid: 64123 })
      expect(statSync(dataDir).mode & 0o777).to.equal(0o710)
      expect(await start()).to.include({ adopted: true, pid })
    })

    it('as root without user namespaces shares no account with others', async () => {
      const { ended, output } = startElsewhere(dataDir, hidden)
      await ended
      expect(output()).to.match(
        /PostgreSQL does not run as root, .* no account `limpet`: run limpet as an ordinary user, create an account/,
      )
    })

    it('as root leaves nothing behind where it is refused, and says whose data_dir is', async () => {
      chownSync(dataDir, 64999, 64999)
      const { ended, output } = startElsewhere(dataDir, hidden)
      await ended
      expect(output()).to.match(
        /no account `limpet`, nor one with the id 64999, to whom `data_dir` belongs: run limpet as/,
      )
      expect(readdirSync(dataDir)).to.deep.equal([])
    })

    it('as root takes over what limpet 0.1 gave to nobody, or goes on with a warning where it can not', async () => {
      place(dataDir)
      execFileSync('chown', ['-R', 'nobody', join(dataDir, 'postgres')])
      chmodSync(dataDir, 0o711)
      const { pid, said } = await startedAs(hidden)
      expect(said).to.match(
        /as the account nobody; other programs may run as it too.*useradd --system limpet/,
      )
      expect(said).to.match(/^the account nobody$/m)
      process.kill(pid, 'SIGQUIT')
      await until(() => !isAlive(pid), { what: 'the server to be gone' })
      await start()
      expect(ownerOf(join(dataDir, 'postgres', 'data', 'base'))).to.equal(0)
    })

    it('as root goes on as the owner of the data', async () => {
      place(dataDir)
      execFileSync('chown', ['-R', '1:1', join(dataDir, 'postgres')])
      const second = await start()
      expect(await ask(second, 'select 1')).to.equal(1)
      expect(ownerOf(`/proc/${second.pid}`)).to.equal(1)
    })

    it('as root without user namespaces says what to do when no other account gets to data_dir', async () => {
      const closed = mkdtempSync(join(dataDir, 'home-'))
      const { ended, output } = startElsewhere(join(closed, 'data'), accounts(LIMPET))
      await ended
      expect(output()).to.match(
        /PostgreSQL does not run as root.*the account limpet can't reach .*: run limpet as an ordinary user/,
      )
    })
  }
})
