/** A pooler before Synapse's database that can't work is found out before anything is read, also where the database was away at the start. */
import { expect } from 'chai'
import { pino } from 'pino'
import { systemClock } from '../../../src/pace/clock.ts'
import type { Config } from '../../../src/config/config.ts'
import { SynapseRefused } from '../../../src/ingest/synapse/refused.ts'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import { startSynapseSource } from '../../../src/daemon/start-synapse-source.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { startHalfOpenProxy, type HalfOpenProxy } from '../../support/half-open-proxy.ts'
import { startPgBouncer, type PgBouncer, type PoolMode } from '../../support/pgbouncer.ts'
import { until } from '../../support/poll.ts'
import { quietPort } from '../../support/port.ts'
import { freshDatabase, type FreshDatabase } from '../../support/postgres.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

describe("a Synapse's database that is away when limpet starts", () => {
  let synapse: SynapseTables
  let database: FreshDatabase
  let pool: Pool
  let address: HalfOpenProxy
  let bouncer: PgBouncer | null
  beforeEach(async () => {
    ;[synapse, database, address] = await Promise.all([
      ...([synapseTables(), freshDatabase(), startHalfOpenProxy()] as const),
    ])
    bouncer = null
    pool = openPool({ url: database.url })
    await synapse.finishedUpTo(7)
  })
  afterEach(async () => {
    await pool.end()
    await address.close()
    await bouncer?.remove()
    await database.drop()
    await synapse.close()
  })

  /** What becomes of the source once its database is back, behind a pooler. */
  async function comesBack(context: Mocha.Context, mode: PoolMode, poolSize: number) {
    bouncer = await startPgBouncer(context, synapse.url, { mode, settings: { default_pool_size: poolSize } })
    const url = new URL(synapse.url)
    url.port = String(address.port)
    address.forwardTo(await quietPort())
    const logged: string[] = []
    const log = pino(
      { level: 'info' },
      { write: (line: string) => logged.push((JSON.parse(line) as { msg: string }).msg) },
    )
    const taken: unknown[] = []
    const failed: unknown[] = []
    const source = startSynapseSource({
      config: { server_name: 'a.example', sticky: { field_names: ['msc4354_sticky'] } } as unknown as Config,
      settings: { database: url.href, redis: null, instance_name: 'limpet' },
      append: ({ sourceToken }) => {
        taken.push(sourceToken)
        return Promise.resolve({
          kind: 'taken',
          position: 0,
          accepted: 0,
          duplicates: 0,
          ignored: [],
          unknownRooms: [],
        })
      },
      ...{ pool, log, clock: systemClock, metrics: makeMetrics({ runtime: false }) },
      fail: (error) => failed.push(error),
    })
    try {
      await until(() => logged.some((line) => line.includes('could not be read')), {
        what: 'it to be missed',
      })
      address.forwardTo(Number(new URL(bouncer.through(synapse.url)).port))
      await until(() => failed.length + taken.length > 0, { what: 'it to be refused or read' })
    } finally {
      await source.stop()
    }
    return { taken, failed, logged }
  }

  it('is not read through a pooler in transaction mode', async function () {
    const { taken, failed } = await comesBack(this, 'transaction', 5)
    expect(taken).to.deep.equal([])
    expect(failed).to.have.length(1)
    expect(failed[0]).to.be.instanceOf(SynapseRefused)
    expect((failed[0] as Error).message).to.match(/behind a pooler in transaction mode/)
  })

  it('is read through one in session mode, narrow as it may be, with PgBouncer’s default settings', async function () {
    const { taken, failed, logged } = await comesBack(this, 'session', 3)
    expect(failed).to.deep.equal([])
    expect(taken[0]).to.equal('events=7')
    expect(logged.join('\n')).not.to.match(/gives only/)
  })
})
