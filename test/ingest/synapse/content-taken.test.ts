import { expect } from 'chai'
import type { Pool } from '../../../src/store/db.ts'
import { until } from '../../support/poll.ts'
import { limpetFor, parseReal, type Limpet } from './limpet.ts'
import { synapseTables, type SynapseTables, type Written } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'

describe('what Synapse takes away of its content', () => {
  let synapse: SynapseTables
  let limpet: Limpet
  const running: ReturnType<Limpet['follow']>[] = []

  beforeEach(async () => {
    synapse = await synapseTables({ version: '11' })
    limpet = limpetFor(synapse.pool, { parse: parseReal, nameOf: (id) => synapse.nameOf(id) })
    await member(1, alice, 'join')
    await member(2, bob, 'join')
    await synapse.finishedUpTo(2)
  })
  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop()
    await synapse.close()
  })
  /** From here on: a first start begins where Synapse is by then. */
  const follow = async (options?: Parameters<Limpet['follow']>[0]) => {
    running.push(limpet.follow(options))
    await limpet.reaches(2)
  }
  const says = (at: number, more: Partial<Written> = {}) => synapse.write({ at, sender: alice, ...more })
  const member = (at: number, user: string, membership: string, sender = user) =>
    synapse.write({ at, sender, member: { user, membership } })
  /** Somebody's redaction of the event at `target`. */
  const redacts = async (
    at: number,
    target: number,
    { recheck = false, ...more }: Partial<Written> & { recheck?: boolean } = {},
  ) => {
    await synapse.write({ at, sender: alice, type: 'm.room.redaction', ...more })
    const row = [synapse.idAt(at), synapse.idAt(target), recheck]
    await synapse.pool.query('insert into redactions (event_id, redacts, recheck) values ($1, $2, $3)', row)
  }
  const told = async (upTo: number) => {
    await synapse.finishedUpTo(upTo)
    await limpet.reaches(upTo)
    return limpet.lines
  }

  describe('redactions', () => {
    beforeEach(async () => {
      await follow()
    })

    it('of ours are passed on with the redacted form, after the redacting event', async () => {
      await says(3, { json: { msc4354_sticky: { duration_ms: 60_000 } } })
      await told(3)
      await redacts(4, 3)
      await says(5)
      expect((await told(5)).slice(1)).to.deep.equal(['event $3', 'event $4', `redact $3`, 'event $5'])
      const item = limpet.raw.find(({ type }) => type === 'redact') as { pdu: Record<string, unknown> }
      expect(item.pdu['content']).to.deep.equal({})
      expect(item.pdu).to.include({ sender: alice, type: 'm.room.message' })
      expect(item.pdu).not.to.have.any.keys('unsigned', 'msc4354_sticky')
    })

    it('by a remote moderator count, those of other servers’ events are no business of ours', async () => {
      await says(3)
      await synapse.write({ at: 4, sender: bob })
      await redacts(5, 3, { sender: bob })
      await redacts(6, 4, { sender: bob })
      expect((await told(6)).slice(1)).to.deep.equal(['event $3', 'redact $3'])
    })

    it('that anybody may send count for their own server’s events only', async () => {
      await says(3)
      const metadata = { recheck_redaction: true }
      await redacts(4, 3, { sender: bob, recheck: true, metadata })
      await redacts(5, 3, { sender: '@amy:a.example', recheck: true, metadata })
      await says(6)
      await redacts(7, 6, { sender: bob, recheck: true, metadata })
      // From before Synapse noted it: the column's default, and the event needed no second look.
      await says(8)
      await redacts(9, 8, { sender: bob, recheck: true })
      expect((await told(9)).slice(1)).to.deep.equal([
        ...['event $3', 'event $5', 'redact $3', 'event $6', 'event $8', 'redact $8'],
      ])
    })

    it('that were rejected, or of another room, or of a create event, do not', async () => {
      await says(3)
      await synapse.pool.query(`insert into rooms (room_id, room_version) values ('!other:a.example', '11')`)
      await redacts(4, 3, { sender: bob, rejected: true })
      await redacts(5, 3, { sender: bob, room: '!other:a.example' })
      await synapse.write({ at: 6, sender: alice, create: true, room: '!new:a.example' })
      await redacts(7, 6, { sender: bob, room: '!new:a.example' })
      await says(8)
      expect((await told(8)).filter((line) => line.startsWith('redact'))).to.deep.equal([])
    })

    it('that are there before the event is read let it go out in its redacted form only', async () => {
      await says(3)
      // A redaction that was backfilled has a negative ordering.
      await redacts(-5, 3, { sender: bob })
      await says(4)
      await redacts(5, 4)
      expect((await told(5)).slice(1)).to.deep.equal([
        ...['event $3', 'redact $3', 'event $4', 'event $5', 'redact $4'],
      ])
    })

    it('by a ban take all that its user sent before it was lifted (MSC4293)', async () => {
      await says(3)
      await synapse.write({ at: 4, sender: '@amy:a.example' })
      await says(5)
      await member(6, alice, 'ban', bob)
      await synapse.pool.query('insert into room_ban_redactions values ($1, $2, $3, null)', [
        ...[synapse.room, alice, synapse.idAt(6)],
      ])
      const lines = [...(await told(6))]
      expect(lines.filter((line) => line.startsWith('redact')).sort()).to.deep.equal([
        'redact $1',
        'redact $3',
        'redact $5',
      ])
      await synapse.pool.query('update room_ban_redactions set redact_end_ordering = 7')
      await member(7, alice, 'leave', bob)
      await member(8, alice, 'join')
      await says(9)
      expect((await told(9)).slice(lines.length)).to.deep.equal(['event $8', 'event $9'])
    })
  })

  describe('redactions by two bans, of which Synapse notes the later only', () => {
    const amy = '@amy:a.example'
    const ban = async (at: number, membership = 'ban') => {
      const json = { content: { membership, 'org.matrix.msc4293.redact_events': true } }
      await synapse.write({ at, sender: amy, member: { user: alice, membership }, json })
      await synapse.pool.query(
        `insert into room_ban_redactions values ($1, $2, $3, null)
         on conflict (room_id, user_id) do update set redacting_event_id = excluded.redacting_event_id, redact_end_ordering = null`,
        [synapse.room, alice, synapse.idAt(at)],
      )
    }
    const redactsOf = (lines: readonly string[]) => lines.filter((line) => line.startsWith('redact')).sort()
    beforeEach(async () => {
      await follow()
      await says(3)
      await told(3)
    })

    it('are there once, and both bans go out', async () => {
      await ban(4, 'leave')
      await ban(5)
      const lines = (await told(5)).slice(2)
      expect(lines.filter((line) => line.startsWith('event'))).to.deep.equal(['event $4', 'event $5'])
      expect(redactsOf(lines)).to.deep.equal(['redact $1', 'redact $3'])
    })

    it('do not wait for the later one to be finished', async () => {
      await ban(4, 'leave')
      await ban(5)
      expect(redactsOf(await told(4))).to.deep.equal(['redact $1', 'redact $3'])
    })

    it('are not lost where the later one was backfilled, and has no place in the stream', async () => {
      await ban(4)
      await ban(-7)
      expect(redactsOf(await told(4))).to.deep.equal(['redact $1', 'redact $3'])
    })

    it('are not lost where the later one was rejected; what it would redact besides stays', async () => {
      await ban(4, 'leave')
      await member(5, alice, 'join')
      await says(6)
      await ban(7)
      await synapse.pool.query(`update events set rejection_reason = 'no' where stream_ordering = 7`)
      expect(redactsOf(await told(7))).to.deep.equal(['redact $1', 'redact $3'])
    })

    it('are none where the later ban asks for none and the first was lifted', async () => {
      await ban(4)
      await synapse.pool.query('update room_ban_redactions set redact_end_ordering = 5')
      await member(5, alice, 'leave', amy)
      await member(6, alice, 'join')
      await says(7)
      await member(8, alice, 'ban', amy)
      expect(redactsOf(await told(8))).to.deep.equal(['redact $1', 'redact $3'])
    })
  })

  describe('purges of a room’s history, before limpet has read it', () => {
    const amy = '@amy:a.example'
    const SKIPPED = 'Synapse: skipped an event: its room’s history was purged first'
    const skipped = () => limpet.logged.filter((message) => message === SKIPPED).length
    beforeEach(() => follow())

    it('leave a record of each event that is not sent, once', async () => {
      await says(3)
      await member(4, amy, 'join')
      await says(5)
      // As the admin API's purge does: what is local stays, as an outlier, and its state goes.
      for (const at of [3, 4]) {
        await synapse.pool.query('update events set outlier = true where event_id = $1', [synapse.idAt(at)])
        await synapse.pool.query('delete from event_to_state_groups where event_id = $1', [synapse.idAt(at)])
      }
      expect((await told(5)).slice(1)).to.deep.equal(['event $5'])
      expect(skipped()).to.equal(2)
    })

    it('are not what made outliers of events that Synapse fetched, or that are not sent in any case', async () => {
      const fetched = { user: amy, membership: 'join', current: false }
      await synapse.write({ at: 3, sender: amy, member: fetched, outlier: true })
      await says(4)
      // The state that a join brought names the event, after it.
      await synapse.pool.query(
        `insert into current_state_delta_stream values (4, $1, 'm.room.member', $2, $3, null, 'master')`,
        [synapse.room, amy, synapse.idAt(3)],
      )
      const away = { out_of_band_membership: true }
      await synapse.write({ at: 5, sender: amy, type: 'm.room.member', outlier: true, metadata: away })
      await says(6)
      expect((await told(6)).slice(1)).to.deep.equal(['event $4', 'event $6'])
      expect(skipped()).to.equal(0)
    })
  })

  describe('what an invite says of its room', () => {
    const invite = async (at: number, bytes: number) => {
      const unsigned = { age_ts: 1, invite_room_state: [{ content: { name: 'x'.repeat(bytes) } }] }
      const user = `@carol${at}:c.example`
      await synapse.write({ at, sender: alice, member: { user, membership: 'invite' }, json: { unsigned } })
    }
    const unsigned = () =>
      limpet.raw
        .filter(({ type }) => type === 'event')
        .map(({ pdu }) => Object.keys((pdu as { unsigned: object }).unsigned))

    it('stays out of it where a receiver would refuse the invite for its size', async () => {
      await follow()
      await invite(3, 64_000)
      await invite(4, 65_536)
      await invite(5, 5_000_000)
      expect((await told(5)).slice(1)).to.deep.equal(['event $3', 'event $4', 'event $5'])
      expect(unsigned()).to.deep.equal([['invite_room_state'], [], []])
    })
  })

  describe('purges', () => {
    const TABLES = ['events', 'event_json', 'room_memberships', 'current_state_events', 'rooms']
    const purge = async () => {
      for (const table of TABLES)
        await synapse.pool.query(`delete from ${table} where room_id = $1`, [synapse.room])
    }

    it('of a room are passed on when its row is gone, once', async () => {
      await follow()
      await says(3)
      await told(3)
      await purge()
      await synapse.lookedAt(8)
      await synapse.pool.query(`insert into rooms (room_id, room_version) values ('!other:a.example', '11')`)
      await synapse.write({ at: 4, sender: alice, room: '!other:a.example' })
      expect(await told(4)).to.deep.equal([
        'set b.example',
        'event $3',
        `purge ${synapse.room}`,
        'set',
        'event $4 to nobody',
      ])
    })

    it('are passed on where each look finds something new, too', async () => {
      const other = '!other:a.example'
      await synapse.pool.query(`insert into rooms (room_id, room_version) values ($1, '11')`, [other])
      await says(3)
      await synapse.finishedUpTo(3)
      await purge()
      let at = 3
      const query = synapse.pool.query.bind(synapse.pool) as (...given: unknown[]) => unknown
      const busy = Object.create(synapse.pool) as Pool
      busy.query = (async (...given: unknown[]) => {
        if (String(given[0]).includes('stream_positions') && limpet.token() !== null) {
          at += 1
          await synapse.write({ at, sender: alice, room: other })
          await synapse.finishedUpTo(at)
        }
        return query(...given)
      }) as unknown as Pool['query']
      limpet = limpetFor(busy, { parse: parseReal })
      limpet.tell(synapse.room)
      running.push(limpet.follow())
      const purged = `purge ${synapse.room}`
      await until(() => limpet.lines.includes(purged) || at > 50, { what: 'the purge' })
      expect(limpet.lines).to.include(purged)
    })

    it('wait a while, so that the leaves just before them still reach the servers that are up', async () => {
      await follow({ graceMs: 600_000 })
      await says(3)
      await told(3)
      await purge()
      await synapse.lookedAt(8)
      expect(limpet.lines).to.deep.equal(['set b.example', 'event $3'])
    })

    it('come before what is said in the room when it begins anew, with the servers of now', async () => {
      await follow({ graceMs: 600_000 })
      await says(3)
      await told(3)
      await purge()
      await synapse.lookedAt(8)
      await synapse.pool.query('insert into rooms (room_id, room_version) values ($1, $2)', [
        synapse.room,
        '11',
      ])
      await synapse.write({ at: 4, sender: alice, create: true, parents: [] })
      await member(5, alice, 'join')
      await member(6, '@carol:c.example', 'join')
      await says(7)
      expect((await told(7)).slice(2)).to.deep.equal([
        `purge ${synapse.room}`,
        'set',
        'event $4 to nobody',
        'event $5',
        '+c.example',
        'event $7',
      ])
    })

    it('are no purges where we left a room and came back', async () => {
      await follow()
      await says(3)
      await told(3)
      await member(4, alice, 'leave')
      await synapse.pool.query(
        `insert into current_state_delta_stream
           select 4, room_id, type, state_key, null, event_id, 'master' from current_state_events where state_key = $1`,
        [bob],
      )
      await synapse.pool.query('delete from current_state_events')
      await synapse.write({ at: 5, sender: bob, create: true, outlier: true })
      await member(6, '@carol:c.example', 'join')
      await member(7, alice, 'join')
      await says(8)
      expect((await told(8)).slice(2)).to.deep.equal([
        ...['event $4', '-b.example', '+c.example', 'event $7 also b.example', 'event $8 also b.example'],
      ])
    })
  })
})
