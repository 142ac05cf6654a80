/** No database or no queue when a process starts: one line that says so, without its secrets, and exit 1. */
import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKey } from '../../src/matrix/signing.ts'
import { quietPort } from '../support/port.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { TOKENS } from '../e2e/world.ts'
import { builtMain } from '../support/built.ts'
import { startHalfOpenProxy } from '../support/half-open-proxy.ts'
import { inherited } from '../support/inherited.ts'
import { freshDatabase } from '../support/postgres.ts'

const LONGEST_MS = 40_000

interface Ended {
  status: number | null
  errors: string
}

describe('a start without what it needs', function () {
  this.timeout(LONGEST_MS + 10_000)
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'limpet-start-'))
  })
  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  function run(where: { database: string; queue: string }): Promise<Ended> {
    writeFileSync(join(dir, 'key'), generateKey(randomBytes).fileText, { mode: 0o600 })
    const config = join(dir, 'limpet.yaml')
    const settings = { server_name: 'home.example', signing_key_path: 'key', tokens: TOKENS, ...where }
    writeFileSync(config, JSON.stringify(settings))
    const args = [builtMain(), 'run', '--config', config, '--listen', 'none']
    return new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        args,
        { timeout: LONGEST_MS, killSignal: 'SIGKILL', env: inherited() },
        (_error, _out, errors) => resolve({ status: child.exitCode, errors }),
      )
    })
  }

  it('ends with one line where nobody listens at the address of the database', async () => {
    const database = `postgres://limpet:secret@127.0.0.1:${await quietPort()}/limpet`
    const { status, errors } = await run({ database, queue: 'postgres' })
    expect(errors).to.match(/^limpet: the database at 127\.0\.0\.1:\d+\/limpet .*ECONNREFUSED.*\n$/)
    expect(errors).not.to.include('secret')
    expect(status).to.equal(1)
  })

  it('ends with one line where the database accepts no writes', async () => {
    const database = await freshDatabase()
    const name = new URL(database.url).pathname.slice(1)
    await query(database.url, (client) =>
      client.query(`alter database ${name} set default_transaction_read_only = on`),
    )
    const { status, errors } = await run({ database: database.url, queue: 'postgres' })
    expect(errors).to.match(
      /^limpet: the database at 127\.0\.0\.1:\d+\/\w+ accepts no writes \(default_transaction_read_only is on\): use the address of the primary\n$/,
    )
    expect(status).to.equal(1)
  })

  it('ends with one line where the database accepts and says nothing', async () => {
    const proxy = await startHalfOpenProxy()
    proxy.goSilent()
    const database = `postgres://limpet@127.0.0.1:${proxy.port}/limpet`
    const { status, errors } = await run({ database, queue: 'postgres' })
    await proxy.close()
    expect(errors).to.match(/^limpet: the database at 127\.0\.0\.1:\d+\/limpet .*timeout.*\n$/)
    expect(status).to.equal(1)
  })

  it('ends with one line where nobody listens at the address of the queue', async () => {
    const database = await freshDatabase()
    const queue = `redis://:secret@127.0.0.1:${await quietPort()}`
    const { status, errors } = await run({ database: database.url, queue })
    await database.drop()
    expect(errors).to.match(/^limpet: the queue at redis:\/\/.*ECONNREFUSED.*\n$/)
    expect(errors).not.to.include('secret')
    expect(status).to.equal(1)
  })

  it('ends with one line where the queue accepts and says nothing', async () => {
    const database = await freshDatabase()
    const proxy = await startHalfOpenProxy()
    proxy.goSilent()
    const { status, errors } = await run({ database: database.url, queue: `redis://127.0.0.1:${proxy.port}` })
    await Promise.all([proxy.close(), database.drop()])
    expect(errors).to.match(/^limpet: the queue at redis:\/\/127\.0\.0\.1:\d+ can't be reached: .*\n$/)
    expect(status).to.equal(1)
  })
})
