/** How much text a read brings: what fits, and the first in any case; what was left out is not taken for what is not there. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../src/store/db.ts'
import { readGapRooms } from '../../src/store/delivery/gap-rooms.ts'
import { readLog } from '../../src/store/delivery/log-tail.ts'
import { readOwedSticky } from '../../src/store/delivery/sticky-lane.ts'
import { readTimeline } from '../../src/store/delivery/timeline.ts'
import { freshDatabase } from '../support/postgres.ts'

// Two bytes a letter in UTF-8, so that bytes are told from characters; long enough to be kept apart from its row, and packed.
const pduOf = (pos: number) => `{"n":"${String(pos).padStart(3, '0')}${'é'.repeat(20_000)}"}`
const EACH = Buffer.byteLength(pduOf(1)) + 1
const FAR = 4_000_000_000_000

describe('texts within so many bytes', () => {
  let pool: Pool
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query(
      `insert into destinations (id, name, position, created_at) values (1, 'b.example', 0, 0)`,
    )
    for (let pos = 1; pos <= 6; pos += 1) {
      await pool.query(
        `insert into events (pos, room, event_id, sender, pdu, received_ts) values ($1, $2, $3, '@a:a', $4, 0)`,
        [pos, pos, `$${pos}`, pduOf(pos)],
      )
      await pool.query('insert into memberships (room, destination, since) values ($1, 1, 0)', [pos])
      await pool.query('insert into sticky (pos, room, expires_at) values ($1, $2, $3)', [pos, pos, FAR])
      await pool.query(
        `insert into sticky_owed (destination, room, upto, cursor, after_pos, created_at) values (1, $1, 10, 0, 0, 0)`,
        [pos],
      )
    }
    await pool.query('update stream set head = 6')
  })
  after(() => pool.end())

  const reads = {
    'the timeline': (most: { rows: number; bytes: number }) =>
      readTimeline(pool, 1, { after: 0, upto: 6 }, most),
    'the rooms of a gap': (most: { rows: number; bytes: number }) =>
      readGapRooms(pool, 1, { from: 0, to: 6, cursor: 0 }, most),
    'sticky events': (most: { rows: number; bytes: number }) => readOwedSticky(pool, 1, 0, most),
  }
  for (const [what, read] of Object.entries(reads)) {
    it(`${what}: as many as fit, and whether that is all`, async () => {
      const expected: [rows: number, bytes: number, found: number, all: boolean][] = [
        [10, 6 * EACH, 6, true],
        [10, 6 * EACH - 1, 5, false],
        [10, 2 * EACH, 2, false],
        [10, 2 * EACH - 1, 1, false],
        [10, 0, 1, false],
        [10, -5, 1, false],
        [6, 6 * EACH, 6, false],
        [2, 6 * EACH, 2, false],
      ]
      for (const [rows, bytes, found, all] of expected) {
        const got = await read({ rows, bytes })
        expect(got.pdus.map(({ pos, pdu }) => [pos, pdu])).to.deep.equal(
          Array.from({ length: found }, (_, index) => [index + 1, pduOf(index + 1)]),
        )
        expect(got.all, `${rows} rows, ${bytes} bytes`).to.equal(all)
      }
    })
  }

  it('the log: up to the last whose text fits, and more at once', async () => {
    await pool.query(
      `insert into changes (pos, kind, room, added, removed) values (7, 'servers', 1, '{}', '{}')`,
    )
    await pool.query('update stream set head = 7')
    for (const [bytes, upto, more] of [
      [6 * EACH, 7, false],
      [6 * EACH - 1, 5, true],
      [0, 1, true],
    ] as const) {
      const read = await readLog(pool, 0, { rows: 100, bytes })
      expect({ upto: read.upto, more: read.more }).to.deep.equal({ upto, more })
      expect(read.entries.map(({ pos }) => pos)).to.deep.equal(Array.from({ length: upto }, (_, i) => i + 1))
    }
    const behind = await readLog(pool, 3, { rows: 100, bytes: 0 })
    expect(behind).to.deep.include({ upto: 4, more: true })
    expect(behind.place?.pos).to.equal(3)
  })
})
