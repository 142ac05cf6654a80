/** A statement that has waited for a lock asks after that whose lease lives: a renewal counts that came meanwhile, and so does its end. */
import { expect } from 'chai'
import {
  acknowledgeAndFreeze,
  type Frozen as Row,
} from '../../../src/store/delivery/acknowledge-and-freeze.ts'
import {
  dropTransaction,
  writeAttemptResults,
  type AttemptResult,
} from '../../../src/store/delivery/results.ts'
import type { PoolClient } from 'pg'
import { inTransaction, openPool, type Pool } from '../../../src/store/db.ts'
import { beginToFollow, releaseFollowers } from '../../../src/store/delivery/follow-flag.ts'
import { growGap, moveOn, openGap } from '../../../src/store/delivery/gaps.ts'
import { giveWay, registerWorker, renewWorker } from '../../../src/store/delivery/leases.ts'
import { settleDestinations } from '../../../src/store/upkeep/move-past.ts'
import { lockContent } from '../../../src/store/stream.ts'
import { freezeTransactions, frozenRow, type Frozen } from '../../support/freeze.ts'
import { holdTransaction } from '../../support/hold.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { releaseDestination, takeDestination } from '../../support/one.ts'

const A = '00000000-0000-4000-8000-00000000000a'
const B = '00000000-0000-4000-8000-00000000000b'
const HELD = { worker: A, destination: 1, fence: 1 }
const LEASE_MS = 15_000

// As a machine's clock, and unlike a row, it is the same for every reader: a statement that waits sees it move.
const CLOCK = `
  create sequence clock minvalue 0 start 1000000000000;
  create or replace function now_ms() returns bigint language sql stable as 'select last_value from clock'`

const acknowledges: Frozen['acknowledges'] = {
  ...{ positions: [], lanes: '', eventIds: [], fromPos: 0, toPos: 0 },
  ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
}
const frozen: Frozen = {
  ...{
    held: HELD,
    txnId: 'new',
    bytes: 2,
    originServerTs: 0,
    acknowledges,
    readAt: 0,
    soonestLapse: null,
    edusAs: null,
  },
  narrowedSeq: 0,
}
const followed: Row = { ...frozenRow(frozen), wakeSeq: 0, readAt: 9 }
const result: AttemptResult = {
  ...{ held: HELD, txnId: 'old', startedAt: 0, durationMs: 1, outcome: 'answered', status: 200 },
  ...{ message: null, errorKind: null, acknowledges, answered: true, discard: false, timeoutMs: null },
  ...{ quick: true, lists: true, pduErrors: null, unlisted: [], isolation: null },
  waiting: {
    ...{ failures: 0, failingSince: null, retryAt: null, retryInterval: null, holdKind: null },
    ...{ holdUntil: null, adviceAt: null, adviceUp: false, adviceAfter: null, adviceStep: null },
    ...{ askedAt: null, deadlineAt: null, triedAt: null, deadlineTries: [] },
  },
}
const OPEN = `
  insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions,
      lanes, from_pos, to_pos) values (1, 'old', 0, 2, 0, 0, '${A}', '{}', '', 0, 0)`
const GAP =
  'insert into gaps (id, destination, from_pos, to_pos, cursor, opened_at) values (1, 1, 0, 5, 0, 0)'
const following = [{ held: HELD, wakeSeq: 0, narrowedSeq: 0, position: 0, durablePos: 0, ephemeralPos: 0 }]
const released = { wakeSeq: null, lookAt: null, position: null }

/** What a holder writes: true where it was written. */
const writes: [string, (pool: Pool) => Promise<boolean>, string?][] = [
  ['freezes', async (pool) => (await freezeTransactions(pool, [frozen]))[0] !== null],
  ['freezes in steady traffic', async (pool) => (await acknowledgeAndFreeze(pool, [followed]))[0] !== null],
  [
    'acknowledges in steady traffic',
    async (pool) =>
      (
        await acknowledgeAndFreeze(pool, [
          { ...followed, answered: { txnId: 'old', durationMs: 1, unlisted: [] } },
        ])
      )[0] !== null,
    OPEN,
  ],
  ['writes down a result', async (pool) => (await writeAttemptResults(pool, [result]))[0] === true, OPEN],
  [
    'repeats',
    async (pool) => (await acknowledgeAndFreeze(pool, [{ held: HELD, again: 'old' }]))[0] !== null,
    OPEN,
  ],
  [
    'ends a transaction',
    async (pool) => {
      await dropTransaction(pool, HELD, 'old')
      return (await pool.query('select from open_transactions')).rowCount === 0
    },
    OPEN,
  ],
  ['begins to follow', async (pool) => (await beginToFollow(pool, following))[0] === true],
  ['lets go of a followed one', async (pool) => (await releaseFollowers(pool, following))[0] === true],
  ['gives way', async (pool) => (await giveWay(pool, HELD, 0)) !== null],
  ['lets go', (pool) => releaseDestination(pool, HELD, released)],
  [
    'opens a gap',
    async (pool) => (await within(pool, (db) => openGap(db, HELD, { from: 0, to: 5 }))) !== null,
  ],
  [
    'lets a gap grow',
    async (pool) => {
      await growGap(pool, HELD, { id: 1 }, 7)
      return (await pool.query('select from gaps where to_pos = 7')).rowCount === 1
    },
    GAP,
  ],
  [
    'moves its position',
    (pool) => within(pool, (db) => moveOn(db, HELD, { from: 0, to: 5, readAt: 0, gap: null })),
  ],
]
const within = <T>(pool: Pool, work: (db: PoolClient) => Promise<T>) => inTransaction(pool, work)

describe('a lease is judged after the wait for a lock', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 4 })
    await pool.query(CLOCK)
    for (const id of [A, B]) await registerWorker(pool, { id, name: id, leaseMs: LEASE_MS })
    await pool.query(
      `insert into destinations (id, name, position, created_at, lease_owner, fence) values (1, 'd.example', 0, 0, $1, 1)`,
      [A],
    )
  })
  afterEach(() => pool.end())

  const passes = (ms: number) =>
    pool.query(`select setval('clock', last_value + $1::bigint) from clock`, [ms])
  const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`

  /** `work` meets somebody's lock and waits; then `meanwhile` happens, and the lock is given back. */
  async function waiting<T>(
    work: () => Promise<T>,
    { lock, meanwhile }: { lock: (db: PoolClient) => Promise<unknown>; meanwhile: () => Promise<unknown> },
  ): Promise<T> {
    const other = await holdTransaction(pool)
    try {
      await lock(other)
      const working = work()
      await until(async () => (await pool.query(waits)).rowCount === 1, { what: 'it to wait for the lock' })
      await meanwhile()
      await other.query('commit')
      return await working
    } finally {
      other.release()
    }
  }

  /** It lives all the time, and what it had when the wait began is over when that ends. */
  const isRenewed = async () => {
    for (let i = 0; i < 3; i += 1) {
      await passes(LEASE_MS - 1)
      expect(await renewWorker(pool, { id: A, leaseMs: LEASE_MS })).to.equal(true)
    }
  }
  const isOver = () => passes(LEASE_MS)

  const locks: [string, (db: PoolClient) => Promise<unknown>][] = [
    ['that was only locked', (db) => db.query('select from destinations where id = 1 for update')],
    ['that was changed', (db) => db.query('update destinations set missed = 1 where id = 1')],
  ]
  for (const [what, lock] of locks) {
    describe(`for a row ${what}`, () => {
      for (const [name, write, sql] of writes) {
        it(`${name} under a lease that was renewed meanwhile`, async () => {
          if (sql !== undefined) await pool.query(sql)
          expect(await waiting(() => write(pool), { lock, meanwhile: isRenewed })).to.equal(true)
        })

        it(`${name} no more when the lease ended meanwhile`, async () => {
          if (sql !== undefined) await pool.query(sql)
          expect(await waiting(() => write(pool), { lock, meanwhile: isOver })).to.equal(false)
        })
      }

      it('takes nothing from a holder that lives', async () => {
        const renewed = async () => {
          await isRenewed()
          await pool.query('update workers set lease_until = now_ms() + 1 where id = $1', [B])
        }
        const taken = await waiting(() => takeDestination(pool, B, 'd.example'), { lock, meanwhile: renewed })
        expect(taken.kind).to.equal('held')
        const { rows } = await pool.query('select lease_owner, fence, wake_seq from destinations')
        expect(rows).to.deep.equal([{ lease_owner: A, fence: 1, wake_seq: 1 }])
      })

      it('takes from one whose lease ended meanwhile', async () => {
        await pool.query('update workers set lease_until = now_ms() + 3600000 where id = $1', [B])
        const taken = await waiting(() => takeDestination(pool, B, 'd.example'), { lock, meanwhile: isOver })
        expect(taken.kind).to.equal('taken')
      })

      it('takes nothing for one whose own lease ended meanwhile', async () => {
        await pool.query('update destinations set lease_owner = null')
        const taken = await waiting(() => takeDestination(pool, B, 'd.example'), { lock, meanwhile: isOver })
        expect(taken.kind).to.equal('over')
      })

      it('retention leaves a holder alone that lives', async () => {
        const settle = async () => {
          const db = await pool.connect()
          return settleDestinations(db, 5).finally(() => {
            db.release()
          })
        }
        expect(await waiting(settle, { lock, meanwhile: isRenewed })).to.deep.include({ held: 1, moved: 0 })
      })
    })
  }

  it('freezes in steady traffic after it waited for a redaction', async () => {
    const frozen = await waiting(() => acknowledgeAndFreeze(pool, [followed]), {
      ...{ lock: lockContent, meanwhile: isRenewed },
    })
    expect(frozen).to.not.deep.equal([null])
  })

  it('freezes no replay that lapsed while it waited', async () => {
    const [lock] = locks.map(([, it]) => it)
    if (lock === undefined) throw new Error('no lock')
    const { rows } = await pool.query<{ now: number }>('select now_ms() as now')
    const soonestLapse = (rows[0]?.now ?? 0) + 1
    const freeze = () => freezeTransactions(pool, [{ ...frozen, soonestLapse }])
    expect(await waiting(freeze, { lock, meanwhile: isRenewed })).to.deep.equal([null])
  })
})
