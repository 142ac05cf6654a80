import { expect } from 'chai'
import { pino } from 'pino'
import { systemClock } from '../../../src/pace/clock.ts'
import { makeAppend, type Append } from '../../../src/ingest/append.ts'
import { makeSynapseSource } from '../../../src/ingest/synapse/source.ts'
import type { RoomId } from '../../../src/matrix/ids.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { sourcePosition } from '../../../src/store/ingest/read-back.ts'
import { toldAmong, toldRooms } from '../../../src/store/ingest/told-rooms.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../../support/postgres.ts'
import { beginPartial, completeState, deleteRoom, endPartial, haveState, joinRoom } from './happenings.ts'
import { parseReal } from './limpet.ts'
import { ROOM, synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const carol = '@carol:c.example'
const sticky = { msc4354_sticky: { duration_ms: 3_000_000 } }

/** What one process that follows a Synapse believes of its rooms, against what limpet's database was told. */
describe('the Synapse source and limpet’s own database', () => {
  let synapse: SynapseTables
  let database: FreshDatabase
  let ours: Pool
  let append: Append
  let stops: (() => Promise<void>)[]

  beforeEach(async () => {
    synapse = await synapseTables({ version: '11' })
    database = await freshDatabase()
    ours = openPool({ url: database.url })
    const needs = { pool: ours, serverName: 'a.example', maxStickyMs: 3_600_000, random: () => 0.5 }
    append = makeAppend({ ...needs, onTaken: () => undefined })
    stops = []
    await joins(1, alice)
    await joins(2, bob)
    await synapse.finishedUpTo(2)
  })
  afterEach(async () => {
    for (const stop of stops) await stop()
    await ours.end()
    await database.drop()
    await synapse.close()
  })

  const joins = (at: number, user: string) =>
    synapse.write({ at, sender: user, member: { user, membership: 'join' } })
  const says = (at: number, json: object = {}) =>
    synapse.write({ at, sender: alice, json: { ...json, origin_server_ts: Date.now() } })
  const reaches = async (at: number) => {
    await synapse.finishedUpTo(at)
    const token = async () => (await sourcePosition(ours, 'synapse')).sourceToken
    await until(async () => (await token()) === `events=${at}`, { what: `events=${at}` })
  }

  /** A process that follows; its look at Synapse stops where `gate.open` is false. */
  function follow({ through = append, everyMs = 0 }: { through?: Append; everyMs?: number } = {}) {
    const gate = { open: true }
    const stopping = new AbortController()
    const pool = Object.create(synapse.pool) as Pool
    const query = synapse.pool.query.bind(synapse.pool) as (...given: unknown[]) => unknown
    pool.query = (async (...given: unknown[]) => {
      while (!gate.open && !stopping.signal.aborted) await systemClock.sleep(5, stopping.signal)
      return query(...given)
    }) as unknown as Pool['query']
    const source = makeSynapseSource({
      pool,
      serverName: 'a.example',
      append: through,
      tokenOf: async (name) => (await sourcePosition(ours, name)).sourceToken,
      parseItem: parseReal,
      purges: {
        told: {
          page: (after, limit) => toldRooms(ours, { after, limit }),
          among: (roomIds) => toldAmong(ours, roomIds),
        },
        everyMs,
        graceMs: 0,
      },
      clock: systemClock,
      log: pino({ level: 'silent' }),
      pollMs: 20,
    })
    const ended = source.run(stopping.signal)
    const stop = async () => {
      stopping.abort()
      await ended
    }
    stops.push(stop)
    return { gate, stop }
  }

  /** Who is in the room now, and whether one of its servers was there already at the position of `since`. */
  async function members(): Promise<string[]> {
    const { rows } = await ours.query<{ name: string }>(
      `select d.name from memberships m join destinations d on d.id = m.destination
        where m.until is null order by d.name`,
    )
    return rows.map(({ name }) => name)
  }
  async function stays(): Promise<string[]> {
    const { rows } = await ours.query<{ stay: string }>(
      `select d.name || ' ' || m.since || '-' || coalesce(m.until::text, '') as stay
         from memberships m join destinations d on d.id = m.destination order by d.name, m.since`,
    )
    return rows.map(({ stay }) => stay)
  }
  async function owed(): Promise<number> {
    return (await ours.query('select from sticky_owed')).rowCount ?? 0
  }
  /** Those whom an event goes to. */
  async function sentTo(at: number): Promise<string[]> {
    const { rows } = await ours.query<{ name: string }>(
      `select d.name from destinations d, events e join event_ids i on i.pos = e.pos left join recipients r on r.id = e.recipients
        where i.event_id = $1 and (d.id = any(r.list) or not coalesce(r.exact, false) and not d.id = any(coalesce(r.less, '{}'))
          and exists (select from memberships m where m.room = e.room and m.destination = d.id and m.since < e.pos
                         and e.pos <= coalesce(m.until, e.pos)))
        order by 1`,
      [synapse.idAt(at)],
    )
    return rows.map(({ name }) => name)
  }
  const purge = (roomId: string) =>
    append({
      ...{ source: 'default', sourceToken: undefined, ifSourceToken: undefined },
      items: [{ type: 'purge', roomId: roomId as RoomId }],
    })
  const isPurged = async () => {
    const known = async () => (await toldAmong(ours, [ROOM])).length > 0
    await until(async () => !(await known()), { what: 'the room to be purged' })
  }

  async function told(options?: Parameters<typeof follow>[0]) {
    const one = follow(options)
    await reaches(2)
    await says(3)
    await reaches(3)
    expect(await members()).to.deep.equal(['b.example'])
    return one
  }

  for (const more of [[], [carol]]) {
    it(`a room deleted and joined again, and the purge passed on by another process: nobody is missing (${more.length})`, async () => {
      const answers: string[] = []
      const through: Append = async (request) => {
        const result = await append(request)
        answers.push(result.kind)
        return result
      }
      const first = await told({ through, everyMs: 10_000_000 })
      first.gate.open = false
      const second = follow()
      await deleteRoom(synapse, 4)
      await synapse.finishedUpTo(4)
      await isPurged()
      await second.stop()
      await joinRoom(synapse, { at: 10, members: [bob, ...more, alice] })
      await synapse.finishedUpTo(10)
      first.gate.open = true
      await says(11)
      await reaches(11)
      expect(await members()).to.deep.equal(['b.example', ...more.map(() => 'c.example')])
      expect(answers, 'a window that was refused').not.to.include('unknown_rooms')
    })
  }

  it('the purge was taken on, and its answer lost: nobody is missing when the room is joined again', async () => {
    let lost = 0
    await told({
      through: async (request) => {
        const result = await append(request)
        const isPurge = request.items.some(({ type }) => type === 'purge')
        if (isPurge && (lost += 1) === 1) return { kind: 'unavailable', message: 'away' }
        return result
      },
    })
    await deleteRoom(synapse, 4)
    await synapse.finishedUpTo(4)
    await isPurged()
    await joinRoom(synapse, { at: 10, members: [bob, carol, alice] })
    await says(11)
    await reaches(11)
    expect(lost).to.be.at.least(1)
    expect(await members()).to.deep.equal(['b.example', 'c.example'])
  })

  it('an operator purges a room that is told: its next event still reaches everybody', async () => {
    await told()
    await purge(ROOM)
    await says(4)
    await reaches(4)
    expect(await sentTo(4)).to.deep.equal(['b.example'])
  })

  it('so does a join that comes next: those who were there are in it too', async () => {
    await told()
    await purge(ROOM)
    await joins(4, carol)
    await reaches(4)
    expect(await members()).to.deep.equal(['b.example', 'c.example'])
  })

  it('a server came that somebody else had added: with the next event the list is Synapse’s again', async () => {
    await told()
    await append({
      ...{ source: 'default', sourceToken: undefined, ifSourceToken: undefined },
      items: [
        { type: 'servers', roomId: ROOM as RoomId, change: { add: ['c.example', 'd.example'], remove: [] } },
      ],
    })
    await joins(4, carol)
    await reaches(4)
    await says(5)
    await reaches(5)
    expect(await sentTo(5)).to.deep.equal(['b.example', 'c.example'])
  })

  it('a room that nobody passed a purge on of, and whose old events came back from others, is forgotten first', async () => {
    const first = await told()
    await says(4, sticky)
    await reaches(4)
    await first.stop()
    await deleteRoom(synapse, 5)
    await joinRoom(synapse, { at: 10, members: [bob, alice] })
    await synapse.pool.query(
      `insert into events (stream_ordering, topological_ordering, processed, event_id, room_id, sender, type, outlier)
       values (-1, 1, true, '$old', $1, $2, 'm.room.message', false)`,
      [ROOM, bob],
    )
    await synapse.finishedUpTo(10)
    follow()
    await reaches(10)
    expect((await ours.query(`select from changes where kind = 'purge'`)).rowCount).to.equal(1)
    expect(await members()).to.deep.equal(['b.example'])
    expect(await owed()).to.equal(0)
  })

  it('a change that limpet’s database refuses is made good with the room’s next event', async () => {
    let refused = 0
    await told({
      through: async (request) => {
        const index = request.items.findIndex((item) => item.type === 'servers' && 'add' in item.change)
        if (index < 0 || refused > 0) return append(request)
        refused += 1
        return { kind: 'invalid', index, path: 'add', message: 'odd' }
      },
    })
    await joins(4, carol)
    await says(5)
    await synapse.finishedUpTo(5)
    await until(() => refused > 0, { what: 'a refusal' })
    await says(6)
    await reaches(6)
    expect(await sentTo(6)).to.deep.equal(['b.example', 'c.example'])
  })

  describe('of a fast join', () => {
    const dan = '@dan:d.example'

    /** Told while partial: b, of whom a member is known, c, of whom none is, and d, that has left by the time the state is whole. */
    async function toldPartial() {
      await beginPartial(synapse, ['a.example', 'b.example', 'c.example', 'd.example'])
      const one = follow()
      await reaches(2)
      await says(3, sticky)
      await reaches(3)
      expect(await stays()).to.deep.equal(['b.example 1-', 'c.example 1-', 'd.example 1-'])
      return one
    }
    /** The state is whole at 5, of which 4 was not read before. */
    async function becomesWhole() {
      await says(4, sticky)
      await completeState(synapse, { at: 5, members: [carol], states: [synapse.idAt(3), synapse.idAt(4)] })
      await endPartial(synapse)
    }

    for (const restarted of [false, true]) {
      it(`nobody leaves and joins at its end, and who has left is sent nothing more${restarted ? ', by a process that begins then' : ''}`, async () => {
        const one = await toldPartial()
        one.gate.open = false
        if (restarted) await one.stop()
        await becomesWhole()
        await synapse.finishedUpTo(5)
        if (restarted) follow()
        else one.gate.open = true
        await reaches(5)
        expect(await stays()).to.deep.equal(['b.example 1-', 'c.example 1-', 'd.example 1-3'])
        expect(await owed()).to.equal(0)
        expect(await sentTo(4)).to.deep.equal(['b.example', 'c.example'])
      })
    }

    it('nor where the state becomes whole beyond what is read', async () => {
      await toldPartial()
      await becomesWhole()
      await reaches(4)
      expect(await sentTo(4)).to.deep.equal(['b.example', 'c.example'])
      await says(6)
      await haveState(synapse, { at: 5, states: [synapse.idAt(6)] })
      await reaches(6)
      expect(await stays()).to.deep.equal(['b.example 1-', 'c.example 1-', 'd.example 1-3'])
      expect(await sentTo(6)).to.deep.equal(['b.example', 'c.example'])
    })

    it('nor where its end is seen later than the members', async () => {
      await toldPartial()
      await says(4, sticky)
      await completeState(synapse, { at: 5, members: [carol] })
      await says(6)
      await reaches(6)
      await endPartial(synapse)
      await says(7)
      await haveState(synapse, { at: 5, states: [synapse.idAt(7)] })
      await reaches(7)
      expect(await stays()).to.deep.equal(['b.example 1-', 'c.example 1-', 'd.example 1-5'])
      expect(await owed()).to.equal(0)
      expect(await sentTo(7)).to.deep.equal(['b.example', 'c.example'])
    })

    it('the list is told once while it lasts; who came and left again is gone', async () => {
      await toldPartial()
      await joins(4, '@eve:e.example')
      await says(5)
      await reaches(5)
      await synapse.write({ at: 6, sender: bob, member: { user: bob, membership: 'leave' } })
      await synapse.write({
        ...{ at: 7, sender: '@eve:e.example' },
        member: { user: '@eve:e.example', membership: 'leave' },
      })
      await says(8)
      await reaches(8)
      // Who else of b.example is in the room is not known yet; of e.example everybody is.
      expect(await sentTo(8)).to.deep.equal(['b.example', 'c.example', 'd.example'])
      // set, event, +e, event, -e, event.
      expect((await sourcePosition(ours, 'synapse')).position).to.equal(6)
    })

    it('its end is seen though nothing happens in the room', async () => {
      await toldPartial()
      await completeState(synapse, { at: 5, members: [carol] })
      await says(6)
      await reaches(6)
      await endPartial(synapse)
      const elsewhere = { room: '!other:a.example', sender: alice }
      await synapse.write({ at: 7, ...elsewhere, member: { user: alice, membership: 'join' } })
      await synapse.pool.query(`insert into rooms (room_id, room_version) values ('!other:a.example', '11')`)
      await reaches(7)
      expect((await stays()).filter((stay) => /^d\.example 1-\d/.test(stay))).to.have.length(1)
    })

    it(`a server that leaves meanwhile and comes back is sent nothing in between`, async () => {
      await toldPartial()
      // By the whole state d.example was gone at 4 and is there again at 6.
      await says(4)
      await completeState(synapse, { at: 5, members: [carol], states: [synapse.idAt(4)] })
      await joins(6, dan)
      await endPartial(synapse)
      await reaches(6)
      expect(await sentTo(4)).to.deep.equal(['b.example', 'c.example'])
      expect(await members()).to.deep.equal(['b.example', 'c.example', 'd.example'])
    })
  })
})
