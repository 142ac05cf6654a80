/** Whether the source keeps up can be seen: in the database by any process, and in the metrics of this one. */
import { expect } from 'chai'
import { pino } from 'pino'
import { systemClock } from '../../../src/pace/clock.ts'
import type { Config } from '../../../src/config/config.ts'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import { startSynapseSource } from '../../../src/daemon/start-synapse-source.ts'
import { openPool } from '../../../src/store/db.ts'
import { readSourceStates } from '../../../src/store/ingest/source-states.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { synapseTables } from './tables.ts'

it('a source that limpet follows says how it is doing, from its start to its end', async () => {
  const synapse = await synapseTables()
  const database = await freshDatabase()
  const pool = openPool({ url: database.url })
  const metrics = makeMetrics({ runtime: false })
  await synapse.finishedUpTo(7)
  const source = startSynapseSource({
    config: { server_name: 'a.example', sticky: { field_names: ['msc4354_sticky'] } } as unknown as Config,
    settings: { database: synapse.url, redis: null, instance_name: 'limpet' },
    pool,
    append: ({ sourceToken, items }) => {
      expect([sourceToken, items]).to.deep.equal(['events=7', []])
      const none = { accepted: 0, duplicates: 0, ignored: [], unknownRooms: [] }
      return Promise.resolve({ kind: 'taken', position: 0, ...none })
    },
    metrics,
    clock: systemClock,
    log: pino({ level: 'silent' }),
    fail: (error) => expect.fail(String(error)),
  })
  try {
    const state = async () => (await readSourceStates(pool))[0]
    await until(async () => (await state())?.position === 7, { what: 'the source to say where it is' })
    expect(await state()).to.include({ name: 'synapse', state: 'running', behind: 0, behind_ms: 0 })
    expect(await metrics.registry.metrics()).to.contain('limpet_source_behind_seconds{source="synapse"} 0')
  } finally {
    await source.stop()
    await pool.end()
    await database.drop()
    await synapse.close()
  }
})
