/** Reading forwards and room by room give the same: what a plain look at the whole log gives. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { countTimeline, readTimeline, timelinePositions } from '../../../src/store/delivery/timeline.ts'
import { freshDatabase } from '../../support/postgres.ts'

const HEAD = 6_000
/** Everything but each tenth is in room 1; each tenth in room 2; room 3 has two events, far apart. */
const roomOf = (pos: number) => (pos === 7 || pos === 5_990 ? 3 : pos % 10 === 0 ? 2 : 1)
const MEMBERSHIPS = [
  { destination: 1, room: 1, since: 0, until: null },
  { destination: 1, room: 2, since: 100, until: 4_000 },
  { destination: 2, room: 2, since: 3_000, until: null },
  { destination: 3, room: 3, since: 0, until: null },
]
/** Addressed beyond the room, and left out of it. */
const ALSO_TO = { pos: 4_503, destination: 3 }
const NOT_TO = { pos: 5_990, destination: 3 }

describe('the timeline of a destination', () => {
  let pool: Pool

  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    const positions = Array.from({ length: HEAD }, (_, i) => i + 1)
    await pool.query(
      `insert into recipients (id, hash, exact, list, less, head)
       values (1, 'also', false, array[${ALSO_TO.destination}], '{}', ${ALSO_TO.pos}),
              (2, 'not', false, '{}', array[${NOT_TO.destination}], ${NOT_TO.pos})`,
    )
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts, recipients)
       select pos, room, 'e' || pos, '@a:home.example', '{"n":' || pos || '}', pos,
              case pos when ${ALSO_TO.pos} then 1 when ${NOT_TO.pos} then 2 end
         from unnest($1::bigint[], $2::int[]) t (pos, room)`,
      [positions, positions.map(roomOf)],
    )
    for (const { room, destination, since, until } of MEMBERSHIPS) {
      await pool.query('insert into memberships (room, destination, since, until) values ($1, $2, $3, $4)', [
        room,
        destination,
        since,
        until,
      ])
    }
  })
  after(() => pool.end())

  function owed(destination: number, after: number, upto: number): number[] {
    const member = (pos: number) =>
      MEMBERSHIPS.some(
        (m) =>
          m.destination === destination &&
          m.room === roomOf(pos) &&
          m.since < pos &&
          (m.until === null || pos <= m.until),
      )
    const also = (pos: number) => pos === ALSO_TO.pos && destination === ALSO_TO.destination
    const not = (pos: number) => pos === NOT_TO.pos && destination === NOT_TO.destination
    return Array.from({ length: upto - after }, (_, i) => after + 1 + i).filter(
      (pos) => also(pos) || (member(pos) && !not(pos)),
    )
  }

  for (const destination of [1, 2, 3]) {
    for (const { after, upto } of [
      { after: 0, upto: HEAD },
      { after: 0, upto: 2_001 },
      { after: 2_999, upto: HEAD },
      { after: 5_000, upto: HEAD },
      { after: HEAD, upto: HEAD },
    ]) {
      it(`is what it is entitled to, in order (${destination}, after ${after} up to ${upto})`, async () => {
        for (const limit of [1, 51, 501, 10_000]) {
          const expected = owed(destination, after, upto).slice(0, limit)
          expect(await timelinePositions(pool, destination, { after, upto }, limit)).to.deep.equal(expected)
          expect(await countTimeline(pool, destination, { after, upto }, limit)).to.equal(expected.length)
          const { pdus, all } = await readTimeline(
            pool,
            destination,
            { after, upto },
            { rows: limit, bytes: 1e9 },
          )
          expect(pdus.map(({ pos }) => pos)).to.deep.equal(expected)
          expect(all).to.equal(expected.length < limit)
          expect(pdus.map(({ pdu }) => pdu)).to.deep.equal(expected.map((pos) => `{"n":${pos}}`))
        }
      })
    }
  }
})
