import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { toldAmong, toldRooms } from '../../../src/store/ingest/told-rooms.ts'
import { freshDatabase } from '../../support/postgres.ts'

describe('the rooms that we were told', () => {
  let pool: Pool
  let drop: () => Promise<void>

  before(async () => {
    const database = await freshDatabase()
    pool = openPool({ url: database.url })
    drop = () => database.drop()
    await pool.query(
      `insert into rooms (room_id, known) values ('!a', true), ('!b', false), ('!c', true), ('!d', true)`,
    )
  })
  after(async () => {
    await pool.end()
    await drop()
  })

  it('come page by page, without those that were purged or never told', async () => {
    const first = await toldRooms(pool, { after: 0, limit: 2 })
    expect(first.map(({ roomId }) => roomId)).to.deep.equal(['!a', '!c'])
    const second = await toldRooms(pool, { after: first[1]?.id ?? 0, limit: 2 })
    expect(second.map(({ roomId }) => roomId)).to.deep.equal(['!d'])
  })

  it('are picked from a list', async () => {
    expect((await toldAmong(pool, ['!b', '!c', '!x'])).sort()).to.deep.equal(['!c'])
  })
})
