/** Synapse's state compressor stores the same states another way: an edge need not lead to the state before an event. */
import { expect } from 'chai'
import { limpetFor, parseReal, type Limpet } from './limpet.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'

describe('a state group whose edge leads elsewhere than to the state before its event', () => {
  let synapse: SynapseTables
  let limpet: Limpet
  let running: ReturnType<Limpet['follow']>

  beforeEach(async () => {
    synapse = await synapseTables({ version: '11' })
    limpet = limpetFor(synapse.pool, { parse: parseReal, nameOf: (id) => synapse.nameOf(id) })
    await synapse.finishedUpTo(0)
    running = limpet.follow()
    await limpet.reaches(0)
    await synapse.write({ at: 1, sender: alice, create: true })
    await member(2, alice, 'join')
  })
  afterEach(async () => {
    await running.stop()
    await synapse.close()
  })
  const member = (at: number, user: string, membership: string, sender = user) =>
    synapse.write({ at, sender, member: { user, membership } })
  const says = (at: number) => synapse.write({ at, sender: alice })
  const groupAt = async (at: number) => {
    const { rows } = await synapse.pool.query<{ group: number }>(
      'select state_group as group from event_to_state_groups where event_id = $1',
      [synapse.idAt(at)],
    )
    return rows[0]?.group
  }
  /** The group of the event at `at` is stored as the difference to that of the event at `to` (its own entry only). */
  const repoint = async (at: number, to: number) => {
    const values = [await groupAt(at), await groupAt(to)]
    await synapse.pool.query(
      'update state_group_edges set prev_state_group = $2 where state_group = $1',
      values,
    )
  }
  const told = async (upTo: number) => {
    await synapse.finishedUpTo(upTo)
    await limpet.reaches(upTo)
    return limpet.lines.slice(3)
  }

  it('a kick reaches the server whose user it removes, though its group now comes from before the join', async () => {
    await member(3, bob, 'join')
    await member(4, bob, 'leave', alice)
    await repoint(4, 2)
    await says(5)
    expect(await told(5)).to.deep.equal(['+b.example', 'event $4', '-b.example', 'event $5'])
  })

  it('a ban of somebody who had left tells their server nothing, though its group now comes from the join', async () => {
    await member(3, bob, 'join')
    await member(4, bob, 'leave')
    await member(5, bob, 'ban', alice)
    await repoint(5, 3)
    await says(6)
    expect(await told(6)).to.deep.equal(['+b.example', '-b.example', 'event $5', 'event $6'])
  })

  it('nor does an invite, though its group now comes from a later join that it is no part of', async () => {
    await member(3, bob, 'invite', alice)
    await member(4, bob, 'join')
    await member(5, bob, 'leave')
    // The invite's group holds its own entry over that of the join.
    await synapse.pool.query('delete from state_group_edges where state_group = $1', [await groupAt(4)])
    await repoint(3, 4)
    await synapse.pool.query(
      `insert into state_groups_state select $1, room_id, type, state_key, event_id from state_groups_state
        where state_group = $2`,
      [await groupAt(4), await groupAt(2)],
    )
    expect((await told(5)).slice(0, 1)).to.deep.equal(['event $3'])
  })

  it('a change of name of the only user keeps their server in, though its group now comes from before the join', async () => {
    await member(3, bob, 'join')
    await synapse.write({
      ...{ at: 4, sender: bob, member: { user: bob, membership: 'join' } },
      metadata: { send_on_behalf_of: 'c.example' },
    })
    await repoint(4, 2)
    expect(await told(4)).to.deep.equal(['+b.example', 'event $4 not c.example'])
  })
})
