/**
 * A's database is not what it was: its event writer's place is gone, as after a change of the writer's name, and then the whole
 * database is restored from a copy. Nothing is lost by the first; the second waits for an operator, then nothing is lost either.
 *
 * Alice is on homeserver A, for which limpet sends, and shares two rooms with Bob, on B.
 */
import { expect } from 'chai'
import { openPool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { arrivedIds } from './support/arrivals.ts'
import { type Client, registerClient } from './support/client.ts'
import { dawdle } from './support/dawdle.ts'
import { eventsHeld, inside, PATIENCE_MS, seesMember } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { twoRoomsWith } from './support/people.ts'
import { fateOf } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

const STICKY_MS = 900_000

describe('another timeline in A’s database', function () {
  oneStory(this)
  const stage = makeStage()
  let a: Synapse
  let b: Synapse
  let alice: Client
  let bob: Client
  let first: string
  let second: string
  let limpet: Limpet
  let copy: string | undefined
  let sticky: string
  const anew: string[] = []

  before(async function () {
    ;({ a, b } = await stage.open(this))
    alice = await registerClient(a, 'alice')
    bob = await registerClient(b, 'bob')
    limpet = await stage.limpet({ synapse: a })
    ;[first, second] = await twoRoomsWith(alice, { a, guests: [bob] })
  })
  after(async function () {
    await stage.clear(this)
    if (copy !== undefined)
      await onServer((name, admin) => admin(`drop database if exists ${copy}; -- ${name}`))
  })

  it('the writer has no place noted: what commits late is not passed', async () => {
    await a.stop()
    await inside(a, (db) => db.query(`delete from stream_positions where stream_name = 'events'`))
    await a.restart()
    const slow = await dawdle(a, { table: 'event_json', when: `new.room_id = '${first}'` })
    try {
      // The writer's own note comes late, too.
      await inside(a, (db) =>
        db.query(`create trigger limpet_late before insert on stream_positions for each row
                    when (new.stream_name = 'events') execute function limpet_dawdle()`),
      )
      const saying = alice.send(first, 'this takes its time')
      await slow.caught()
      const early = alice.send(second, 'this does not')
      await until(async () => (await held(second)) > 0, {
        withinMs: PATIENCE_MS,
        what: 'the second to be stored',
      })
      const { source_token: before } = await position()
      const looks = performance.now()
      await until(() => performance.now() - looks > 2_500, { what: 'limpet to look a few times' })
      expect((await position()).source_token).to.equal(before)
      await slow.release()
      await inside(a, (db) => db.query('drop trigger limpet_late on stream_positions'))
      await bob.see(first, await saying)
      await bob.see(second, await early)
    } finally {
      await slow.release().catch(() => undefined)
    }
  })

  it('A is copied, Alice goes on, and then the copy is what A has', async () => {
    await limpet.stop()
    await a.stop()
    copy = await onServer(async (name, admin) => {
      await admin(`create database ${name}_copy template ${name}`)
      return `${name}_copy`
    })
    await a.restart()
    await limpet.start()
    for (const room of [first, second]) await bob.see(room, await alice.send(room, 'soon forgotten'))
    await a.stop()
    // limpet runs on, as it would where nobody thinks of it.
    await onServer(async (name, admin) => {
      await admin(`drop database ${name} with (force)`)
      await admin(`alter database ${copy} rename to ${name}`)
    })
    await a.restart()
    await until(
      async () => {
        const { restored, state } = await source()
        return restored !== null && state === 'stalled'
      },
      { withinMs: PATIENCE_MS, what: 'limpet to notice and say so' },
    )
  })

  it('what is written then waits for an operator', async () => {
    // Not by his own leave: B tries A again only after ten minutes, since A was away.
    await alice.kick(first, bob.userId)
    await seesMember(a, first, bob.userId, 'leave')
    sticky = await alice.send(first, 'sticky', { stickyMs: STICKY_MS })
    for (const body of ['one', 'two']) anew.push(await alice.send(second, body))
    expect((await eventsHeld(a, anew)).size).to.equal(2)
    const came = arrivedIds(a, b, { roomId: second })
    expect(came.filter((eventId) => anew.includes(eventId))).to.deep.equal([])
  })

  it('told to go on, limpet sends it, and nothing to the server that left', async () => {
    await limpet.post('/v1/sources/synapse/continue')
    await bob.seeAll(second, anew)
    expect((await source()).restored).to.equal(null)
    expect(arrivedIds(a, b, { roomId: first })).not.to.include(sticky)
    expect((await fateOf(limpet, sticky, b))?.outcome ?? 'not_entitled').to.equal('not_entitled')
  })

  const position = () => limpet.get<{ source_token: string }>('/v1/ingest/position?source=synapse')
  const source = () => limpet.get<{ state: string; restored: object | null }>('/v1/sources/synapse')
  const held = async (room: string) => {
    const { rows } = await inside(a, (db) =>
      db.query<{ n: number }>(
        `select count(*) as n from events e join event_json j using (event_id)
          where e.room_id = $1 and j.json like '%this does not%'`,
        [room],
      ),
    )
    return rows[0]?.n ?? 0
  }

  /** Works on the server of A's database, whose name it is given, from another database. */
  async function onServer<T>(
    work: (name: string, admin: (sql: string) => Promise<unknown>) => Promise<T>,
  ): Promise<T> {
    const url = new URL(a.databaseUrl)
    const name = url.pathname.slice(1)
    url.pathname = '/postgres'
    const pool = openPool({ url: url.href, max: 1 })
    try {
      return await work(name, (sql) => pool.query(sql))
    } finally {
      await pool.end()
    }
  }
})
