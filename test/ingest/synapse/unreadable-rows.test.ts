import { expect } from 'chai'
import { limpetFor, parseReal, type Limpet } from './limpet.ts'
import { synapseTables, type SynapseTables, type Written } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'

describe('a row of Synapse’s that cannot be read is left out, with its event id in the log, and the stream goes on', () => {
  let synapse: SynapseTables
  let limpet: Limpet
  let running: ReturnType<Limpet['follow']>

  beforeEach(async () => {
    synapse = await synapseTables({ version: '11' })
    limpet = limpetFor(synapse.pool, { parse: parseReal, nameOf: (id) => synapse.nameOf(id) })
    await synapse.write({ at: 1, sender: alice, member: { user: alice, membership: 'join' } })
    await synapse.write({ at: 2, sender: bob, member: { user: bob, membership: 'join' } })
    await synapse.finishedUpTo(2)
    running = limpet.follow()
    await limpet.reaches(2)
  })
  afterEach(async () => {
    await running.stop()
    await synapse.close()
  })
  const says = (at: number, more: Partial<Written> = {}) => synapse.write({ at, sender: alice, ...more })
  const redacts = async (at: number, target: number, more: Partial<Written> = {}) => {
    await says(at, { type: 'm.room.redaction', ...more })
    const row = [synapse.idAt(at), synapse.idAt(target)]
    await synapse.pool.query('insert into redactions (event_id, redacts, recheck) values ($1, $2, true)', row)
  }
  /** Puts `value` into a column of the row of the event at `at`. */
  const spoil = async (at: number, column: 'json' | 'internal_metadata', value: string | null) => {
    await synapse.pool.query(`alter table event_json alter ${column} drop not null`)
    const values = [value, synapse.idAt(at)]
    await synapse.pool.query(`update event_json set ${column} = $1 where event_id = $2`, values)
  }
  const told = async (upTo: number) => {
    await synapse.finishedUpTo(upTo)
    await limpet.reaches(upTo)
    return limpet.lines
  }

  for (const value of [
    'no JSON',
    '{"recheck_redaction": tru',
    '',
    '[]',
    '"text"',
    'null',
    '{"a":1,"a":2}',
    null,
  ])
    it(`a redaction whose metadata is ${value === null ? 'not there' : JSON.stringify(value)}`, async () => {
      await says(3)
      await told(3)
      await redacts(4, 3, { sender: bob })
      await spoil(4, 'internal_metadata', value)
      await says(5)
      expect((await told(5)).slice(1)).to.deep.equal(['event $3', 'event $5'])
      expect(limpet.leftOut).to.deep.equal(['$4'])
    })

  for (const column of ['json', 'internal_metadata'] as const)
    for (const value of ['no JSON', '', '[]', '7', 'null', null])
      it(`an event whose ${column} is ${value === null ? 'not there' : JSON.stringify(value)}`, async () => {
        await says(3)
        await says(4)
        await spoil(3, column, value)
        expect((await told(4)).slice(1)).to.deep.equal(['event $4'])
        expect(limpet.leftOut).to.deep.equal(['$3'])
      })

  it('an event whose JSON has no sender', async () => {
    await says(3)
    await spoil(3, 'json', '{"type":"m.room.message"}')
    await says(4)
    expect((await told(4)).slice(1)).to.deep.equal(['event $4'])
    expect(limpet.leftOut).to.deep.equal(['$3'])
  })

  it('the text of an event that is redacted', async () => {
    await says(3)
    await says(4)
    await told(4)
    await redacts(5, 3, { metadata: { recheck_redaction: false } })
    await redacts(6, 4, { metadata: { recheck_redaction: false } })
    await spoil(3, 'json', '{"type":')
    expect((await told(6)).slice(3)).to.deep.equal(['event $5', 'event $6', 'redact $4'])
    expect(limpet.leftOut).to.deep.equal(['$3'])
  })

  it('a redaction in a room version whose rules are not known', async () => {
    await says(3)
    await told(3)
    await redacts(4, 3, { metadata: { recheck_redaction: false } })
    await synapse.pool.query(`update rooms set room_version = 'org.example.new'`)
    expect((await told(4)).slice(2)).to.deep.equal(['event $4'])
    expect(limpet.leftOut).to.deep.equal(['$3'])
  })

  it('the event that an event says it replaced', async () => {
    await synapse.write({ at: 3, sender: bob, member: { user: bob, membership: 'leave' } })
    const json = { unsigned: { replaces_state: '$\u0000' } }
    await synapse.write({ at: 4, sender: alice, member: { user: alice, membership: 'join' }, json })
    await says(5)
    expect((await told(5)).slice(1)).to.deep.equal(['-b.example', 'event $4', 'event $5'])
  })

  it('a redaction of nobody, and columns that are not there', async () => {
    await says(3)
    await told(3)
    await redacts(4, 3, { sender: bob, metadata: { recheck_redaction: true } })
    await synapse.pool.query('update events set sender = null where event_id = $1', [synapse.idAt(4)])
    await says(5)
    expect((await told(5)).slice(1)).to.deep.equal(['event $3', 'event $5'])
    expect(limpet.leftOut).to.deep.equal(['$4'])
  })

  it('state groups whose edges lead in a circle', async () => {
    await says(3)
    await told(3)
    await synapse.pool.query('update state_group_edges set prev_state_group = state_group')
    await says(4)
    await synapse.write({ at: 5, sender: alice, member: { user: bob, membership: 'leave' } })
    // Who was where cannot be known from them; that the stream goes on can.
    expect((await told(5)).join())
      .to.contain('event $4')
      .and.to.contain('event $5')
  })
})
