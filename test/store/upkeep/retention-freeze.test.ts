/** A freeze between what retention reads and what it takes away: what is unanswered keeps its texts (contract 5.2). */
import { expect } from 'chai'
import { dropUnneeded, giveUpOld, neededUpTo } from '../../../src/store/upkeep/kept-events.ts'
import { registerWorker } from '../../../src/store/delivery/leases.ts'
import { freezeTransactions } from '../../support/freeze.ts'
import { event, HOUR, servers } from '../../ingest/ingest-world.ts'
import { holdTransaction } from '../../support/hold.ts'
import { until } from '../../support/poll.ts'
import { DAY, makeRetentionWorld, readTexts, type RetentionWorld } from './retention-world.ts'
import { takeDestination } from '../../support/one.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const EDGE = 1_999_999

describe('retention, and a freeze that comes between', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
    await world.take([servers({ set: ['b.example'] }), event(), event()])
    await registerWorker(world.pool, { id: WORKER, name: 'w', leaseMs: 10 * DAY })
  })
  afterEach(() => world.close())

  /** As a turn does that has read them when the head was at `readAt`; false: it must look again. */
  async function freeze(positions: number[], readAt: number): Promise<boolean> {
    await world.rows('update destinations set lease_owner = null')
    const taken = await takeDestination(world.pool, WORKER, 'b.example')
    if (taken.kind !== 'taken') throw new Error(`b is ${taken.kind}`)
    const acknowledges = {
      ...{ positions, lanes: 'c'.repeat(positions.length), eventIds: [], fromPos: 0, toPos: 0, gap: null },
      ...{ gapCursor: null, closesGap: false, sticky: [] },
    }
    const what = {
      held: taken.held,
      txnId: 'txn',
      bytes: 2,
      originServerTs: 7,
      readAt,
      soonestLapse: null,
      edusAs: null,
    }
    const { rows } = await world.pool.query<{ narrowedSeq: number }>(
      `select narrowed_seq as "narrowedSeq" from destinations where name = 'b.example'`,
    )
    const narrowedSeq = rows[0]?.narrowedSeq ?? 0
    const [started] = await freezeTransactions(world.pool, [{ ...what, acknowledges, narrowedSeq }])
    return started !== null
  }
  const textsAt = async (positions: number[]) => (await readTexts(world.pool, positions)).length
  /** The newest of two is kept for a gap. */
  async function kept() {
    await world.passes(3 * HOUR)
    await world.retain()
    expect((await world.holds()).kept).to.have.length(1)
    await world.passes(2 * HOUR)
  }

  it('what is frozen after it was found too old is not given up', async () => {
    await kept()
    const needed = await neededUpTo(world.pool, EDGE)
    expect(await freeze([3], await world.head())).to.equal(true)
    expect(await giveUpOld(world.pool, needed, HOUR)).to.equal(0)
    await dropUnneeded(world.pool, needed)
    expect(await textsAt([3])).to.equal(1)
    expect(await world.rows('select * from counters'), 'nor counted').to.deep.equal([])
  })

  it('nor dropped when it was needed no longer as that was read', async () => {
    await kept()
    expect(await freeze([3], await world.head())).to.equal(true)
    await dropUnneeded(world.pool, { owed: new Map(), open: new Set() })
    expect(await textsAt([3])).to.equal(1)
  })

  it('what was read before it was given up is not frozen after', async () => {
    await kept()
    const readAt = await world.head()
    expect(await giveUpOld(world.pool, await neededUpTo(world.pool, EDGE), HOUR)).to.equal(1)
    expect(await freeze([3], readAt)).to.equal(false)
    expect(await freeze([], await world.head()), 'who looks again may').to.equal(true)
  })

  it('a freeze that is about to commit is waited for before anything is asked', async () => {
    await kept()
    const needed = await neededUpTo(world.pool, EDGE)
    const freezing = await holdTransaction(world.pool)
    await freezing.query('select pg_advisory_xact_lock_shared($1)', [0x6c696d72])
    await freezing.query(
      `insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions, lanes, from_pos, to_pos)
       values (1, 'txn', 0, 0, 0, 0, $1, '{3}', 'c', 0, 0)`,
      [WORKER],
    )
    const given = giveUpOld(world.pool, needed, HOUR)
    const waits = `select count(*) from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`
    await until(async () => Number(await world.value(waits)) > 0, { what: 'the giving up to wait' })
    await freezing.query('commit')
    freezing.release()
    expect(await given).to.equal(0)
    expect(await textsAt([3])).to.equal(1)
  })

  it('what is frozen after its part of the log was copied is copied too, and keeps its texts', async () => {
    await world.passes(3 * HOUR)
    const frozen: boolean[] = []
    await world.retain({
      onStep: async (step) => {
        if (step === 'move the floor') frozen.push(await freeze([2, 3], await world.head()))
      },
    })
    expect(frozen).to.deep.equal([true])
    expect((await world.holds()).log).to.deep.equal([])
    expect(await textsAt([2, 3])).to.equal(2)
  })

  it('what was read before its part of the log went is not frozen after', async () => {
    await world.passes(3 * HOUR)
    const readAt = EDGE
    await world.retain()
    expect(await freeze([2], readAt)).to.equal(false)
  })
})
