/** A daemon that is told to end while its database is away: nothing keeps it, and it says nothing that looks like a fault. */
import { expect } from 'chai'
import { query } from '../../src/embedded/postmaster.ts'
import { freshDatabase, sharedServer } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { install, startLimpet } from './cli-stage.ts'

describe('limpet run, when its database has gone', function () {
  this.timeout(120_000)

  it('stops in order, without a stack, and its last line says so', async () => {
    const { url } = await freshDatabase()
    const name = new URL(url).pathname.slice(1)
    const one = install({ database: url })
    try {
      const run = startLimpet(['run', '--listen', 'none'], { cwd: one.dir })
      await until(() => run.out.includes('limpet runs'), { what: 'limpet to run', withinMs: 60_000 })
      const server = (await sharedServer()).url
      await query(server, async (client) => {
        await client.query(`alter database ${name} allow_connections false`)
        await client.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
      })
      run.child.kill('SIGTERM')
      expect(await run.ended, run.err).to.equal(0)
      expect(run.err).to.equal('')
      const last = run.out.trim().split('\n').at(-1) ?? ''
      expect(JSON.parse(last)).to.include({ msg: 'stopped' })
    } finally {
      one.remove()
    }
  })
})
