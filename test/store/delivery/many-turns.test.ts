/** Turns that share a statement are each judged by themselves: who has it, what was wished, what was forgotten. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { loadDestinations } from '../../../src/store/delivery/destination.ts'
import { releaseDestinations, takeDestinations, type LettingGo } from '../../../src/store/delivery/leases.ts'
import { freshDatabase } from '../../support/postgres.ts'

const A = '00000000-0000-4000-8000-00000000000a'
const B = '00000000-0000-4000-8000-00000000000b'
const OVER = '00000000-0000-4000-8000-00000000000c'
const MANY = 300

describe('turns that share a statement', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 4 })
    await pool.query(
      `insert into workers (id, name, lease_until) values ($1, 'a', now_ms() + 3600000), ($2, 'b', now_ms() + 3600000), ($3, 'c', 0)`,
      [A, B, OVER],
    )
    await pool.query(
      `insert into destinations (id, name, position, created_at) select i, i || '.example', 10, 0 from generate_series(1, ${MANY}) i`,
    )
  })
  afterEach(() => pool.end())

  const names = (...ids: number[]) => ids.map((id) => `${id}.example`)
  const hold = (worker: string, ...ids: number[]) =>
    pool.query(
      'update destinations set lease_owner = $1, fence = 7, follows = true, missed = 1 where id = any($2)',
      [worker, ids],
    )
  const rowsOf = async (columns: string, ...ids: number[]) =>
    (
      await pool.query<Record<string, unknown>>(
        `select ${columns} from destinations where id = any($1) order by id`,
        [ids],
      )
    ).rows

  it('take what is free, was theirs, or belongs to a worker that is gone; of others they wish a look', async () => {
    await hold(A, 2)
    await hold(B, 3)
    await hold(OVER, 4)
    const order = [4, 3, 99_999, 1, 2]
    const taken = await takeDestinations(
      pool,
      names(...order).map((name) => ({ worker: A, name })),
    )
    const by = (destination: number, fence: number) => ({
      kind: 'taken',
      held: { worker: A, destination, fence },
    })
    expect(taken).to.deep.equal([by(4, 8), { kind: 'held' }, { kind: 'unknown' }, by(1, 1), by(2, 8)])
    expect(await rowsOf('lease_owner, follows, missed, wake_seq', 1, 2, 3, 4)).to.deep.equal([
      { lease_owner: A, follows: false, missed: 0, wake_seq: 0 },
      { lease_owner: A, follows: false, missed: 0, wake_seq: 0 },
      { lease_owner: B, follows: true, missed: 1, wake_seq: 1 },
      { lease_owner: A, follows: false, missed: 0, wake_seq: 0 },
    ])
  })

  it('take nothing for a worker whose own lease is over, beside one that lives', async () => {
    const taken = await takeDestinations(pool, [
      { worker: OVER, name: '1.example' },
      { worker: A, name: '2.example' },
    ])
    expect(taken.map(({ kind }) => kind)).to.deep.equal(['over', 'taken'])
    expect(await rowsOf('lease_owner', 1, 2)).to.deep.equal([{ lease_owner: null }, { lease_owner: A }])
  })

  it('look at each as its own holder, in the order that was asked', async () => {
    await hold(A, 1, 2)
    await hold(B, 3)
    const held = (destination: number, worker: string, fence: number) => ({ destination, worker, fence })
    const states = await loadDestinations(pool, [
      ...[held(2, A, 7), held(99_999, A, 7), held(1, A, 6), held(3, A, 7)],
    ])
    expect(states.map((state) => state && [state.name, state.held])).to.deep.equal([
      ...[['2.example', true], null, ['1.example', false], ['3.example', false]],
    ])
  })

  it('let go of each unless a look was wished of that one, or its room was forgotten, or its lease is lost', async () => {
    const now = 1_000
    await hold(A, 1, 2, 3, 4, 5, 6)
    await pool.query('update destinations set wake_seq = 1 where id = 2')
    await pool.query('update stream set head = 20')
    await pool.query(`insert into changes (pos, kind, at) values (15, 'purge', 0)`)
    const letting = (destination: number, more: Partial<LettingGo>): LettingGo => ({
      held: { worker: A, destination, fence: 7 },
      ...{ wakeSeq: 0, lookAt: null, position: null, readAt: 0, ...more },
    })
    const released = await releaseDestinations(pool, [
      letting(6, { lookAt: now + 0.5 }),
      letting(2, {}),
      letting(3, { position: 14, readAt: 14 }),
      letting(4, { position: 16, readAt: 16 }),
      { ...letting(5, {}), held: { worker: A, destination: 5, fence: 6 } },
      letting(1, { position: 5, readAt: 20 }),
    ])
    expect(released).to.deep.equal([true, false, false, true, false, true])
    expect(
      await rowsOf('id, lease_owner is null as free, position, look_at', 1, 2, 3, 4, 5, 6),
    ).to.deep.equal([
      { id: 1, free: true, position: 10, look_at: null },
      { id: 2, free: false, position: 10, look_at: null },
      { id: 3, free: false, position: 10, look_at: null },
      { id: 4, free: true, position: 16, look_at: null },
      { id: 5, free: false, position: 10, look_at: null },
      { id: 6, free: true, position: 10, look_at: now + 1 },
    ])
  })

  it('never wait crosswise for others that have the same destinations in another order', async () => {
    const ids = Array.from({ length: MANY }, (_, i) => i + 1)
    // Four connections, so that four are really at work at once.
    await Promise.all(Array.from({ length: 4 }, () => pool.query('select pg_sleep(0.05)')))
    const takings = names(...ids).map((name) => ({ worker: A, name }))
    const letting = ids.map((destination) => ({
      held: { worker: A, destination, fence: 1 },
      ...{ wakeSeq: null, lookAt: null, position: null, readAt: 0 },
    }))
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => [
        takeDestinations(pool, i % 2 === 0 ? takings : takings.toReversed()),
        releaseDestinations(pool, i % 2 === 0 ? letting.toReversed() : letting),
      ]).flat(),
    )
    expect(all.every((one) => one.length === MANY)).to.equal(true)
  })
})
