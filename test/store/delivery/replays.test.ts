import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { noteListing } from '../../../src/store/delivery/replays.ts'
import { freshDatabase } from '../../support/postgres.ts'

const SECOND = 1_000

describe('what an answer says of sticky events', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query(
      `insert into destinations (id, name, position, created_at) values (1, 'a.example', 9, 0)`,
    )
    await pool.query('insert into sticky (pos, room, expires_at) values (5, 1, now_ms() + 3600000)')
    await headAt(9)
  })
  afterEach(() => pool.end())

  const headAt = (head: number) => pool.query('update stream set head = $1', [head])
  const joinAt = (pos: number) =>
    pool.query(
      `insert into sticky_owed (destination, room, after_pos, upto, cursor, created_at) values (1, 1, 0, $1, 0, now_ms())
       on conflict (destination, room) where room is not null do update set upto = excluded.upto, cursor = 0`,
      [pos],
    )
  const answered = async (listed: boolean, maxTries = Infinity) => {
    const [ours, others] = listed ? [[5], []] : [[], [5]]
    await noteListing(pool, { destination: 1, listed: ours, ahead: ours, unlisted: others, maxTries })
    const { rows } = await pool.query<{ state: string; wait: number | null; look: number | null }>(
      `select p.state, round((p.next_at - p.at) / 1000.0)::int as wait, round((d.look_at - p.at) / 1000.0)::int as look
         from replays p join destinations d on d.id = p.destination`,
    )
    return rows[0]
  }

  it('one that is not listed is due after 15 s, doubling', async () => {
    const waits: unknown[] = []
    for (let n = 0; n < 4; n += 1) waits.push((await answered(false))?.wait)
    expect(waits).to.deep.equal([15, 30, 60, 120])
  })

  // A server was dropping a room's events for minutes, left, and came back: it waited for an hour.
  it('after a rejoin the doubling starts again at 15 s, once', async () => {
    await joinAt(8)
    for (let n = 0; n < 4; n += 1) await answered(false)
    await headAt(20)
    await joinAt(20)
    const waits = [(await answered(false))?.wait, (await answered(false))?.wait]
    expect(waits).to.deep.equal([15, 30])
    await answered(true)
    await headAt(30)
    await joinAt(30)
    expect((await answered(false))?.wait).to.equal(15)
  })

  it('to one that never lists anything a rejoin gives no more than five repeats', async () => {
    await joinAt(8)
    for (let n = 0; n < 6; n += 1) await answered(false, 5)
    await headAt(20)
    await joinAt(20)
    expect(await answered(false, 5)).to.include({ state: 'sent', wait: null })
  })

  // A server was away for hours with a replay unanswered, and got it a second time in its timeline.
  it('one that went ahead and was answered when nobody called it sticky any more does not go again', async () => {
    await pool.query('update destinations set position = 4')
    await pool.query('delete from sticky')
    expect(await answered(true)).to.include({ state: 'sent' })
    // What went in the timeline is behind the position: that says it all.
    await pool.query('delete from replays')
    await noteListing(pool, { destination: 1, listed: [5, 6], ahead: [], unlisted: [], maxTries: 5 })
    expect((await pool.query('select from replays')).rowCount).to.equal(0)
  })

  // The process could end between this and letting go: its destination, in sync with the head, was forgotten.
  it('its time is the destination’s own at once, and takes no earlier time away', async () => {
    expect((await answered(false))?.look).to.equal(15)
    await pool.query('update destinations set look_at = 7')
    await answered(false)
    expect((await pool.query('select look_at from destinations')).rows).to.deep.equal([{ look_at: 7 }])
    await pool.query('update destinations set look_at = now_ms() + $1', [3_600 * SECOND])
    expect((await answered(false))?.look).to.equal(60)
  })
})
