import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import { isAlive } from '../../src/store/process-identity.ts'
import { builtMain } from '../support/built.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'
import { quietPort } from '../support/port.ts'
import { commandAs, connectAll, placesOf, readAll, requireOtherUsers, squat, walk } from './other-user.ts'

const IN_FILE = 'a-secret-of-the-configuration'
const IN_ENVIRONMENT = 'a-secret-of-the-environment'

for (const user of ['root', 'daemon'])
  describe(`another user of the machine, where ${user} runs limpet`, function () {
    this.timeout(120_000)
    let dir: string
    let port: number
    let limpet: ChildProcess | undefined
    let output = ''
    const dataDir = () => join(dir, 'limpet-data')

    const command = (...args: string[]) => commandAs(user, process.execPath, builtMain(), ...args)
    const run = (...args: string[]) => {
      const [file, given] = command(...args)
      return spawnSync(file, given, { cwd: dir, encoding: 'utf8' })
    }
    const postmaster = () =>
      Number(readFileSync(join(dataDir(), 'postgres/data/postmaster.pid'), 'utf8').split('\n')[0])
    const start = async () => {
      const [file, given] = command('run', '--config', join(dir, 'limpet.yaml'))
      output = ''
      const child = spawn(file, given, {
        cwd: dir,
        env: { PATH: process.env['PATH'] ?? '', LIMPET_TOKENS__READ: IN_ENVIRONMENT },
      })
      limpet = child
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (bytes: Buffer) => (output += bytes.toString()))
      await until(() => output.includes('"limpet runs"') || child.exitCode !== null, {
        what: 'limpet to run',
      })
      expect(output).to.include('"limpet runs"')
    }
    const health = async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null)
      return answer?.status === 200
    }
    const gone = (pid: number) => until(() => !isAlive(pid), { what: `process ${pid} to be gone` })

    before(async function () {
      requireOtherUsers(this)
      chmodSync(dirname(builtMain()), 0o755)
      chmodSync(dirname(dirname(builtMain())), 0o755)
      port = await quietPort()
      dir = mkdtempSync(join(tmpdir(), 'limpet-system-'))
      // What protects is what limpet makes in it.
      chmodSync(dir, 0o755)
      chownSync(dir, Number(spawnSync('id', ['-u', user], { encoding: 'utf8' }).stdout), 0)
      leaveBehind({
        clear: () => Promise.resolve().then(() => rmSync(dir, { recursive: true, force: true })),
        kill: () => {
          limpet?.kill('SIGKILL')
          process.kill(postmaster(), 'SIGQUIT')
        },
      })
      expect(run('init', '.', '--server-name', 'home.example').stderr).to.equal('')
      const listen = `[{port: ${port}}, {socket: limpet-data/limpet.sock, mode: "0660"}]`
      const lines = ['server_name: home.example', `metrics: {token: ${IN_FILE}}`, `listen: ${listen}`]
      // Over what init wrote, with its mode.
      writeFileSync(join(dir, 'limpet.yaml'), lines.join('\n'))
      await start()
    })
    after(async () => {
      if (limpet === undefined || limpet.exitCode !== null || limpet.signalCode !== null) return
      limpet.kill('SIGTERM')
      await once(limpet, 'exit')
    })

    it('reads nothing in data_dir, not the configuration, and no process', async () => {
      expect(statSync(join(dir, 'limpet.yaml')).mode & 0o777).to.equal(0o600)
      expect(statSync(dataDir()).mode & 0o777).to.equal(0o700)
      const processes = [limpet?.pid, postmaster()].flatMap((pid) =>
        ['environ', 'fd', 'cwd/.', 'root/.', 'mem'].map((name) => `/proc/${pid}/${name}`),
      )
      const read = await readAll([...walk(dataDir()), join(dir, 'limpet.yaml'), ...processes])
      expect(read.map(({ path }) => path)).to.deep.equal([])
    })

    it('finds no secret in what everybody may read', async () => {
      const tokens = readFileSync(join(dataDir(), 'tokens.yaml'), 'utf8').match(/[\w-]{32}/g) ?? []
      const seed =
        /\S+$/.exec(readFileSync(join(dataDir(), 'home.example.signing.key'), 'utf8').trim())?.[0] ?? ''
      const password = readFileSync(join(dataDir(), 'postgres/password'), 'utf8')
      const secrets = [...tokens, seed, password, IN_FILE, IN_ENVIRONMENT]
      expect(secrets).to.have.length.above(5)
      const open = [limpet?.pid, postmaster()].flatMap((pid) =>
        ['cmdline', 'status', 'maps'].map((name) => `/proc/${pid}/${name}`),
      )
      const read = await readAll([dir, ...open])
      expect(read).to.have.length.above(3)
      for (const secret of secrets) expect(JSON.stringify(read) + output).not.to.include(secret)
    })

    it('gets no connection to the database, and to none of the sockets', async () => {
      const places = placesOf(postmaster())
      expect(places).to.have.length.above(0)
      expect(await connectAll(places)).to.deep.equal([])
      const ours = placesOf(limpet?.pid ?? 0)
      expect(ours).to.have.length(2)
      expect(await connectAll(ours)).to.deep.equal([port])
    })

    it('can not fill the database with logins that go no further', async () => {
      expect(await connectAll(placesOf(postmaster()), 120)).to.deep.equal([])
      expect(run('check-config').stdout).to.match(/^database: ok/m)
    })

    it('hears nothing where it takes the place of the database alone, and limpet looks for it there', async () => {
      const database = postmaster()
      const places = placesOf(database)
      const squatter = await squat(places)
      try {
        process.kill(database, 'SIGKILL')
        await gone(database)
        await until(async () => squatter.heard() !== '' || (await health()), {
          what: 'limpet to be ready again',
        })
        expect(squatter.heard()).to.equal('')
        expect(squatter.places()).to.deep.equal([])
      } finally {
        await squatter.stop()
      }
    })

    it('hears nothing where it takes the places of what was killed', async () => {
      const pids = [limpet?.pid ?? 0, postmaster()]
      const [, database = 0] = pids
      const places = placesOf(database)
      for (const pid of pids) process.kill(pid, 'SIGKILL')
      for (const pid of pids) await gone(pid)
      const squatter = await squat(places)
      try {
        // Whatever answers there, limpet comes up on a database of its own.
        expect(run('check-config').stdout).to.match(/^database: ok/m)
        await start()
        expect(squatter.heard()).to.equal('')
        expect(squatter.places()).to.deep.equal([])
      } finally {
        await squatter.stop()
      }
    })
  })
