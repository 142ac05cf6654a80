import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { PoolClient } from 'pg'
import { inSnapshot, inTransaction, openPool, type Pool } from '../../src/store/db.ts'
import { lockContent, lockContentShared, lockStream, moveHead, readHead } from '../../src/store/stream.ts'
import { event, makeIngestWorld, servers } from '../ingest/ingest-world.ts'
import { holdTransaction } from '../support/hold.ts'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'

const INSERT = `
  insert into events (pos, room, event_id, sender, pdu, received_ts)
  select p, 1, '$raw' || p, '@raw:home.example', '{}', 0 from unnest($1::bigint[]) p`

/** A writer of its own: takes positions for a few events, and dawdles before it commits. */
type Writer = (db: PoolClient, count: number) => Promise<void>

const dawdle = () => sleep(Math.random() * 12)
const after = (head: number, count: number) => Array.from({ length: count }, (_, n) => head + 1 + n)

const locked: Writer = async (db, count) => {
  const { head } = await lockStream(db)
  await dawdle()
  await db.query(INSERT, [after(head, count)])
  await moveHead(db, head + count)
  await dawdle()
}

/** Takes its positions from a sequence: in order, but not committed in order. */
const unlocked: Writer = async (db, count) => {
  const { rows } = await db.query<{ pos: number }>(
    `select nextval('test_positions') as pos from generate_series(1, $1)`,
    [count],
  )
  const positions = rows.map(({ pos }) => pos)
  await dawdle()
  await db.query(INSERT, [positions])
  await db.query('update stream set head = greatest(head, $1)', [Math.max(...positions)])
  await dawdle()
}

interface Seen {
  /** Positions in the order in which the reader met them. */
  met: number[]
  /** Snapshots whose head and items did not fit together. */
  torn: string[]
}

/** Tails the stream as everybody does, `pos > cursor`, until `done` and nothing new. */
async function tail(pool: Pool, done: () => boolean): Promise<Seen> {
  const seen: Seen = { met: [], torn: [] }
  for (;;) {
    const wasDone = done()
    const cursor = seen.met.at(-1) ?? 0
    const { head, rows, all } = await inSnapshot(pool, async (db) => {
      const head = await readHead(db)
      await sleep(Math.random() * 3)
      const { rows } = await db.query<{ pos: number }>('select pos from events where pos > $1 order by pos', [
        cursor,
      ])
      const { rows: all } = await db.query<{ n: number; newest: number }>(
        'select count(*) as n, coalesce(max(pos), 0) as newest from events',
      )
      return { head, rows, all: all[0] }
    })
    if (all?.n !== head || all.newest !== head)
      seen.torn.push(`head ${head}, ${all?.n} events up to ${all?.newest}`)
    seen.met.push(...rows.map(({ pos }) => pos))
    if (wasDone && rows.length === 0) return seen
  }
}

async function writeAndTail(pool: Pool, writers: (() => Promise<void>)[], roundsEach: number): Promise<Seen> {
  let running = writers.length
  const [seen] = await Promise.all([
    tail(pool, () => running === 0),
    ...writers.map(async (write) => {
      for (let round = 0; round < roundsEach; round += 1) await write()
      running -= 1
    }),
  ])
  return seen
}

const upTo = (n: number) => after(0, n)

describe('the stream', () => {
  let url: string
  let pool: Pool
  beforeEach(async () => {
    ;({ url } = await freshDatabase())
    pool = openPool({ url, max: 12 })
  })
  afterEach(() => pool.end())

  const someoneWaits = async () =>
    (
      await pool.query(
        `select from pg_locks where locktype = 'advisory' and not granted
            and database = (select oid from pg_database where datname = current_database())`,
      )
    ).rowCount === 1

  const by = (writer: Writer) => () =>
    inTransaction(pool, (db) => writer(db, 1 + Math.floor(Math.random() * 3)))

  it('is committed in the order of its positions, however slow the writer is', async () => {
    const worlds = await Promise.all([1, 2, 3].map(() => makeIngestWorld({ url })))
    const appends = worlds.flatMap((world) =>
      [1, 2].map(() => async () => {
        await world.take([event({ also: { to: [] } }), event({ also: { to: ['b.example'] } })])
      }),
    )
    const seen = await writeAndTail(pool, [...appends, by(locked), by(locked), by(locked)], 30)
    await Promise.all(worlds.map((world) => world.close()))
    const head = await readHead(pool)
    expect(head).to.be.at.least(6 * 30 * 2 + 3 * 30)
    expect(seen.met, 'each once, none missed, in order').to.deep.equal(upTo(head))
    expect(seen.torn).to.deep.equal([])
  })

  it('would not be so with positions from a sequence: the reader above misses some (the test can fail)', async () => {
    await pool.query('create sequence test_positions')
    const seen = await writeAndTail(
      pool,
      Array.from({ length: 6 }, () => by(unlocked)),
      30,
    )
    const head = await readHead(pool)
    expect(seen.met.length).to.be.lessThan(head)
    expect(seen.torn).to.not.have.length(0)
  })

  it('has no hole after a writer that gave up', async () => {
    await inTransaction(pool, (db) => locked(db, 2))
    await inTransaction(pool, async (db) => {
      await locked(db, 3)
      throw new Error('changed my mind')
    }).catch(() => undefined)
    expect(await inTransaction(pool, lockStream)).to.include({ head: 2 })
    const world = await makeIngestWorld({ url })
    expect((await world.take([servers({ set: [] })])).position).to.equal(3)
    await world.close()
  })

  it("gives the database's time after the wait, not from before it", async () => {
    const holder = await holdTransaction(pool)
    await lockStream(holder)
    const waiting = inTransaction(pool, lockStream)
    await until(someoneWaits, { what: 'a second writer to wait' })
    await pool.query(`insert into settings (key, value) values ('clock_offset_ms', '1000000')`)
    await holder.query('commit')
    holder.release()
    const { now } = await waiting
    const { rows } = await pool.query<{ now: number }>('select now_ms() as now')
    expect(now).to.be.within((rows[0]?.now ?? 0) - 500_000, rows[0]?.now ?? 0)
  })

  it('is not held up by who freezes, and freezes wait only for who takes content away', async () => {
    const freezing = await holdTransaction(pool)
    await lockContentShared(freezing)
    const world = await makeIngestWorld({ url })
    await world.take([event()])
    await inTransaction(pool, lockContentShared)
    let taken = false
    const taking = inTransaction(pool, lockContent).then(() => (taken = true))
    await until(someoneWaits, { what: 'the redaction to wait' })
    expect(taken).to.equal(false)
    await freezing.query('commit')
    freezing.release()
    await taking
    await world.close()
  })
})
