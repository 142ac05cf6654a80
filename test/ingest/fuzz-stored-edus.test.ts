/**
 * Whatever users have put into EDUs, what ingest takes of them PostgreSQL stores, as it was taken: no item spoils the commit that it shares.
 * `LIMPET_FUZZ_RUNS`: how many items (`npm run fuzz`: 100,000).
 */
import { expect } from 'chai'
import fc from 'fast-check'
import type { EduItem } from '../../src/ingest/items.ts'
import { JsonError, type JsonObject } from '../../src/matrix/json-value.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { FUZZ_RUNS } from '../support/fuzz-runs.ts'
import { readEdu } from './edu/edu-item.ts'
import { goodItem } from './edu/odd-edus.ts'
import { makeEduWorld } from './edu-world.ts'
import { request, servers } from './ingest-world.ts'

const A_BATCH = 50

describe('fuzzing of EDUs that are stored', function () {
  this.timeout(60 * 60_000)

  it('each part is there as it was taken, in its place', async () => {
    const world = await makeEduWorld()
    let [parts, odd] = [0, 0]
    await fc.assert(
      fc.asyncProperty(fc.array(goodItem, { minLength: A_BATCH, maxLength: A_BATCH }), async (texts) => {
        const items = texts.flatMap(itemIn)
        const rooms = items.flatMap(({ audience }) => ('rooms' in audience ? audience.rooms : []))
        await world.take([...new Set(rooms)].map((room) => servers({ set: ['b.example'] }, room)))
        const before = await world.head()
        const result = await world.append({ ...request([]), items })
        const expected = items.flatMap((item) => item.parts.map((part) => ({ item, part })))
        expect(result).to.deep.include({
          ...{ kind: 'taken', position: before + expected.length, accepted: items.length, unknownRooms: [] },
          ignored: items.flatMap(({ ignored }, index) => ignored.map(({ value }) => ({ index, value }))),
        })
        const stored = await world.rows(
          `select e.pos, e.type, e.content, e.expires_at - e.received_ts as lasts, e.durable, e.alone, e.who, r.room_id
             from edus e join rooms r on r.id = e.room where e.pos > $1 order by e.pos`,
          [before],
        )
        expect(stored).to.deep.equal(
          expected.map(({ item, part }, at) => ({
            ...{ pos: before + 1 + at, type: item.eduType, content: part.content, lasts: part.ttlMs },
            ...{ durable: part.durable, alone: part.alone || null },
            who: part.messageId ?? part.deviceListOf ?? null,
            room_id: 'rooms' in item.audience ? item.audience.rooms[0] : null,
          })),
        )
        parts += stored.length
        odd += items.filter(({ ignored }) => ignored.length > 0).length
        await world.pool.query('truncate edus')
      }),
      { numRuns: Math.ceil(FUZZ_RUNS / A_BATCH) },
    )
    await world.close()
    expect(parts, 'good ones among them').to.be.above(FUZZ_RUNS / 3)
    expect(odd, 'odd ones among them').to.be.above(FUZZ_RUNS / 20)
  })
})

/** None: the reader itself refuses it, for half a character. */
function itemIn(text: string): EduItem[] {
  try {
    return [readEdu(parseJson(text) as JsonObject)]
  } catch (error) {
    if (error instanceof JsonError) return []
    throw error
  }
}
