import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import { isAlive } from '../../src/embedded/process-identity.ts'
import { builtMain } from '../support/built.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'
import { quietPort } from '../support/port.ts'
import {
  commandAs,
  connectAll,
  type Place,
  placesOf,
  readAll,
  requireOtherUsers,
  squat,
  walk,
} from './other-user.ts'

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

    const commandOf = (who: string, ...args: string[]) =>
      commandAs(who, process.execPath, builtMain(), ...args)
    const command = (...args: string[]) => commandOf(user, ...args)
    const runAs = (who: string, ...args: string[]) => {
      const [file, given] = commandOf(who, ...args)
      return spawnSync(file, given, { cwd: dir, encoding: 'utf8', timeout: 20_000 })
    }
    const run = (...args: string[]) => runAs(user, ...args)
    /** A configuration of the same limpet for commands that find it at `socket`. */
    const configure = (socket: string) => {
      const file = join(dir, 'elsewhere.yaml')
      const lines = ['server_name: home.example', `listen: {socket: ${socket}}`, `data_dir: ${dataDir()}`]
      writeFileSync(file, lines.join('\n'), { mode: 0o600 })
      chownSync(file, statSync(dataDir()).uid, 0)
      return file
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

    it('does not keep root and its own user from asking, by port or by socket', () => {
      const file = configure('limpet-data/limpet.sock')
      for (const who of [user, 'root'])
        for (const config of [join(dir, 'limpet.yaml'), file]) {
          const { status, stderr } = runAs(who, 'status', '--json', '--config', config)
          expect({ status, stderr }, `${who}, ${config}`).to.deep.equal({ status: 0, stderr: '' })
        }
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

    describe('once limpet was killed', () => {
      const askers = [...new Set([user, 'root'])]
      let ours: Place[]

      before(async () => {
        const pids = [limpet?.pid ?? 0, postmaster()]
        ours = placesOf(pids[0] ?? 0)
        for (const pid of pids) process.kill(pid, 'SIGKILL')
        for (const pid of pids) await gone(pid)
      })

      const everyCommand = [
        ['status'],
        ['status', '--token', 'of-the-command-line'],
        ['destinations', '--json'],
        ['destination', 'away.example'],
        ['explain', '$event'],
        ['pause', 'away.example'],
      ]
      const status = [['status']]
      /** `commands` as each of `askers` at `place`, which somebody else has: their answers are looked at when it is called. */
      const askAll = (place: Place, commands: readonly string[][], file = join(dir, 'limpet.yaml')) => {
        const asked = askers.flatMap((who) => commands.map((args) => runAs(who, ...args, '--config', file)))
        const shown = typeof place === 'number' ? `http://127.0.0.1:${place}` : place
        return () => {
          for (const { status, stdout, stderr } of asked) {
            expect(stdout + stderr).to.match(/^limpet: .*no token was sent.*\n$/)
            expect(stderr).to.match(/ belongs to the user nobody, not to limpet| is not a socket/)
            expect(stderr).to.include(shown)
            expect(status).to.equal(1)
          }
        }
      }

      for (const host of ['127.0.0.1', '0.0.0.0', '::'])
        it(`hears no token where it listens on limpet's port (${host})`, async () => {
          const squatter = await squat(ours, host)
          try {
            // The socket lies where nobody gets.
            expect(squatter.places()).to.deep.equal([port])
            const areRefused = askAll(port, host === '127.0.0.1' ? everyCommand : status)
            expect(await squatter.heardBefore('The end', port)).to.equal('')
            areRefused()
          } finally {
            await squatter.stop()
          }
        })

      it('hears no token where it takes the connection only later', async () => {
        const squatter = await squat([port])
        try {
          expect(squatter.places()).to.deep.equal([port])
          squatter.freeze()
          const areRefused = askAll(port, status)
          squatter.thaw()
          expect(await squatter.heardBefore('The end', port)).to.equal('')
          areRefused()
        } finally {
          await squatter.stop()
        }
      })

      it('hears no token where a socket of limpet lay in a folder that is open to all', async () => {
        const open = join(dir, 'open')
        mkdirSync(open)
        chmodSync(open, 0o777)
        const [socket, link] = [join(open, 'limpet.sock'), join(open, 'link.sock')]
        const squatter = await squat([socket])
        try {
          expect(squatter.places()).to.deep.equal([socket])
          symlinkSync(socket, link)
          const areRefused = [socket, link].map((place) => askAll(place, status, configure(place)))
          expect(await squatter.heardBefore('The end', socket)).to.equal('')
          for (const check of areRefused) check()
        } finally {
          await squatter.stop()
        }
      })
    })
  })
