/** Two processes with the same source: one reads, and the other goes on when that one stops. */
import { expect } from 'chai'
import { pino } from 'pino'
import { systemClock } from '../../../src/pace/clock.ts'
import { withDatabaseAt } from '../../../src/cli/with-database.ts'
import type { Config } from '../../../src/config/config.ts'
import { makeAppend } from '../../../src/ingest/append.ts'
import { LONG_STATEMENT_MS, STATEMENT_MS } from '../../../src/ingest/synapse/too-slow.ts'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import { startSynapseSource } from '../../../src/daemon/start-synapse-source.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { sourcePosition } from '../../../src/store/ingest/read-back.ts'
import { readSourceStates } from '../../../src/store/ingest/source-states.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../../support/postgres.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

describe('two processes that follow a Synapse', () => {
  let synapse: SynapseTables
  let database: FreshDatabase
  let pool: Pool
  beforeEach(async () => {
    ;[synapse, database] = await Promise.all([synapseTables(), freshDatabase()])
    pool = openPool({ url: database.url })
  })
  afterEach(async () => {
    await pool.end()
    await database.drop()
    await synapse.close()
  })

  function start() {
    const said: string[] = []
    const append = makeAppend({
      ...{ pool, serverName: 'a.example', maxStickyMs: 3_600_000, random: Math.random },
      onTaken: () => undefined,
    })
    const source = startSynapseSource({
      config: { server_name: 'a.example', sticky: { field_names: ['msc4354_sticky'] } } as unknown as Config,
      settings: { database: synapse.url, redis: null, instance_name: 'limpet' },
      ...{ pool, append, metrics: makeMetrics({ runtime: false }), clock: systemClock },
      log: pino(
        { level: 'info' },
        { write: (line: string) => said.push((JSON.parse(line) as { msg: string }).msg) },
      ),
      fail: (error) => expect.fail(String(error)),
    })
    const says = (what: string) =>
      until(() => said.some((line) => line.includes(what)), { what: `it to say ${what}` })
    return { said, says, stop: () => source.stop() }
  }
  const reaches = (at: number) =>
    until(async () => (await sourcePosition(pool, 'synapse')).sourceToken === `events=${at}`, {
      what: `the place ${at}`,
    })

  it('take turns: the second one goes on where the first one stopped, and the state is its word then', async () => {
    await synapse.finishedUpTo(3)
    const first = start()
    await first.says('this process reads it')
    await reaches(3)
    const second = start()
    await second.says('standing by')
    await first.stop()
    await synapse.finishedUpTo(1_500)
    await second.says('this process reads it')
    await reaches(1_500)
    await until(async () => (await readSourceStates(pool))[0]?.state === 'running', {
      what: 'the second one to say that it runs',
    })
    await second.stop()
    expect((await pool.query('select from source_leases')).rowCount).to.equal(0)
  })

  it('and commands ask nothing of its database that goes on for a minute', async () => {
    const asked = await withDatabaseAt(synapse.url, { named: 'it', mayBeStandby: true }, ({ pool: theirs }) =>
      theirs.query<{ statement_timeout: string }>('show statement_timeout'),
    )
    expect(asked.rows).to.deep.equal([{ statement_timeout: `${LONG_STATEMENT_MS / 1000}s` }])
    expect(STATEMENT_MS).to.be.below(LONG_STATEMENT_MS)
    expect(LONG_STATEMENT_MS, "below the client's own").to.be.below(60_000)
  })
})
