import { spawn, spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { lockDataDir } from '../../src/embedded/data-dir-lock.ts'
import { until } from '../support/poll.ts'
import { skip } from '../support/skip.ts'

const MODULE = fileURLToPath(new URL('../../src/embedded/data-dir-lock.ts', import.meta.url))

describe('the lock of a data_dir', () => {
  let dir: string
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-lock-'))))
  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  const holder = () => JSON.parse(readFileSync(join(dir, 'limpet.lock'), 'utf8')) as { pid: number }
  const lockElsewhere = () => {
    const code = `
      const { lockDataDir } = await import(${JSON.stringify(MODULE)})
      try { lockDataDir(${JSON.stringify(dir)}); console.log('held') } catch (error) { console.log(error.code) }
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code])
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
    const said = () => until(() => output.trim(), { what: 'the other process to have tried' })
    return { child, said, kill: () => (child.kill('SIGKILL'), ended) }
  }

  it('is refused while another process holds it, and names that one', async () => {
    const other = lockElsewhere()
    try {
      expect(await other.said()).to.equal('held')
      expect(() => lockDataDir(dir))
        .to.throw(`data_dir ${dir} is in use by another limpet (process ${other.child.pid})`)
        .with.property('code', 'DATA_DIR_IN_USE')
    } finally {
      await other.kill()
    }
  })

  it('is refused to the same process a second time, until it is released', () => {
    const release = lockDataDir(dir)
    expect(() => lockDataDir(dir)).to.throw('is in use')
    release()
    lockDataDir(dir)()
    expect(readdirSync(dir)).to.deep.equal([])
  })

  it('goes to the next after kill -9', async () => {
    const other = lockElsewhere()
    await other.said()
    await other.kill()
    lockDataDir(dir)
    expect(holder().pid).to.equal(process.pid)
  })

  it('is not kept by a stranger who got the number of a dead one', () => {
    writeFileSync(
      join(dir, 'limpet.lock'),
      JSON.stringify({ pid: process.ppid, identity: 'an earlier boot 17' }),
    )
    lockDataDir(dir)
    expect(holder().pid).to.equal(process.pid)
  })

  it('is not kept by a file that says nothing', () => {
    writeFileSync(join(dir, 'limpet.lock'), '')
    lockDataDir(dir)
    expect(holder().pid).to.equal(process.pid)
  })

  it('goes to exactly one of several that take over a stale one at once', async () => {
    const { pid } = spawnSync('true')
    writeFileSync(join(dir, 'limpet.lock'), JSON.stringify({ pid, identity: null }))
    const others = [lockElsewhere(), lockElsewhere(), lockElsewhere()]
    try {
      const said = await Promise.all(others.map((other) => other.said()))
      expect(said.filter((word) => word === 'held')).to.have.length(1)
    } finally {
      await Promise.all(others.map((other) => other.kill()))
    }
  })

  describe('where /proc shows less (systemd: ProcSubset=pid, ProtectProc=invisible)', () => {
    let proc: string
    beforeEach(() => {
      proc = mkdtempSync(join(tmpdir(), 'limpet-proc-'))
      mkdirSync(join(proc, 'self'))
    })
    afterEach(() => rmSync(proc, { recursive: true, force: true }))

    const allowed = () => true
    const forbidden = () => {
      throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' })
    }
    /** A process that started `later` than this one, in hundredths of a second. */
    const shows = (pid: number, later = 0) => {
      const text = readFileSync(`/proc/${process.pid}/stat`, 'utf8')
      const end = text.lastIndexOf(')') + 2
      const fields = text.slice(end).split(' ')
      fields[19] = String(Number(fields[19]) + later)
      mkdirSync(join(proc, String(pid)), { recursive: true })
      writeFileSync(join(proc, String(pid), 'stat'), text.slice(0, end) + fields.join(' '))
    }
    const inUse = `is in use by another limpet (process ${process.pid})`
    const takenBy = (pid: number) =>
      writeFileSync(join(dir, 'limpet.lock'), JSON.stringify({ pid, identity: null }))

    before(function () {
      if (process.platform !== 'linux') skip(this, 'no /proc')
    })

    it('is held without the id of the boot, whichever of the two can read that', () => {
      shows(process.pid)
      const release = lockDataDir(dir, { proc, kill: allowed })
      // A release from before this one takes any living process of that number for the holder.
      expect(holder()).to.have.property('identity', null)
      expect(() => lockDataDir(dir, { proc, kill: allowed })).to.throw(inUse)
      expect(() => lockDataDir(dir)).to.throw(inUse)
      release()
      const again = lockDataDir(dir)
      expect(() => lockDataDir(dir, { proc, kill: allowed })).to.throw(inUse)
      again()
      expect(readdirSync(dir)).to.deep.equal([])
    })

    it('is not kept by a stranger, who started at another time', () => {
      shows(process.pid)
      lockDataDir(dir, { proc, kill: allowed })
      shows(process.pid, 1)
      lockDataDir(dir, { proc, kill: allowed })
      expect(() => lockDataDir(dir, { proc, kill: allowed })).to.throw(inUse)
    })

    it("is not kept by another user's process that we can't see, if our user wrote it", () => {
      const { pid } = spawnSync('true')
      takenBy(pid)
      shows(process.pid)
      lockDataDir(dir, { proc, kill: forbidden })
      expect(holder().pid).to.equal(process.pid)
    })

    it("is held by another user's process that we can't see, if another user wrote it", function () {
      if (process.geteuid?.() !== 0) skip(this, 'not root: no files of another user')
      takenBy(process.pid)
      chownSync(join(dir, 'limpet.lock'), 65534, 65534)
      expect(() => lockDataDir(dir, { proc, kill: forbidden })).to.throw(inUse)
    })

    it('is held by a living process that can be seen in no way', () => {
      takenBy(process.pid)
      expect(() => lockDataDir(dir, { proc, kill: allowed })).to.throw(inUse)
    })
  })
})
