/**
 * A dawdling writer: Synapse takes an event's place in its stream before the transaction that stores the event, so a later
 * place can be there before an earlier one. Who read past it would lose an event for ever.
 *
 * Alice is on homeserver A, for which limpet sends, and shares two rooms with Bob, on B. What she says in the first hangs
 * in A's database after it has its place; what she says in the second meanwhile is stored.
 */
import { expect } from 'chai'
import { openPool, type Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { arrivedIds } from './support/arrivals.ts'
import { type Client, registerClient } from './support/client.ts'
import { dawdle, type Dawdle } from './support/dawdle.ts'
import { eventsHeld, inside, PATIENCE_MS, placeOf } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { twoRoomsWith } from './support/people.ts'
import { eventIn } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

for (const killed of [false, true]) {
  describe(`a dawdling writer in A’s database${killed ? ', and limpet is killed meanwhile' : ''}`, function () {
    oneStory(this)
    const stage = makeStage()
    let a: Synapse
    let b: Synapse
    let alice: Client
    let bob: Client
    let first: string
    let second: string
    let limpet: Limpet
    let slow: Dawdle | null = null
    let saying: Promise<string>
    let early: string[]
    let late: string

    before(async function () {
      ;({ a, b } = await stage.open(this))
      alice = await registerClient(a, 'alice')
      bob = await registerClient(b, 'bob')
      limpet = await stage.limpet({ synapse: a })
      ;[first, second] = await twoRoomsWith(alice, { a, guests: [bob] })
    })
    after(async function () {
      await slow?.release()
      await stage.clear(this)
    })

    it('what Alice says in the first room hangs; what she says in the second is stored', async () => {
      slow = await dawdle(a, { table: 'event_json', when: `new.room_id = '${first}'` })
      saying = alice.send(first, 'this takes its time')
      await slow.caught()
      early = [await alice.send(second, 'this does not'), await alice.send(second, 'nor this')]
      expect((await eventsHeld(a, early)).size).to.equal(2)
    })

    it('limpet looks on, and takes nothing beyond the gap', async () => {
      if (killed) {
        await limpet.kill9()
        await limpet.start()
      }
      await looksAgain(3)
      for (const eventId of early) expect(await eventIn(limpet, eventId)).to.equal(null)
      const came = arrivedIds(a, b, { roomId: second })
      expect(came.filter((eventId) => early.includes(eventId))).to.deep.equal([])
    })

    it('the first one is stored, before the others in the stream; then all arrive', async () => {
      await slow?.release()
      slow = null
      late = await saying
      const place = async (eventId: string) => (await placeOf(a, eventId))?.at ?? 0
      expect(await place(late)).to.be.below(await place(early[0] ?? ''))
      await bob.see(first, late)
      await bob.seeAll(second, early)
    })

    it('and a write that failed after it had its place holds nothing up', async () => {
      await inside(a, (db) => db.query(`select nextval('events_stream_seq') from generate_series(1, 3)`))
      await bob.see(second, await alice.send(second, 'three places are empty'))
    })

    /** Waits until limpet has looked into A's database so many times more, as PostgreSQL sees it. */
    async function looksAgain(times: number): Promise<void> {
      const pool: Pool = openPool({ url: a.databaseUrl, max: 1 })
      const looks = new Set<string>()
      const look = async () => {
        const { rows } = await pool.query<{ at: string }>(
          `select query_start::text as at from pg_stat_activity
            where usename = 'limpet_reader' and datname = current_database() and query_start > $1::timestamptz`,
          [since],
        )
        for (const { at } of rows) looks.add(at)
        return looks.size >= times
      }
      const { rows } = await pool.query<{ now: string }>('select clock_timestamp()::text as now')
      const since = rows[0]?.now
      try {
        await until(look, { withinMs: PATIENCE_MS, what: 'limpet to look into A’s database' })
      } finally {
        await pool.end()
      }
    }
  })
}
