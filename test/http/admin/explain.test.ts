import { expect } from 'chai'
import { makeSituation, type EventOptions, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const MINUTE = 60_000
const D = 'd.example:8448'

interface Line {
  destination: string
  outcome: string
  as: string | null
  txn_id: string | null
  at: number | null
  why: string | null
}

describe('GET /v1/events/{event_id}', () => {
  let s: Situation
  let app: AdminApp
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
  })
  beforeEach(async () => {
    await s.reset()
    await s.server(D)
  })
  after(async () => {
    await app.close()
    await s.close()
  })

  const explain = async (pos = 5, query = '') => {
    const { status, body } = await app.get(`/v1/events/${encodeURIComponent(`$${pos}`)}${query}`)
    expect(status).to.equal(200)
    return body as unknown as { destinations: Line[] } & Record<string, unknown>
  }

  interface Case {
    story: string
    event?: EventOptions
    member?: [since: number, until: number | null] | null
    position?: number
    also?: () => Promise<unknown>
    expected: Partial<Line> | null
    why?: RegExp
  }

  const join = (upto: number, row = {}) => s.owe(D, 'a', { upto, ...row })
  const closed = (row = {}) => s.gap(D, 0, 9, { cursor: 9, closed_at: 99, ...row })

  const cases: Case[] = [
    {
      story: 'delivered in the timeline, with transaction and time',
      also: () => s.attempt(D, 1, { positions: [4, 5], lanes: 'tt', at: Date.now() }),
      expected: { outcome: 'delivered', as: 'timeline', txn_id: 'txn1', why: null },
    },
    {
      story: 'delivered in a catch-up',
      also: async () => {
        await closed()
        await s.attempt(D, 1, { positions: [4, 5], lanes: 'tc' })
      },
      expected: { outcome: 'delivered', as: 'catch_up', txn_id: 'txn1' },
    },
    {
      story: 'delivered as a sticky replay, the newest of two',
      event: { sticky: MINUTE },
      member: [7, null],
      also: async () => {
        await s.attempt(D, 1, { positions: [5], lanes: 's', at: Date.now() })
        await s.attempt(D, 2, { positions: [5], lanes: 's', at: Date.now() + 1 })
        await s.replay(D, 5, 'sent', { listed_at: 9 })
        await join(7)
      },
      expected: { outcome: 'delivered', as: 'sticky_replay', txn_id: 'txn2' },
    },
    {
      story: 'delivered with the error that the destination answered',
      also: () => s.attempt(D, 1, { positions: [5], lanes: 't', pdu_errors: { $5: 'no such room' } }),
      expected: { outcome: 'delivered', txn_id: 'txn1', why: 'it answered: no such room' },
    },
    {
      story: 'delivered, judged by the position alone once attempts have aged out',
      expected: { outcome: 'delivered', as: 'timeline', txn_id: null, at: null },
      why: /position is past/,
    },
    {
      story: 'delivered by catch-up as the newest of its room, without attempts',
      also: () => closed(),
      expected: { outcome: 'delivered', as: 'catch_up', txn_id: null },
    },
    {
      story: 'delivered as a replay, without attempts',
      event: { sticky: -1 },
      member: [7, null],
      also: () => s.replay(D, 5, 'sent', { listed_at: 9, at: 4 }),
      expected: { outcome: 'delivered', as: 'sticky_replay', at: 4 },
    },
    {
      story: 'not delivered by a failed attempt',
      position: 3,
      also: () => s.attempt(D, 1, { positions: [5], lanes: 't', outcome: 'failed', status: 502 }),
      expected: { outcome: 'pending', as: 'timeline', txn_id: null },
    },
    {
      story: 'acknowledged where the destination lists nothing',
      also: async () => {
        await s.change(D, { lists: false })
        await s.attempt(D, 1, { positions: [5], lanes: 't' })
      },
      expected: { outcome: 'acknowledged', as: 'timeline', txn_id: 'txn1' },
      why: /not confirmed/,
    },
    {
      story: 'acknowledged where the answer did not list it',
      also: () => s.attempt(D, 1, { positions: [5], lanes: 't', unlisted: [5] }),
      expected: { outcome: 'acknowledged', as: 'timeline', txn_id: 'txn1' },
      why: /without listing/,
    },
    {
      story: 'pending behind its position and what holds the destination',
      position: 3,
      also: () =>
        s.change(D, {
          failures: 3,
          retry_at: Date.now() + MINUTE,
          last_error: { kind: 'tls', message: 'certificate has expired' },
        }),
      expected: { outcome: 'pending', as: 'timeline', txn_id: null },
      why: /everything up to 3; this event is 5; the last 3 attempts failed \(certificate has expired\): next attempt at/,
    },
    {
      story: 'pending in an unanswered transaction',
      position: 3,
      also: () => s.open(D, { positions: [4, 5], lanes: 'tt' }, 'held'),
      expected: { outcome: 'pending', as: 'timeline', txn_id: 'open1' },
      why: /has not been answered yet; transaction open1 with 2 PDUs is under way \(attempt 1, by box-1\)$/,
    },
    {
      story: 'pending in an open gap of which it is the newest of its room',
      position: 0,
      also: () => s.gap(D, 0, 9, { cursor: 2 }),
      expected: { outcome: 'pending', as: 'catch_up' },
      why: /goes in stream order and has reached 2; catching up from 0 to 9/,
    },
    {
      story: 'pending in an open gap because it came for this destination alone',
      event: { alsoTo: [D] },
      member: null,
      position: 0,
      also: async () => {
        await s.event(6, 'a', { alsoTo: [D] })
        await s.gap(D, 0, 9)
      },
      expected: { outcome: 'pending', as: 'catch_up' },
    },
    {
      story: 'pending behind an open gap',
      position: 0,
      also: () => s.gap(D, 0, 4),
      expected: { outcome: 'pending', as: 'timeline' },
      why: /; catching up from 0 to 4/,
    },
    {
      story: 'pending and next, although no sweep has counted it yet',
      position: 3,
      expected: { outcome: 'pending', as: 'timeline' },
      why: /this event is 5; it goes out next$/,
    },
    {
      story: 'pending as a sticky replay for a join',
      event: { sticky: MINUTE },
      member: [7, null],
      also: () => join(7),
      expected: { outcome: 'pending', as: 'sticky_replay' },
      why: /joined the room after the event/,
    },
    {
      story: 'pending once more after a rejoin, though an answer had listed it before',
      event: { sticky: MINUTE },
      member: [7, null],
      also: async () => {
        await s.attempt(D, 1, { positions: [5], lanes: 's' })
        await s.replay(D, 5, 'sent', { listed_at: 6 })
        await join(7)
      },
      expected: { outcome: 'pending', as: 'sticky_replay' },
    },
    {
      story: 'pending as a sticky replay of an open gap',
      event: { sticky: MINUTE },
      position: 0,
      also: async () => {
        await s.event(6, 'a')
        await s.gap(D, 0, 9)
        await s.owe(D, null, { after_pos: 0, upto: null })
      },
      expected: { outcome: 'pending', as: 'sticky_replay' },
    },
    {
      story: 'pending because an answer did not list it while it is sticky',
      event: { sticky: MINUTE },
      also: async () => {
        await s.attempt(D, 1, { positions: [5], lanes: 't', unlisted: [5] })
        await s.replay(D, 5, 'unlisted', { next_at: 1000, tries: 1 })
      },
      expected: { outcome: 'pending', as: 'sticky_replay', txn_id: 'txn1' },
      why: /did not list the event; it is sent again at 1970-01-01T00:00:01/,
    },
    {
      story: 'acknowledged where no answer listed it until it lapsed',
      event: { sticky: -1 },
      also: async () => {
        await s.attempt(D, 1, { positions: [5], lanes: 't', unlisted: [5] })
        await s.replay(D, 5, 'lapsed')
      },
      expected: { outcome: 'acknowledged', as: 'timeline', txn_id: 'txn1' },
    },
    {
      story: 'acknowledged where it left the room before the event could be repeated',
      event: { sticky: MINUTE },
      member: [0, 8],
      also: async () => {
        await s.attempt(D, 1, { positions: [5], lanes: 't', unlisted: [5] })
        await s.replay(D, 5, 'unlisted', { next_at: 1000, tries: 1 })
      },
      expected: { outcome: 'acknowledged', as: 'timeline', txn_id: 'txn1' },
    },
    {
      story: 'acknowledged where it was repeated often enough and never listed',
      event: { sticky: MINUTE },
      also: async () => {
        await s.change(D, { lists: false })
        await s.attempt(D, 1, { positions: [5], lanes: 's', unlisted: [5] })
        await s.replay(D, 5, 'sent', { listed_at: 9, tries: 6 })
      },
      expected: { outcome: 'acknowledged', as: 'sticky_replay', txn_id: 'txn1' },
    },
    {
      story: 'skipped by a catch-up that sent a newer event of the room',
      also: async () => {
        await s.event(6, 'a')
        await closed()
      },
      expected: { outcome: 'skipped', as: 'catch_up', at: 99 },
      why: /from 0 to 9 sent a newer event/,
    },
    {
      story: 'skipped already while the catch-up is open',
      position: 0,
      also: async () => {
        await s.event(6, 'a')
        await s.gap(D, 0, 9)
      },
      expected: { outcome: 'skipped', as: 'catch_up', at: null },
    },
    {
      story: 'skipped in an open catch-up, though sticky, where it has left the room',
      event: { sticky: MINUTE },
      member: [0, 8],
      position: 0,
      also: async () => {
        await s.event(6, 'a')
        await s.gap(D, 0, 9)
        await s.owe(D, null, { after_pos: 0, upto: null })
      },
      expected: { outcome: 'skipped' },
    },
    {
      story: 'delivered by an open catch-up that is past it',
      position: 0,
      also: () => s.gap(D, 0, 9, { cursor: 5 }),
      expected: { outcome: 'delivered', as: 'catch_up' },
    },
    {
      story: 'delivered where it is the last event that the position has reached',
      event: { sticky: MINUTE },
      position: 5,
      expected: { outcome: 'delivered', as: 'timeline' },
    },
    {
      story: 'not skipped for a newer event that it is not entitled to',
      also: async () => {
        await s.event(6, 'a', { notTo: [D] })
        await closed()
      },
      expected: { outcome: 'delivered', as: 'catch_up' },
    },
    {
      story: 'lapsed inside a catch-up',
      event: { sticky: -MINUTE },
      also: async () => {
        await s.event(6, 'a')
        await closed({ closed_at: Date.now() })
      },
      expected: { outcome: 'lapsed', as: 'sticky_replay' },
      why: /no longer sticky/,
    },
    {
      story: 'skipped, not lapsed, where it left the room while the event was sticky',
      event: { sticky: -MINUTE },
      member: [0, 8],
      also: async () => {
        await s.event(6, 'a')
        await closed({ closed_at: Date.now() - 2 * MINUTE })
      },
      expected: { outcome: 'skipped' },
    },
    {
      story: 'lapsed before a join replay got to it',
      event: { sticky: -1 },
      member: [7, null],
      also: () => join(7),
      expected: { outcome: 'lapsed', as: 'sticky_replay' },
    },
    {
      story: 'lapsed, as noted by the replay',
      event: { sticky: -1 },
      member: [7, null],
      also: () => s.replay(D, 5, 'lapsed', { at: 3 }),
      expected: { outcome: 'lapsed', as: 'sticky_replay', at: 3 },
    },
    {
      story: 'not entitled: left out by name',
      event: { notTo: [D] },
      expected: { outcome: 'not_entitled' },
      why: /not_to/,
    },
    { story: 'nobody’s business where it joined later', member: [7, null], expected: null },
    { story: 'nobody’s business where the event was for others', event: { to: [] }, expected: null },
  ]

  const always: [number, null] = [0, null]
  for (const { story, event, member = always, position = 20, also, expected, why } of cases) {
    it(story, async () => {
      if (member !== null) await s.member(D, 'a', member[0], member[1])
      await s.event(5, 'a', event)
      await s.change(D, { position })
      await also?.()
      const { destinations } = await explain()
      expect(destinations).to.have.length(expected === null ? 0 : 1)
      if (expected !== null) expect(destinations[0]).to.include({ destination: D, ...expected })
      if (why !== undefined) expect(destinations[0]?.why).to.match(why)
      // The sticky list has to come to the same verdict.
      const { body } = await app.get('/v1/sticky')
      const listed = (body as unknown as { sticky: { owed_to: string[]; delivered: number }[] }).sticky
      for (const one of listed) {
        expect(one.owed_to).to.deep.equal(expected?.outcome === 'pending' ? [D] : [])
        expect(one.delivered).to.equal(
          ['delivered', 'acknowledged'].includes(expected?.outcome ?? '') ? 1 : 0,
        )
      }
    })
  }

  it('says why a known destination is not entitled, when asked about it', async () => {
    await s.event(5, 'a', {})
    await s.event(6, 'a', { to: [] })
    await s.event(4, 'a', { sticky: -1 })
    const why = async (pos: number) => (await explain(pos, `?destination=${D}`)).destinations
    expect(await why(5)).to.deep.equal([
      {
        destination: D,
        outcome: 'not_entitled',
        as: null,
        txn_id: null,
        at: null,
        why: 'it was never in the room',
      },
    ])
    expect((await why(6))[0]?.why).to.match(/addressed only to other servers/)
    await s.member(D, 'a', 1, 3)
    expect((await why(5))[0]?.why).to.match(/left the room at 3/)
    await s.member(D, 'a', 8)
    expect((await why(4))[0]?.why).to.match(/joined the room at 8.*too late for a sticky replay/)
  })

  it('tells of the event itself and sorts destinations by name', async () => {
    await s.server('a.example:1')
    await s.member(D, 'a')
    await s.member('a.example:1', 'a')
    await s.event(5, 'a', { sticky: MINUTE })
    const { destinations, ...event } = await explain()
    expect(event).to.include({ event_id: '$5', room_id: '!a:us', position: 5 })
    expect((event['sticky_until'] as number) - (event['received'] as number)).to.equal(MINUTE)
    expect(destinations.map(({ destination }) => destination)).to.deep.equal(['a.example:1', D])
  })

  it('answers 404 for events and destinations it does not know, and says when one is gone', async () => {
    await s.insert('event_ids', { event_id: '$old', pos: 1, at: 1 })
    await s.event(5, 'a')
    const gone = await app.get('/v1/events/$old')
    expect(gone).to.deep.include({ status: 404 })
    expect(gone.body).to.include({ errcode: 'M_NOT_FOUND' })
    expect((gone.body as { error?: string }).error).to.match(/no longer in the log/)
    expect((await app.get('/v1/events/$nope')).status).to.equal(404)
    expect((await app.get('/v1/events/$5?destination=nope')).body).to.include({ errcode: 'M_NOT_FOUND' })
    expect((await app.get(`/v1/events/${encodeURIComponent('$a/b+c')}`)).body).to.include({
      errcode: 'M_NOT_FOUND',
    })
  })
})
