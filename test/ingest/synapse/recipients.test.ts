import { expect } from 'chai'
import { limpetFor, parseReal, type Limpet } from './limpet.ts'
import { synapseTables, type SynapseTables, type Written } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const carol = '@carol:c.example'

for (const version of ['6', '10', '11', '12']) {
  describe(`who gets an event of Synapse's, in a room of version ${version}`, () => {
    let synapse: SynapseTables
    let limpet: Limpet
    let running: ReturnType<Limpet['follow']>

    beforeEach(async () => {
      synapse = await synapseTables({ version })
      limpet = limpetFor(synapse.pool, { parse: parseReal, nameOf: (id) => synapse.nameOf(id) })
      await synapse.finishedUpTo(0)
      running = limpet.follow()
      await limpet.reaches(0)
      // Alice's room: Bob joined at 3, Carol at 4.
      await synapse.write({ at: 1, sender: alice, create: true })
      await member(2, alice, 'join')
      await member(3, bob, 'join')
      await member(4, carol, 'join')
    })
    afterEach(async () => {
      await running.stop()
      await synapse.close()
    })
    const says = (at: number, more: Partial<Written> = {}) => synapse.write({ at, sender: alice, ...more })
    const member = (
      at: number,
      user: string,
      membership: string,
      { sender = user, current, ...more }: Partial<Written> & { current?: boolean } = {},
    ) =>
      synapse.write({
        at,
        sender,
        ...more,
        member: { user, membership, ...(current === undefined ? {} : { current }) },
      })
    /** What limpet was told from `from` on. */
    const told = async (upTo: number) => {
      await synapse.finishedUpTo(upTo)
      await limpet.reaches(upTo)
      return limpet.lines
    }

    it('the first event goes to nobody, the others to the servers before them', async () => {
      expect(await told(4)).to.deep.equal([
        'set',
        'event $1 to nobody',
        'event $2',
        '+b.example',
        '+c.example',
      ])
    })

    it('a kick reaches the server whose last user it removes, and what comes after it does not', async () => {
      await member(5, bob, 'leave', { sender: alice, auth: [3] })
      await says(6)
      expect((await told(6)).slice(5)).to.deep.equal(['event $5', '-b.example', 'event $6'])
    })

    it('so does a ban, also where Synapse stored the state after it as a whole', async () => {
      await member(5, bob, 'ban', { sender: alice, auth: [3], group: 'whole' })
      await says(6)
      expect((await told(6)).slice(5)).to.deep.equal(['event $5', '-b.example', 'event $6'])
    })

    it('a ban of somebody who was not there tells their server nothing', async () => {
      await member(5, '@dan:d.example', 'ban', { sender: alice })
      expect((await told(5)).slice(5)).to.deep.equal(['event $5'])
    })

    it('an invite goes to those who are in the room; taken back, it reaches the invited server too', async () => {
      await member(5, '@dan:d.example', 'invite', { sender: alice })
      await says(6)
      await member(7, '@dan:d.example', 'leave', { sender: alice, auth: [1, 2, 5] })
      await says(8)
      expect((await told(8)).slice(5)).to.deep.equal([
        'event $5',
        'event $6',
        'event $7 also d.example',
        'event $8',
      ])
    })

    it('an unban, or an invite that was refused, is no invite taken back', async () => {
      await member(5, '@dan:d.example', 'ban', { sender: alice })
      await member(6, '@dan:d.example', 'leave', { sender: alice, auth: [1, 2, 5] })
      await member(7, '@dan:d.example', 'invite', { sender: alice })
      await member(8, '@dan:d.example', 'leave', {
        auth: [1, 7],
        metadata: { send_on_behalf_of: 'd.example' },
      })
      expect((await told(8)).slice(5)).to.deep.equal([
        'event $5',
        'event $6',
        'event $7',
        'event $8 not d.example',
      ])
    })

    it('the leave of the last local user reaches everybody, in one batch with a message too', async () => {
      await says(5)
      await member(6, alice, 'leave')
      // The server is in the room no more: its current state goes, all of it noted at the batch's lowest ordering.
      await synapse.pool.query(
        `insert into current_state_delta_stream
           select 5, room_id, type, state_key, null, event_id, 'master' from current_state_events`,
      )
      await synapse.pool.query('delete from current_state_events')
      await synapse.pool.query('delete from current_state_delta_stream where stream_id = 6')
      expect((await told(6)).slice(5)).to.deep.equal([
        'event $5',
        '-b.example -c.example',
        'event $6 also b.example also c.example',
      ])
    })

    it('a join through this server goes to all but the server that made it', async () => {
      await member(5, '@dan:d.example', 'join', { metadata: { send_on_behalf_of: 'd.example' } })
      await says(6)
      expect((await told(6)).slice(5)).to.deep.equal(['event $5 not d.example', '+d.example', 'event $6'])
    })

    describe('on a fork', () => {
      it('each branch’s event goes to the servers on that branch', async () => {
        // Both have the event at 4 as parent: Alice kicks Bob, and a message that does not know of it.
        await member(5, bob, 'leave', { sender: alice, parents: [4], auth: [3] })
        await says(6, { parents: [4] })
        await says(7, { parents: [5] })
        await says(8, { parents: [5, 6] })
        await says(9, { parents: [6] })
        expect((await told(9)).slice(5)).to.deep.equal([
          'event $5',
          '-b.example',
          'event $6 also b.example',
          'event $7',
          // Of several parents the tables' pen takes the later one's members where they differ: Bob is there again.
          'event $8 also b.example',
          'event $9 also b.example',
        ])
      })

      it('an event whose parents do not know a newcomer is not for it, but a sticky one is', async () => {
        await member(5, '@dan:d.example', 'join', { metadata: { send_on_behalf_of: 'd.example' } })
        await says(6, { parents: [4] })
        await says(7, { parents: [4], json: { msc4354_sticky: { duration_ms: 60_000 } } })
        const flagged = { policy_server_spammy: true }
        await says(8, {
          parents: [4],
          json: { msc4354_sticky: { duration_ms: 60_000 } },
          metadata: flagged,
        })
        await says(9, { parents: [5, 8] })
        expect((await told(9)).slice(5)).to.deep.equal([
          'event $5 not d.example',
          '+d.example',
          'event $6 not d.example',
          'event $7',
          'event $8 not d.example',
          'event $9',
        ])
      })

      it('a join that state resolution keeps out of the current state still counts on its own branch', async () => {
        await member(5, '@dan:d.example', 'join', {
          parents: [4],
          current: false,
          metadata: { send_on_behalf_of: 'd.example' },
        })
        await says(6, { parents: [5] })
        await says(7, { parents: [4] })
        await member(8, '@dan:d.example', 'ban', { sender: alice, parents: [5], auth: [5] })
        expect((await told(8)).slice(5)).to.deep.equal([
          'event $5 not d.example',
          'event $6 also d.example',
          'event $7',
          'event $8 also d.example',
        ])
      })

      it('a membership stored as a whole state is counted back to the one before it', async () => {
        await member(5, '@dan:d.example', 'join', {
          parents: [4],
          group: 'whole',
          metadata: { send_on_behalf_of: 'd.example' },
        })
        await member(6, bob, 'leave', { sender: alice, parents: [4], group: 'whole' })
        await says(7, { parents: [5] })
        await says(8, { parents: [6] })
        expect((await told(8)).slice(5)).to.deep.equal([
          'event $5 not d.example',
          '+d.example',
          'event $6 not d.example',
          '-b.example',
          'event $7 also b.example',
          'event $8 not d.example',
        ])
      })
    })
  })
}
