/** A data directory that a user runs limpet on, and root commands beside: it stays that user's. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Embedded, startEmbedded } from '../../src/embedded/server.ts'
import { openRoom } from '../../src/embedded/cluster.ts'
import { leaveSocketFolder } from '../../src/embedded/socket.ts'
import { isAlive, processOwner } from '../../src/embedded/process-identity.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { skip } from '../support/skip.ts'

const log = { info: () => undefined, warn: () => undefined }
/** `daemon`, whom every system has. */
const USER = 1

describe('whose the embedded database is', function () {
  this.timeout(300_000)
  let dataDir: string
  let server: Embedded | undefined
  let forget: () => void
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'limpet-owner-'))
    forget = leaveBehind({
      clear: () => Promise.resolve(),
      kill: () => {
        if (server !== undefined && isAlive(server.pid)) process.kill(server.pid, 'SIGQUIT')
      },
    })
  })
  afterEach(async () => {
    await server?.stop('immediate')
    server = undefined
    forget()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const start = async (dir = dataDir) => (server = await startEmbedded({ dataDir: dir, log, durable: false }))
  const notOf = (user: number) =>
    readdirSync(join(dataDir, 'postgres')).filter(
      (name) => statSync(join(dataDir, 'postgres', name)).uid !== user,
    )

  describe('as root on a data_dir of another user', () => {
    before(function () {
      if (process.getuid?.() !== 0) skip(this, 'not root')
    })
    beforeEach(() => chownSync(dataDir, USER, USER))

    it('is made as that user, who can go on with everything in it', async () => {
      const { pid } = await start()
      expect(processOwner(pid)).to.equal(USER)
      expect(statSync(dataDir)).to.include({ uid: USER, gid: USER })
      expect(statSync(join(dataDir, 'postgres')).uid).to.equal(USER)
      expect(notOf(USER)).to.deep.equal([])
    })

    it('leaves what it makes later to that user too: the log, the password', async () => {
      await (await start()).stop()
      rmSync(join(dataDir, 'postgres', 'server.log'))
      await (await start()).stop()
      expect(notOf(USER)).to.deep.equal([])
    })

    it('writes through no link that stands where a file of its own belongs', async () => {
      const theirs = join(dataDir, 'theirs')
      writeFileSync(theirs, 'kept')
      const long = join(dataDir, 'x'.repeat(100))
      mkdirSync(join(long, 'postgres'), { recursive: true })
      for (const path of [long, join(long, 'postgres')]) chownSync(path, USER, USER)
      for (const name of ['socket', 'password', 'pg_hba.conf'])
        symlinkSync(theirs, join(long, 'postgres', name))
      await start(long)
      expect(readFileSync(theirs, 'utf8')).to.equal('kept')
      expect(statSync(theirs).uid).to.equal(0)
      expect(statSync(join(long, 'postgres', 'socket')).uid).to.equal(USER)
    })

    it('of nobody goes on as nobody', async () => {
      chownSync(dataDir, 65534, 65534)
      expect(processOwner((await start()).pid)).to.equal(65534)
      await server?.stop()
      expect(processOwner((await start()).pid)).to.equal(65534)
    })

    it('is as it was where that user has no account, or root began it', async function () {
      if (spawnSync('unshare', ['-U', 'true']).status !== 0) skip(this, 'no user namespaces')
      for (const user of [64999, USER]) {
        chownSync(dataDir, user, user)
        chmodSync(dataDir, 0o755)
        expect(processOwner((await start()).pid)).to.equal(0)
        expect(statSync(dataDir)).to.include({ uid: user, gid: 0 })
        expect(statSync(dataDir).mode & 0o007).to.equal(0)
        await server?.stop()
      }
    })
  })

  it('takes a folder of a socket away only if it has made it', () => {
    const cluster = openRoom(dataDir)
    const [ours, theirs] = [join(dataDir, 'ours'), join(dataDir, 'theirs')]
    for (const folder of [ours, theirs]) {
      mkdirSync(folder)
      chmodSync(folder, 0o700)
    }
    writeFileSync(join(theirs, 'kept'), '')
    writeFileSync(cluster.socketFile, ours)
    leaveSocketFolder(cluster, theirs)
    expect(existsSync(join(theirs, 'kept'))).to.equal(true)
    expect(existsSync(cluster.socketFile)).to.equal(true)
    leaveSocketFolder(cluster, ours)
    expect([existsSync(ours), existsSync(cluster.socketFile)]).to.deep.equal([false, false])
  })
})
