import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { systemClock } from '../../../src/pace/clock.ts'
import { readWindow } from '../../../src/ingest/synapse/window.ts'
import { holdTransaction } from '../../support/hold.ts'
import { limpetFor, type Limpet } from './limpet.ts'
import { ROOM, synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const ben = '@ben:b.example'

describe('the Synapse source', () => {
  let synapse: SynapseTables
  let limpet: Limpet
  let running: ReturnType<Limpet['follow']>[]

  beforeEach(async () => {
    synapse = await synapseTables()
    limpet = limpetFor(synapse.pool)
    running = []
  })
  afterEach(async () => {
    for (const one of running) await one.stop()
    await synapse.close()
  })
  const follow = (options?: Parameters<Limpet['follow']>[0]) => {
    const one = limpet.follow(options)
    running.push(one)
    return one
  }
  const joins = (at: number, user: string, deltaAt = at) =>
    synapse.write({ at, sender: user, member: { user, membership: 'join', deltaAt } })
  const leaves = (at: number, user: string, sender = user, deltaAt = at) =>
    synapse.write({ at, sender, member: { user, membership: 'leave', deltaAt } })
  const says = (at: number) => synapse.write({ at, sender: alice })

  /** A room of alice and bob that was there before limpet first started, at ordering 3. */
  async function started(): Promise<void> {
    await joins(1, alice)
    await joins(2, bob)
    await says(3)
    await synapse.finishedUpTo(3)
    follow()
    await limpet.reaches(3)
  }

  it('begins its first start at the head of the stream, and says so', async () => {
    await started()
    expect(limpet.lines).to.deep.equal([])
    expect(limpet.logged.join()).to.contain('first start')
  })

  it('begins its first start after what there is where no event writer has noted a place yet', async () => {
    await joins(1, alice)
    await joins(2, bob)
    await says(3)
    follow()
    await limpet.reaches(3)
    await says(4)
    await synapse.finishedUpTo(4, 'a new writer')
    await limpet.reaches(4)
    expect(limpet.lines).to.deep.equal(['set b.example', 'event $4'])
  })

  it("tells a room's servers before its first event, once", async () => {
    await started()
    await says(4)
    await says(5)
    await synapse.finishedUpTo(5)
    await limpet.reaches(5)
    await says(6)
    await synapse.finishedUpTo(6)
    await limpet.reaches(6)
    expect(limpet.lines).to.deep.equal(['set b.example', 'event $4', 'event $5', 'event $6'])
  })

  it('leaves out what Synapse itself would not send', async () => {
    await started()
    await synapse.write({ at: 4, sender: bob })
    await synapse.write({ at: 5, sender: alice, outlier: true })
    await synapse.write({ at: 6, sender: alice, rejected: true })
    await synapse.write({ at: 7, sender: alice, metadata: { out_of_band_membership: true } })
    await synapse.write({ at: 8, sender: alice, metadata: { proactively_send: false } })
    await synapse.write({ at: 9, sender: bob, metadata: { send_on_behalf_of: 'b.example' } })
    await says(10)
    await synapse.finishedUpTo(10)
    await limpet.reaches(10)
    expect(limpet.lines).to.deep.equal(['set b.example', 'event $9 not b.example', 'event $10'])
  })

  it("drops Synapse's own age_ts from a PDU and nothing else, and passes on an antispam check's flag", async () => {
    await started()
    const json = { unsigned: { age_ts: 5, replaces_state: '$1' }, depth: 7 }
    await synapse.write({ at: 4, sender: alice, json, metadata: { policy_server_spammy: true } })
    await synapse.finishedUpTo(4)
    await limpet.reaches(4)
    const made = { sender: alice, room_id: ROOM, type: 'm.room.message', prev_events: ['$3'] }
    const pdu = { ...made, unsigned: { replaces_state: '$1' }, depth: 7 }
    const event = { type: 'event', room_id: ROOM, room_version: '11', event_id: '$4' }
    expect(limpet.raw).to.deep.equal([{ ...event, pdu, sticky: false }])
  })

  it('takes nothing above what the writer says is finished, so an event that commits late keeps its place', async () => {
    await started()
    const dawdling = await holdTransaction(synapse.pool)
    await synapse.write({ at: 4, sender: alice }, dawdling)
    await says(5)
    await synapse.finishedUpTo(3)
    await says(6)
    await synapse.lookedAt()
    await dawdling.query('commit')
    dawdling.release()
    expect(limpet.lines).to.deep.equal([])
    await synapse.finishedUpTo(6)
    await limpet.reaches(6)
    expect(limpet.lines).to.deep.equal(['set b.example', 'event $4', 'event $5', 'event $6'])
  })

  it('sends the event that ends a membership before it says that the server is gone, also in a batch', async () => {
    await started()
    await says(4)
    await leaves(5, bob, alice, 4)
    await says(6)
    await synapse.finishedUpTo(6)
    await limpet.reaches(6)
    expect(limpet.lines).to.deep.equal(['set b.example', 'event $4', 'event $5', '-b.example', 'event $6'])
  })

  it('adds a server with its first user and removes it with its last', async () => {
    await started()
    await joins(4, ben)
    await leaves(5, bob)
    await joins(6, '@carol:c.example')
    await leaves(7, ben)
    await says(8)
    await synapse.finishedUpTo(8)
    await limpet.reaches(8)
    expect(limpet.lines).to.deep.equal(['set b.example', '+c.example', '-b.example', 'event $8'])
  })

  it("tells a room's servers as of its place in the stream, not as of now", async () => {
    await started()
    await says(4)
    await synapse.finishedUpTo(4)
    await leaves(5, bob)
    await joins(6, '@carol:c.example')
    await limpet.reaches(4)
    expect(limpet.lines).to.deep.equal(['set b.example', 'event $4'])
    await synapse.finishedUpTo(6)
    await says(7)
    await synapse.finishedUpTo(7)
    await limpet.reaches(7)
    expect(limpet.lines.slice(2)).to.deep.equal(['-b.example', '+c.example', 'event $7'])
  })

  it('goes by the servers at the join while a room has partial state', async () => {
    await started()
    await synapse.pool.query(
      `insert into partial_state_rooms_servers values ($1, 'a.example'), ($1, 'b.example'), ($1, 'p.example')`,
      [ROOM],
    )
    await says(4)
    await leaves(5, bob)
    await says(6)
    await synapse.finishedUpTo(6)
    await limpet.reaches(6)
    // Who else of b.example is in the room is not known yet.
    expect(limpet.lines).to.deep.equal(['set b.example p.example', 'event $4', 'event $6'])
    await synapse.pool.query('delete from partial_state_rooms_servers')
    await says(7)
    await synapse.finishedUpTo(7)
    await limpet.reaches(7)
    expect(limpet.lines.slice(3)).to.deep.equal(['set', 'event $7'])
  })

  it('ends a window only between batches', async () => {
    await started()
    await says(4)
    await leaves(6, bob, alice, 4)
    await says(7)
    const window = await readWindow(synapse.pool, { after: 3, head: 7, limit: 1, serverName: 'a.example' })
    expect(window.upTo).to.equal(6)
    expect(window.changes.map(({ at, server }) => [at, server])).to.deep.equal([[6, 'b.example']])
  })

  it('takes each event once where two processes follow the same stream', async () => {
    await started()
    follow()
    for (let at = 4; at < 40; at += 1) {
      await says(at)
      await synapse.finishedUpTo(at)
    }
    await limpet.reaches(39)
    const events = limpet.lines.filter((line) => line.startsWith('event'))
    expect(events).to.deep.equal(Array.from({ length: 36 }, (_, i) => `event $${i + 4}`))
  })

  for (const failure of ['unavailable', 'lost answer'] as const) {
    it(`loses and repeats nothing when limpet's database answers with ${failure}`, async () => {
      await started()
      limpet.failNext = failure
      await says(4)
      await synapse.finishedUpTo(4)
      await limpet.reaches(4)
      await says(5)
      await synapse.finishedUpTo(5)
      await limpet.reaches(5)
      const events = limpet.lines.filter((line) => line.startsWith('event'))
      expect(events).to.deep.equal(['event $4', 'event $5'])
    })
  }

  it('looks at once when Synapse publishes that there are events', async () => {
    await synapse.finishedUpTo(0)
    let publish: (message: string) => void = () => undefined
    const channels: string[] = []
    follow({
      pollMs: 600_000,
      // It looks often for half a second after a message; by this clock that is long enough for a busy machine.
      clock: { ...systemClock, monotonic: () => systemClock.monotonic() / 100 },
      subscribe: (channel, onMessage) => (channels.push(channel), (publish = onMessage)),
    })
    await limpet.reaches(0)
    await says(1)
    publish('RDATA events master 1 ["ev",[]]')
    // The writer notes its place only after it published.
    await synapse.lookedAt(2)
    await synapse.finishedUpTo(1)
    await limpet.reaches(1)
    expect(channels).to.deep.equal(['a.example'])
    expect(limpet.lines).to.deep.equal(['set', 'event $1 to nobody'])
  })

  it('needs no more rights than docs/synapse.md tells an operator to grant', async () => {
    const page = await readFile(new URL('../../../docs/synapse.md', import.meta.url), 'utf8')
    const granted = /grant select on ([a-z_,\s]+?) to limpet_reader/.exec(page)?.[1]?.split(/,\s*/) ?? []
    const other = limpetFor(await synapse.reader(granted))
    running.push(other.follow())
    await other.reaches(0)
    await joins(1, bob)
    await says(2)
    await synapse.finishedUpTo(2)
    await other.reaches(2)
    expect(other.lines).to.deep.equal(['set', '+b.example', 'event $2'])
  })

  describe('refuses, in one line,', () => {
    const refusal = async () => (await follow().ended) as Error & { code: string }

    it('a schema version that was not verified, also when it changes underneath', async () => {
      await started()
      await synapse.pool.query('update schema_version set version = 95')
      const error = (await running[0]?.ended) as Error & { code: string }
      expect(error).to.include({ code: 'SYNAPSE_SCHEMA' })
      expect(error.message).to.match(/^sources\.synapse: .*schema version is 95.*verified with 94/)
    })

    it('several event writers', async () => {
      await synapse.finishedUpTo(3, 'writer1')
      await synapse.finishedUpTo(3, 'writer2')
      expect((await refusal()).message).to.contain('several event writers (writer1, writer2)')
    })

    it("another homeserver's database", async () => {
      await synapse.pool.query(`update users set name = '@alice:other.example'`)
      expect((await refusal()).message).to.contain('belongs to other.example, but server_name is a.example')
    })

    it('a Synapse whose rooms have their states elsewhere', async () => {
      await says(1)
      await synapse.pool.query('delete from state_groups_state')
      await synapse.pool.query('update event_to_state_groups set state_group = 7')
      expect((await refusal()).message).to.contain("rooms' states in another database")
    })

    it('a database user who may not read what it needs', async () => {
      const reader = await synapse.reader([
        ...['users', 'stream_positions', 'event_to_state_groups', 'state_groups_state', 'state_group_edges'],
      ])
      const error = (await limpetFor(reader).follow().ended) as Error
      expect(error.message).to.match(/lacks a right .*permission denied for table schema_version/)
    })

    it('a database that is no Synapse’s', async () => {
      await synapse.pool.query('drop table schema_version')
      expect(await refusal()).to.include({ code: 'SYNAPSE_SCHEMA' })
    })
  })
})
