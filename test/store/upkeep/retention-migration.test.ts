import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { openPool } from '../../../src/store/db.ts'
import { listPartitions } from '../../../src/store/upkeep/log-partitions.ts'
import { migrate } from '../../../src/store/migrate.ts'
import { event, makeIngestWorld } from '../../ingest/ingest-world.ts'
import { freshDatabase } from '../../support/postgres.ts'

describe('the migration to a log in partitions', () => {
  it('keeps what the log holds as its first partition, whatever the head, and the stream goes on', async () => {
    const { url } = await freshDatabase({ migrated: false })
    const pool = openPool({ url, max: 2 })
    const sql = await readFile(new URL('../../../migrations/0001_limpet.sql', import.meta.url), 'utf8')
    await pool.query(sql)
    await pool.query(`create table limpet_migrations (
      version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())`)
    const checksum = createHash('sha256').update(sql).digest('hex')
    await pool.query(`insert into limpet_migrations values (1, '0001_limpet.sql', $1)`, [checksum])
    await pool.query('update stream set head = 4500000')
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select pos, 1, '$' || pos, '@a:b', '{"n":' || pos || '}', 0 from unnest(array[1, 4500000]) pos`,
    )
    expect(await migrate(pool)).to.include('0002_retention.sql')
    const { rows } = await pool.query<{ pdu: string }>('select pdu from events order by pos')
    expect(rows.map(({ pdu }) => pdu)).to.deep.equal(['{"n":1}', '{"n":4500000}'])
    const names = (await listPartitions(pool)).map(({ name, state }) => `${name} ${state}`)
    const [first, ...ahead] = ['events_0_6000000', 'events_6000000_8000000', 'events_8000000_10000000']
    expect(names).to.deep.equal([first, ...ahead].map((name) => `${name} attached`))
    await pool.end()

    const world = await makeIngestWorld({ url })
    expect(await world.take([event()])).to.include({ position: 4_500_001 })
    const indexes = await world.rows<{ name: string }>(
      `select indexdef as name from pg_indexes where tablename = 'events_0_6000000'`,
    )
    expect(indexes, 'those it had, and none twice').to.have.length(4)
    await world.close()
  })
})
