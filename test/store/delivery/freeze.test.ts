import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { registerWorker } from '../../../src/store/delivery/leases.ts'
import { readOpenTexts } from '../../../src/store/delivery/open-texts.ts'
import { freezeTransactions, type Frozen } from '../../support/freeze.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { loadDestination } from '../../support/one.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'

describe('freezing transactions', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await registerWorker(pool, { id: WORKER, name: 'w', leaseMs: 3_600_000 })
    await pool.query(
      `insert into destinations (id, name, position, created_at, lease_owner, fence)
       select id, id || '.example', 0, 0, $1, 1 from generate_series(1, 3) id`,
      [WORKER],
    )
  })
  afterEach(() => pool.end())

  const frozen = (destination: number, body: string): Frozen => ({
    held: { worker: WORKER, destination, fence: 1 },
    txnId: `txn${destination}`,
    bytes: Buffer.byteLength(body),
    originServerTs: 17,
    acknowledges: {
      ...{ positions: [], lanes: '', eventIds: [], fromPos: 0, toPos: 0 },
      ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
    },
    readAt: 0,
    narrowedSeq: 0,
    soonestLapse: null,
    edusAs: null,
  })

  it('keeps the exact bytes of each by reference, whatever is in them', async () => {
    const bodies = ['{"pdus":["\\u0000 \\\\ \\ud83d\\ude00 é"]}', '{}', `{"a":"${'b'.repeat(100_000)}"}`]
    await freezeTransactions(
      pool,
      bodies.map((body, index) => frozen(index + 1, body)),
    )
    const { rows } = await pool.query(
      'select origin_server_ts as ts, bytes from open_transactions order by destination',
    )
    expect(rows).to.deep.equal(bodies.map((body) => ({ ts: 17, bytes: Buffer.byteLength(body) })))
  })

  it('gives them back from the texts of the log, and not once one of these is gone', async () => {
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select pos, 1, '$' || pos, '@a:b', '{"n":' || pos || '}', 0 from generate_series(1, 3) pos`,
    )
    const one = frozen(1, 'the body')
    Object.assign(one.acknowledges, { positions: [1, 3], lanes: 'tt' })
    await freezeTransactions(pool, [one])
    const open = (await loadDestination(pool, one.held))!.open!
    expect(open).to.include({ originServerTs: 17, bytes: 8, void: false })
    const texts = () => readOpenTexts(pool, 1, open)
    expect((await texts())?.pdus.map(({ pdu, eventId }) => [pdu, eventId])).to.deep.equal([
      ['{"n":1}', '$1'],
      ['{"n":3}', '$3'],
    ])
    await pool.query('delete from events where pos = 3')
    expect(await texts()).to.equal(null)
  })
})
