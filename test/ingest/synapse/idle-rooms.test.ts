import { expect } from 'chai'
import type { Clock } from '../../../src/pace/clock.ts'
import { makePurges } from '../../../src/ingest/synapse/purges.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

const ROOMS = 25_000

describe(`what ${ROOMS} rooms that nothing happens in cost`, () => {
  let synapse: SynapseTables
  let asked: { theirs: number; ours: number }
  let now: number
  let told: string[]

  beforeEach(async () => {
    synapse = await synapseTables()
    await synapse.pool.query(
      `insert into rooms (room_id, room_version) select '!r' || i || ':a.example', '11' from generate_series(1, ${ROOMS}) as i`,
    )
    told = Array.from({ length: ROOMS }, (_, i) => `!r${i + 1}:a.example`)
    asked = { theirs: 0, ours: 0 }
    now = 0
    const query = synapse.pool.query.bind(synapse.pool) as (...given: unknown[]) => unknown
    synapse.pool.query = ((...given: unknown[]) => {
      asked.theirs += 1
      return query(...given)
    }) as typeof synapse.pool.query
  })
  afterEach(() => synapse.close())

  const purges = () =>
    makePurges({
      pool: synapse.pool,
      told: {
        page: (after, limit) => {
          asked.ours += 1
          const rows = told.map((roomId, i) => ({ id: i + 1, roomId }))
          return Promise.resolve(rows.filter(({ id }) => id > after).slice(0, limit))
        },
        among: (roomIds) => Promise.resolve(roomIds.filter((roomId) => told.includes(roomId))),
      },
      clock: { monotonic: () => now } as Clock,
    })

  /** All looks of a minute, as of one that looks every second. */
  async function minute(one: ReturnType<typeof purges>): Promise<string[]> {
    const due: string[] = []
    for (let second = 0; second < 60; second += 1) {
      now += 1_000
      due.push(...(await one.due()))
    }
    return due
  }

  it('is two statements a minute on Synapse’s database and none on ours, after the first look', async () => {
    const one = purges()
    await minute(one)
    asked = { theirs: 0, ours: 0 }
    expect(await minute(one)).to.deep.equal([])
    expect(asked).to.deep.equal({ theirs: 2, ours: 0 })
  })

  it('one that goes is seen at the next look, and due once it has been gone for a minute', async () => {
    const one = purges()
    await minute(one)
    await synapse.pool.query(`delete from rooms where room_id = '!r24999:a.example'`)
    expect(await minute(one)).to.deep.equal([])
    expect(await minute(one)).to.include('!r24999:a.example')
  })

  it('one that is told only after it has gone is seen within ten minutes', async () => {
    const one = purges()
    await minute(one)
    told.push('!late:a.example')
    const due: string[] = []
    for (let i = 0; i < 13; i += 1) due.push(...(await minute(one)))
    expect(due).to.include('!late:a.example')
  })
})
