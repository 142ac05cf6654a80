/** Whom the sweep finds for EDUs: everybody who is owed a durable one, few others, and nobody for long. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { NEWEST_DURABLE } from '../../../src/store/delivery/behind-in-edus.ts'
import { findOwed } from '../../../src/store/delivery/wake-lists.ts'
import { eduRequest, makeEduWorld, other, receipts, toDevice, type EduWorld } from '../../ingest/edu-world.ts'
import { ROOM, servers } from '../../ingest/ingest-world.ts'
import { holdInTest } from '../../deliver/step-stage.ts'
import { costed, sumOf } from '../../support/plans.ts'
import { freshDatabase } from '../../support/postgres.ts'

const OTHER = '!other:home.example'
const THIRD = '!third:home.example'

describe('whom the sweep finds for EDUs', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([
      servers({ add: ['a.example', 'b.example'] }),
      servers({ add: ['b.example', 'c.example'] }, OTHER),
      servers({ add: ['d.example'] }, THIRD),
    ])
  })
  afterEach(() => world.pool.end())

  const give = (items: readonly object[]) => world.append(eduRequest(items))
  const owed = async () => {
    const ids = await findOwed(world.pool)
    const rows = await world.rows<{ name: string }>(
      'select name from destinations where id = any($1) order by name',
      [ids],
    )
    return rows.map(({ name }) => name.replace('.example', ''))
  }

  it('are those on the list of a durable one', async () => {
    await give([toDevice('m1', ['a.example', 'd.example'])])
    expect(await owed()).to.deep.equal(['a', 'd'])
    await world.rows(`update destinations set durable_pos = 4 where name = 'a.example'`)
    expect(await owed()).to.deep.equal(['d'])
  })

  it('are the servers of its room, and those of a set of rooms', async () => {
    await give([other({ rooms: [ROOM], durable: true })])
    expect(await owed()).to.deep.equal(['a', 'b'])
    await world.rows('update destinations set durable_pos = 4')
    await give([other({ rooms: [ROOM, OTHER], durable: true })])
    expect(await owed()).to.deep.equal(['a', 'b', 'c'])
    await world.rows(`update destinations set durable_pos = 5 where name <> 'c.example'`)
    expect(await owed()).to.deep.equal(['c'])
  })

  it('are none who joined after it, and who left after it still', async () => {
    await give([
      other({ rooms: [OTHER], durable: true }),
      servers({ add: ['late.example'], remove: ['c.example'] }, OTHER),
    ])
    expect(await owed()).to.deep.equal(['b', 'c'])
  })

  it('are none for those that are not durable', async () => {
    await give([receipts(['alice']), other({ rooms: [ROOM, OTHER] }), other({ destinations: ['a.example'] })])
    expect(await owed()).to.deep.equal([])
  })

  it('are too many after very many durable ones, once: a turn moves the cursor on', async () => {
    await give([other({ rooms: [THIRD], durable: true })])
    await world.rows(
      `with n as (insert into edus (pos, type, content, received_ts, durable, room)
         select 4 + i, 't', '{}', now_ms(), true, (select id from rooms where room_id = '${OTHER}') from generate_series(1, ${NEWEST_DURABLE}) i returning pos)
       update stream set head = 4 + ${NEWEST_DURABLE}, durable_head = 4 + ${NEWEST_DURABLE}`,
    )
    expect(await owed(), 'd is behind all that is looked at; a perhaps').to.deep.equal(['a', 'b', 'c', 'd'])
    const it = await holdInTest(world.pool, 'a.example')
    let looked = await it.step()
    let looks = 1
    for (; looked.kind === 'look again'; looks += 1) looked = await it.step()
    expect(looks, 'all of them are passed at once').to.equal(1)
    expect(it.sent).to.deep.equal([])
    expect(looked).to.deep.include({
      kind: 'let go',
      edus: { durable: 4 + NEWEST_DURABLE, ephemeral: 4 + NEWEST_DURABLE },
    })
    await world.rows(`update destinations set durable_pos = 4 + ${NEWEST_DURABLE} where name = 'a.example'`)
    expect(await owed()).to.deep.equal(['b', 'c', 'd'])
  })
})

describe('what the sweep reads for durable EDUs', function () {
  this.timeout(120_000)
  /** Destinations, rooms, sets of rooms, rooms of a set, durable EDUs. */
  const [D, R, S, IN_SET, EDUS] = [1_000, 500, 100, 20, 10_000]
  let pool: Pool
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query(
      `insert into destinations (name, position, durable_pos, created_at) select 'd' || i, $2, $2, 0 from generate_series(1, $1::int) i`,
      [D, 10 * EDUS],
    )
    await pool.query(
      `insert into rooms (id, room_id) select i, '!r' || i from generate_series(1, $1::int) i`,
      [R],
    )
    await pool.query(
      `insert into memberships (room, destination, since) select r, 1 + (r * 7 + n * 13) % $2, 0 from generate_series(1, $1::int) r, generate_series(1, 20) n`,
      [R, D],
    )
    await pool.query(
      `insert into edu_rooms (hash, rooms) select 'h' || i, array(select 1 + (i * 7 + n * 3) % $2 from generate_series(1, $3::int) n) from generate_series(1, $1::int) i`,
      [S, R, IN_SET],
    )
    await pool.query(
      `insert into edus (pos, type, content, received_ts, durable, rooms, room)
       select i * 10, 't', repeat('x', 300), 0, true, case when i % 2 = 0 then 1 + i % $2 end, case when i % 2 = 1 then 1 + i % $3 end from generate_series(1, $1::int) i`,
      [EDUS, S, R],
    )
    await pool.query('update stream set head = $1, durable_head = $1', [10 * EDUS])
    await pool.query('vacuum analyze')
  })
  after(() => pool.end())
  const sweep = async () => {
    const client = await pool.connect()
    const db = costed(client)
    const owed = await findOwed(db)
    client.release(true)
    return { owed: owed.length, ...sumOf(db.costs()) }
  }

  it('is none of them where everybody is past them', async () => {
    const { owed, blocks, rows } = await sweep()
    expect(owed).to.equal(0)
    expect(rows).to.be.below(12 * D + 2 * R * 20)
    expect(blocks).to.be.below(300)
  })

  it('does not grow with their number, nor with who is behind times what there is', async () => {
    await pool.query('update destinations set durable_pos = 0 where id % 2 = 0')
    const { owed, rows, blocks } = await sweep()
    expect(owed).to.equal(D / 2)
    const looked = NEWEST_DURABLE + S * IN_SET
    expect(rows).to.be.below(12 * D + 12 * looked + 4 * R * 20)
    expect(blocks).to.be.below(300 + 2 * NEWEST_DURABLE)
  })
})
