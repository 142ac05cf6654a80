/** Counting what everybody is owed, when it is too much for one sweep. */
import { expect } from 'chai'
import { countBacklogs } from '../../../src/store/upkeep/count-backlogs.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { findOwed } from '../../../src/store/delivery/wake-lists.ts'
import { freshDatabase } from '../../support/postgres.ts'

const EVENTS = 3
const SERVERS = 120

describe('counting backlogs', () => {
  let pool: Pool

  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query(`insert into rooms (room_id, head) values ('!r:home.example', ${EVENTS})`)
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select g, 1, 'e' || g, '@a:home.example', '{}', 1000 + g from generate_series(1, ${EVENTS}) g`,
    )
    await pool.query(
      `insert into destinations (name, position, created_at) select 'h' || g, 0, 0 from generate_series(1, ${SERVERS}) g`,
    )
    await pool.query(
      'insert into memberships (room, destination, since) select 1, id, 0 from destinations order by id',
    )
  })
  afterEach(() => pool.end())

  const count = async (how?: Parameters<typeof countBacklogs>[2]) =>
    countBacklogs(pool, await findOwed(pool), how)
  const counted = async () =>
    (
      await pool.query('select 1 from destinations where pending_pdus = $1 and oldest_pending = 1001', [
        EVENTS,
      ])
    ).rowCount

  it('is done at once where that is not much', async () => {
    expect(await count()).to.equal(0)
    expect(await counted()).to.equal(SERVERS)
  })

  it('stops when its time is over, and goes on from there the next time', async () => {
    const first = await count({ mayGoOn: () => false })
    const some = await counted()
    expect(some).to.be.within(1, SERVERS - 1)
    const second = await count({ from: first, mayGoOn: () => false })
    expect(await counted()).to.equal(2 * some!)
    await count({ from: second })
    expect(await counted()).to.equal(SERVERS)
  })

  it('keeps the count before it, where that is long enough ago to measure a pace', async () => {
    const cursors = async () => {
      const { rows } = await pool.query<{ name: string; pos: number }>(
        `select name, pos from cursors where name like 'counted%' and name not like '%at' order by name`,
      )
      return rows.map(({ name, pos }) => `${name.slice('counted_'.length)} ${pos}`)
    }
    const first = [`head ${EVENTS}`, `pdus ${SERVERS * EVENTS}`]
    await pool.query(`update stream set head = ${EVENTS}`)
    await count()
    await count()
    expect(await cursors(), 'twice at once').to.deep.equal(first)
    await pool.query(`update cursors set pos = pos - 10000 where name = 'counted_at'`)
    await pool.query(`update stream set head = 9; update destinations set position = ${EVENTS} where id > 20`)
    await count()
    const before = first.map((text) => `before_${text}`)
    expect(await cursors()).to.deep.equal([...before, 'head 9', `pdus ${20 * EVENTS}`])
    await pool.query('update stream set head = 11')
    await count()
    expect(await cursors()).to.deep.equal([...before, 'head 11', `pdus ${20 * EVENTS}`])
  })

  it('counts what is apart of those whose position is past everything', async () => {
    await count()
    await pool.query(`update destinations set position = ${EVENTS}, isolation = '{"apart": true}'`)
    await pool.query(
      `insert into apart (destination, pos, room, lane, since) select id, 2, 1, 't', 5 from destinations where name = 'h7'`,
    )
    await pool.query(
      `insert into waiting_rooms (destination, room, cursor) select id, 1, 1 from destinations where name = 'h9'`,
    )
    await count()
    const { rows } = await pool.query(
      'select name, pending_pdus, oldest_pending from destinations where pending_pdus > 0 order by name',
    )
    expect(rows).to.deep.equal([
      { name: 'h7', pending_pdus: 1, oldest_pending: 1002 },
      { name: 'h9', pending_pdus: 2, oldest_pending: 1002 },
    ])
  })

  it('sets those who are owed nothing any more to nothing', async () => {
    await count()
    await pool.query(`update destinations set position = ${EVENTS} where id % 2 = 0`)
    await count()
    const { rows } = await pool.query<{ pending_pdus: number; oldest_pending: number | null; n: number }>(
      'select pending_pdus, oldest_pending, count(*) as n from destinations group by 1, 2 order by 1',
    )
    expect(rows).to.deep.equal([
      { pending_pdus: 0, oldest_pending: null, n: SERVERS / 2 },
      { pending_pdus: EVENTS, oldest_pending: 1001, n: SERVERS / 2 },
    ])
  })
})
