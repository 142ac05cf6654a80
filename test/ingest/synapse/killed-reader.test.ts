/** The process that reads a Synapse is killed in the middle of traffic: the other one goes on, and nothing is lost or there twice. */
import { expect } from 'chai'
import { LEASE_MS, ROUND_MS } from '../../../src/ingest/synapse/reader-lease.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { install, startLimpet, type Install, type Process } from '../../cli/cli-stage.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'

describe('two limpets beside a Synapse, of which one is killed', () => {
  let synapse: SynapseTables
  let pool: Pool
  let one: Install
  let limpets: Process[]
  beforeEach(async () => {
    synapse = await synapseTables({ version: '11' })
    const { url } = await freshDatabase()
    pool = openPool({ url })
    one = install({ database: url, sources: { synapse: { database: synapse.url } } })
    limpets = []
  })
  afterEach(async () => {
    for (const { child, ended } of limpets) {
      child.kill('SIGKILL')
      await ended
    }
    one.remove()
    await pool.end()
    await synapse.close()
  })
  const start = () => {
    const limpet = startLimpet(['run', '--role', 'ingest', '--listen', 'none'], { cwd: one.dir })
    limpets.push(limpet)
    return limpet
  }
  const says = (limpet: Process, what: string) =>
    until(() => limpet.out.includes(what) || limpet.err !== '', { what: `it to say ${what}: ${limpet.err}` })

  it('loses nothing, and the other one reads soon after the lease is over', async () => {
    let at = 0
    const write = async (event: Omit<Parameters<SynapseTables['write']>[0], 'at'>) => {
      at += 1
      await synapse.write({ at, ...event })
      await synapse.finishedUpTo(at)
    }
    for (const user of [alice, '@bob:b.example'])
      await write({ sender: user, member: { user, membership: 'join' } })
    const reader = start()
    await says(reader, 'first start')
    const first = at + 1
    const other = start()
    await says(other, 'standing by')
    const traffic = { writing: true }
    const written = (async () => {
      while (traffic.writing) await write({ sender: alice })
    })()
    // It writes what it read at this moment, or is about to.
    await until(async () => (await taken()).length > 20, { what: 'traffic to be read', everyMs: 1 })
    reader.child.kill('SIGKILL')
    await reader.ended
    const killedAt = performance.now()
    await says(other, 'this process reads it')
    const waited = performance.now() - killedAt
    const before = (await taken()).length
    await until(async () => (await taken()).length > before, { what: 'the other one to read on' })
    traffic.writing = false
    await written
    await until(async () => (await taken()).length >= at - first + 1, { what: 'all of it to be read' })
    expect(await taken()).to.deep.equal(
      Array.from({ length: at - first + 1 }, (_, i) => synapse.idAt(first + i)),
    )
    // 5 to 8 seconds; much more only on a machine that does not get on.
    expect(waited).to.be.below(4 * (LEASE_MS + ROUND_MS))
  })

  /** What limpet took, in the order of its stream. */
  const taken = async () =>
    (await pool.query<{ event_id: string }>('select event_id from events order by pos')).rows.map(
      (row) => row.event_id,
    )
})
