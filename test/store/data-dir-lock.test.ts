import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { lockDataDir } from '../../src/store/data-dir-lock.ts'
import { until } from '../support/poll.ts'

const MODULE = fileURLToPath(new URL('../../src/store/data-dir-lock.ts', import.meta.url))

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
        .to.throw(`data_dir ${dir} is in use by the limpet with process id ${other.child.pid}`)
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
})
