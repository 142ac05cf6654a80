/** What is read of both lanes, in every way of reading it, is what a plain look at all rows gives. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import {
  owesDurableEdus,
  owesEphemeralEdus,
  readDurableEdus,
  readEphemeralEdus,
  type EdusRead,
  type StoredEdu,
} from '../../../src/store/delivery/edus.ts'
import { freshDatabase } from '../../support/postgres.ts'

const HEAD = 9_000
interface Audience {
  room?: number
  rooms?: number
  recipients?: number
}
interface Stored extends Audience {
  pos: number
  durable: boolean
}
const MEMBERSHIPS = [
  // Left, came back, and left again.
  { destination: 1, room: 1, since: 10, until: 2_400 },
  { destination: 1, room: 1, since: 2_900, until: 6_500 },
  { destination: 1, room: 2, since: 0, until: null },
  // In both rooms of the set 1 for a while.
  { destination: 1, room: 3, since: 4_000, until: 5_000 },
  // What there is in room 4 is far between.
  { destination: 2, room: 4, since: 0, until: 3_400 },
  { destination: 2, room: 4, since: 6_000, until: 7_800 },
  // And on no list.
  { destination: 4, room: 4, since: 0, until: null },
  { destination: 3, room: 5, since: 0, until: 0 },
]
const SETS: Record<number, number[]> = { 1: [2, 3], 2: [1, 6], 3: [6, 7], 4: [4, 7] }
const LISTS: Record<number, number[]> = { 1: [1, 9], 2: [8, 9], 3: [2], 4: [9] }

/** Of all kinds, most of them for others; each seventh place in the stream is an event's. */
function stored(pos: number): Stored | null {
  if (pos % 7 === 0) return null
  const durable = pos % 5 === 0
  if (pos === 8_200) return { pos, durable: true, recipients: 3 }
  if (pos % 1_111 === 0) return { pos, durable, room: 4 }
  if (pos % 2_003 === 0) return { pos, durable, rooms: 4 }
  if (pos % 2_500 === 1) return { pos, durable, recipients: 3 }
  const of = (pos * 7_919) % 101
  if (of < 20) return { pos, durable, room: [1, 2, 6, 7][of % 4]! }
  if (of < 40) return { pos, durable, rooms: 1 + (of % 3) }
  if (of < 55) return { pos, durable, recipients: [1, 2, 4][of % 3]! }
  return { pos, durable, room: 7 }
}
const EDUS = Array.from({ length: HEAD }, (_, i) => stored(i + 1)).filter((edu) => edu !== null)

function isFor(destination: number, { pos, room, rooms, recipients }: Stored): boolean {
  if (recipients !== undefined) return LISTS[recipients]!.includes(destination)
  const of = room === undefined ? SETS[rooms!]! : [room]
  return MEMBERSHIPS.some(
    (m) =>
      m.destination === destination &&
      of.includes(m.room) &&
      m.since < pos &&
      (m.until === null || pos <= m.until),
  )
}
const contentOf = (pos: number) => `{"n":${pos}}`
const expected = (destination: number, durable: boolean, after: number, upto: number): number[] =>
  EDUS.filter(
    (edu) => edu.pos > after && edu.pos <= upto && edu.durable === durable && isFor(destination, edu),
  ).map(({ pos }) => pos)
const positions = (edus: readonly StoredEdu[]) => edus.map(({ pos }) => pos)

describe('the EDUs of a destination', () => {
  let pool: Pool
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    const heads = (durable: boolean, list: number) =>
      Math.max(
        0,
        ...EDUS.filter((edu) => edu.recipients === list && edu.durable === durable).map(({ pos }) => pos),
      )
    for (const [id, list] of Object.entries(LISTS))
      await pool.query(
        `insert into recipients (id, hash, exact, list, less, head, durable_head, edu_head) values ($1::int, $1::int::text, true, $2, '{}', 0, $3, $4)`,
        [Number(id), list, heads(true, Number(id)), heads(false, Number(id))],
      )
    // On it beside a room's servers: no EDU is addressed so.
    await pool.query(
      `insert into recipients (id, hash, exact, list, less, head) values (5, 'also', false, '{1,2}', '{}', 9)`,
    )
    for (const [id, rooms] of Object.entries(SETS))
      await pool.query('insert into edu_rooms (id, hash, rooms) values ($1::int, $1::int::text, $2)', [
        Number(id),
        rooms,
      ])
    for (const { destination, room, since, until } of MEMBERSHIPS)
      await pool.query('insert into memberships (room, destination, since, until) values ($1, $2, $3, $4)', [
        room,
        destination,
        since,
        until,
      ])
    const column = (of: (edu: Stored) => number | undefined) => EDUS.map((edu) => of(edu) ?? null)
    await pool.query(
      `insert into edus (pos, type, content, received_ts, expires_at, durable, alone, key, who, room, rooms, recipients)
       select pos, case when pos % 2 = 0 then 'm.typing' else 'x' end, '{"n":' || pos || '}', pos * 2,
              case when not durable then pos * 3 end, durable, case when pos % 4 = 0 then true end,
              case when pos % 3 = 0 then '00000000-0000-4000-8000-000000000001'::uuid end, case when pos % 3 = 1 then '@a:b' end,
              room, rooms, recipients
         from unnest($1::bigint[], $2::boolean[], $3::int[], $4::int[], $5::int[]) t (pos, durable, room, rooms, recipients)`,
      [
        EDUS.map(({ pos }) => pos),
        EDUS.map(({ durable }) => durable),
        column(({ room }) => room),
        column(({ rooms }) => rooms),
        column(({ recipients }) => recipients),
      ],
    )
  })
  after(() => pool.end())

  const LANES = [
    { name: 'durable', durable: true, read: readDurableEdus, owes: owesDurableEdus },
    { name: 'ephemeral', durable: false, read: readEphemeralEdus, owes: owesEphemeralEdus },
  ]
  const RANGES = [
    { after: 0, upto: HEAD },
    { after: 2_399, upto: 2_901 },
    { after: 3_999, upto: HEAD },
    { after: 6_500, upto: 8_201 },
  ]

  for (const { name, durable, read, owes } of LANES) {
    for (const destination of [1, 2, 3, 4]) {
      for (const range of RANGES) {
        it(`are read to the end in order, nothing left out or of others (${name}, ${destination}, after ${range.after})`, async () => {
          for (const rows of [1, 7, 60, 10_000]) {
            const found: number[] = []
            let readings = 0
            for (let after = range.after; after < range.upto;) {
              // One at a time that is long; a few of them show the same.
              if ((readings += 1) > 20 && rows <= 7) break
              const { edus, upto }: EdusRead = await read(
                pool,
                destination,
                { after, upto: range.upto },
                { rows, bytes: 1e9 },
              )
              expect(upto).to.be.above(after).and.at.most(range.upto)
              expect(edus.length).to.be.at.most(rows)
              expect(positions(edus)).to.deep.equal(
                expected(destination, durable, after, upto),
                'all up to there',
              )
              found.push(...positions(edus))
              after = upto
            }
            if (rows > 7) expect(found).to.deep.equal(expected(destination, durable, range.after, range.upto))
          }
        })
      }

      it(`are owed from each place in the lane or not (${name}, ${destination})`, async () => {
        for (let after = 0; after < HEAD; after += 733) {
          const owed = await owes(pool, destination, { after, upto: HEAD })
          const isThere = expected(destination, durable, after, HEAD).length > 0
          if (isThere) expect(owed, `after ${after}`).to.equal(true)
        }
        // Within a few rows it is known for certain that there is nothing.
        for (const upto of [40, 3_000, HEAD]) {
          const near = await owes(pool, destination, { after: upto - 40, upto })
          expect(near).to.equal(expected(destination, durable, upto - 40, upto).length > 0)
        }
        expect(await owes(pool, destination, { after: HEAD, upto: HEAD })).to.equal(false)
      })
    }

    it(`come with all that is stored of them (${name})`, async () => {
      const { edus } = await read(pool, 1, { after: 0, upto: HEAD }, { rows: 200, bytes: 1e9 })
      for (const edu of edus)
        expect(edu).to.deep.equal({
          pos: edu.pos,
          eduType: edu.pos % 2 === 0 ? 'm.typing' : 'x',
          content: contentOf(edu.pos),
          receivedTs: edu.pos * 2,
          expiresAt: durable ? null : edu.pos * 3,
          durable,
          alone: edu.pos % 4 === 0,
          key: edu.pos % 3 === 0 ? '00000000-0000-4000-8000-000000000001' : null,
          who: edu.pos % 3 === 1 ? '@a:b' : null,
        })
      expect(edus.length).to.be.above(20)
    })

    it(`come without the texts that are too much, the first with its own (${name})`, async () => {
      const range = { after: 0, upto: HEAD }
      const whole = await read(pool, 1, range, { rows: 30, bytes: 1e9 })
      for (const bytes of [0, 1, 50, 120]) {
        const { edus, upto } = await read(pool, 1, range, { rows: 30, bytes })
        let sum = 0
        const cut = whole.edus.map((edu, i) => {
          sum += edu.content!.length + 1
          return i === 0 || sum <= bytes ? edu : { ...edu, content: null }
        })
        expect(edus).to.deep.equal(cut)
        expect(upto).to.equal(whole.upto)
      }
    })

    it(`are none where there is nothing to read (${name})`, async () => {
      const most = { rows: 10, bytes: 1e9 }
      expect(await read(pool, 1, { after: 50, upto: 50 }, most)).to.deep.equal({ edus: [], upto: 50 })
      expect(await read(pool, 1, { after: 50, upto: 40 }, most)).to.deep.equal({ edus: [], upto: 50 })
      expect(await read(pool, 77, { after: 8_000, upto: HEAD }, most)).to.deep.equal({ edus: [], upto: HEAD })
    })
  }
})
