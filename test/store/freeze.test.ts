import { expect } from 'chai'
import { makeBatcher } from '../../src/batcher.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { registerWorker } from '../../src/store/leases.ts'
import {
  FROZEN_TOGETHER,
  freezeTransactions,
  weighFrozen,
  type Frozen,
} from '../../src/store/open-transactions.ts'
import { freshDatabase } from '../support/postgres.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'

describe('freezing transactions', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await registerWorker(pool, { id: WORKER, name: 'w', leaseMs: 60_000 })
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
    body,
    acknowledges: {
      ...{ positions: [], lanes: '', eventIds: [], fromPos: 0, toPos: 0 },
      ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
    },
    readAt: 0,
    soonestLapse: null,
  })

  it('keeps the exact bytes of each, whatever is in them', async () => {
    const bodies = ['{"pdus":["\\u0000 \\\\ \\ud83d\\ude00 é"]}', '{}', `{"a":"${'b'.repeat(100_000)}"}`]
    await freezeTransactions(
      pool,
      bodies.map((body, index) => frozen(index + 1, body)),
    )
    const { rows } = await pool.query<{ body: string }>(
      'select body from open_transactions order by destination',
    )
    expect(rows.map(({ body }) => body)).to.deep.equal(bodies)
  })

  // A message that a hundred servers get in fifty large events: one batch of 320 MB was refused, each time anew.
  it('puts a hundred small ones into one commit, and no more than some megabytes of large ones', async () => {
    const batches: number[] = []
    const batcher = makeBatcher<Frozen, number>({
      run: (rows) => Promise.resolve(rows.map(() => batches.push(rows.length))),
      maxWeight: FROZEN_TOGETHER,
      weigh: weighFrozen,
    })
    const large = 'x'.repeat(3_200_000)
    await Promise.all(Array.from({ length: 100 }, () => batcher.add(frozen(1, large))))
    expect(Math.max(...batches)).to.be.below(5)
    batches.length = 0
    await Promise.all(Array.from({ length: 90 }, () => batcher.add(frozen(1, 'x'.repeat(2_000)))))
    expect(Math.max(...batches)).to.equal(90)
  })
})
