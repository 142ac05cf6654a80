/** What a slow statement on Synapse's database holds up: one room, not the others, and nothing there for longer than it is waited for. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { until } from '../../support/poll.ts'
import { limpetFor, type Limpet } from './limpet.ts'
import { ROOM, synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const OTHER = '!other:a.example'
const SHORT_MS = 300

describe('a statement of the Synapse source that takes too long', () => {
  let synapse: SynapseTables
  let theirs: Pool
  let patient: Pool
  let limpet: Limpet
  let running: ReturnType<Limpet['follow']>[]

  beforeEach(async () => {
    synapse = await synapseTables()
    theirs = openPool({ url: synapse.url, name: 'theirs', statementMs: SHORT_MS })
    patient = openPool({ url: synapse.url, name: 'theirs', statementMs: 2 * SHORT_MS, max: 1 })
    limpet = limpetFor(theirs)
    running = []
  })
  afterEach(async () => {
    for (const one of running) await one.stop()
    await theirs.end()
    await patient.end()
    await synapse.close()
  })
  const follow = () => running.push(limpet.follow({ patient }))
  const joins = (at: number, room: string, user: string) =>
    synapse.write({ at, room, sender: user, member: { user, membership: 'join' } })
  const says = (at: number, room = ROOM) => synapse.write({ at, room, sender: alice })
  const sentOf = () => limpet.lines.filter((line) => line.startsWith('event'))

  async function started(): Promise<void> {
    await synapse.pool.query(`insert into rooms (room_id, room_version) values ($1, '11')`, [OTHER])
    await joins(1, ROOM, alice)
    await joins(2, ROOM, bob)
    await joins(3, OTHER, alice)
    await joins(4, OTHER, '@carol:c.example')
    await synapse.finishedUpTo(4)
    follow()
    await limpet.reaches(4)
  }

  it('holds up its own room alone, of which nothing is lost', async () => {
    await started()
    await synapse.slow('current_state_events', [ROOM], 60_000)
    await says(5)
    await says(6, OTHER)
    await says(7, OTHER)
    await says(8)
    await synapse.finishedUpTo(8)
    await until(() => sentOf().includes('event $6'), { what: 'the event of the other room' })
    await limpet.reaches(8)
    await says(9, OTHER)
    await says(10)
    await synapse.finishedUpTo(10)
    await limpet.reaches(10)
    expect(limpet.lines).to.deep.equal(['set c.example', 'event $6', 'event $7', 'event $9'])
    expect(limpet.logged.join()).to.contain('a room cannot be read in time')
    await synapse.slow('current_state_events', [], 0)
    await until(() => limpet.lines.includes('event $10'), { what: 'the room that waited' })
    await until(() => limpet.logged.join().includes('has caught up with the others'), {
      what: 'it to be with the others',
    })
    await says(11)
    await synapse.finishedUpTo(11)
    await limpet.reaches(11)
    const waited = ['set b.example', 'event $5', 'event $8', 'event $10', 'event $11']
    expect(limpet.lines.slice(4)).to.deep.equal(waited)
    expect(limpet.sources()).to.deep.equal(['synapse'])
    // It may wait once more.
    await synapse.slow('current_state_events', [ROOM], 60_000)
    await running.pop()?.stop()
    follow()
    await says(12)
    await synapse.finishedUpTo(12)
    await limpet.reaches(12)
    expect([limpet.sources(), sentOf().includes('event $12')]).to.deep.equal([
      ['synapse', `synapse/${ROOM}`],
      false,
    ])
    await synapse.slow('current_state_events', [], 0)
    await until(() => sentOf().includes('event $12'), { what: 'the room that waited again' })
  })

  it('leaves nothing of rooms that waited under an older release', async () => {
    limpet.store('synapse/!old:a.example', 'done')
    limpet.store('synapse/!waits:a.example', 'after=3')
    await started()
    expect(limpet.sources()).to.deep.equal(['synapse/!waits:a.example', 'synapse'])
  })

  it('leaves a room behind for the next process too, in its order', async () => {
    await started()
    await synapse.slow('current_state_events', [ROOM], 60_000)
    await says(5)
    await synapse.finishedUpTo(5)
    await limpet.reaches(5)
    await running.pop()?.stop()
    await says(6)
    await says(7, OTHER)
    await synapse.finishedUpTo(7)
    follow()
    await limpet.reaches(7)
    expect(limpet.lines).to.deep.equal(['set c.example', 'event $7'])
    await synapse.slow('current_state_events', [], 0)
    await until(() => sentOf().length === 3, { what: 'the room that waited' })
    expect(sentOf()).to.deep.equal(['event $7', 'event $5', 'event $6'])
  })

  it('is gone from the server when nobody waits for it any more', async () => {
    await started()
    await synapse.slow('current_state_events', null, 60_000)
    await says(5)
    await synapse.finishedUpTo(5)
    const busy = async () => {
      const { rows } = await synapse.pool.query<{ busy: number; longest: number }>(
        `select count(*) as busy, coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float8 as longest
           from pg_stat_activity
          where datname = current_database() and application_name = 'theirs' and state = 'active'`,
      )
      return rows[0]
    }
    await until(() => limpet.logged.join().includes('a room cannot be read in time'), {
      what: 'it to be given up',
    })
    await running.pop()?.stop()
    expect(await busy()).to.include({ busy: 0 })
  })

  it('about a window is asked about half of it, and so on', async () => {
    await started()
    await synapse.slow('event_json', null, 20)
    for (let at = 5; at < 45; at += 1) await says(at)
    await synapse.finishedUpTo(44)
    await limpet.reaches(44)
    expect(sentOf()).to.deep.equal(Array.from({ length: 40 }, (_, i) => `event $${i + 5}`))
  })

  it('about every room is a matter of the database: none is left behind, and it goes on when it is over', async () => {
    await started()
    await synapse.slow('current_state_events', null, 60_000)
    const rooms = Array.from({ length: 5 }, (_, i) => `!room${i}:a.example`)
    for (const [i, room] of rooms.entries()) await joins(5 + i, room, alice)
    for (const [i, room] of rooms.entries()) await says(10 + i, room)
    await synapse.finishedUpTo(14)
    await until(() => limpet.logged.join().includes('could not be read'), {
      what: 'it to fail',
    })
    expect([limpet.token(), limpet.logged.join().includes('its events wait')]).to.deep.equal([
      'events=4',
      false,
    ])
    await synapse.slow('current_state_events', [], 0)
    await limpet.reaches(14)
    expect(sentOf()).to.include.members(['event $10', 'event $11', 'event $12', 'event $13', 'event $14'])
  })
})
