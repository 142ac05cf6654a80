/** What is set aside as operators see it: listed, tried, given up; and what is said of a destination and of an event meanwhile. */
import { expect } from 'chai'
import { forgetGivenUp } from '../../../src/store/delivery/quarantine-acts.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { until } from '../../support/poll.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const D = 'd.example:8448'
const path = `/v1/destinations/${D}`
const MINUTE = 60_000
const HOUR = 3_600_000
const SAID = 'answered 403 M_FORBIDDEN: no'
type Row = Record<string, unknown>
type Rows = Row[]

describe('the quarantine of a destination', () => {
  let s: Situation
  let app: AdminApp
  let roomA: string
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
  })
  beforeEach(async () => {
    await s.reset()
    app.woken.length = 0
    app.givenUp.length = 0
    await s.server(D, { quick: true })
    await s.server('other.example')
    for (const room of ['a', 'b']) await s.member(D, room)
    for (const pos of [1, 2, 3, 4, 5, 6]) await s.event(pos, pos % 2 === 0 ? 'b' : 'a')
    await s.change(D, { position: 6 })
    roomA = `room-${await s.room('a')}`
  })
  after(async () => {
    await app.close()
    await s.close()
  })

  /** Two of room b, alone; room a is held with 1 and 3, and 5 waits. */
  const makeQuarantine = async () => {
    const refused = { status: 403, message: SAID }
    await s.apart(D, 2, 'b', { since: 10, tries: 3, next_at: 4e12, ...refused })
    await s.apart(D, 4, 'b', { since: 20, next_at: 3e12 })
    for (const pos of [1, 3]) await s.apart(D, pos, 'a', { since: 30, next_at: null, ...refused })
    await s.wait(D, 'a', { cursor: 3, held_since: 30, tries: 1, next_at: 5e12 })
  }
  const list = async (query = '') => {
    const { status, body } = await app.get(`${path}/quarantine${query}`)
    expect(status).to.equal(200)
    return body as { quarantine: Rows; total: number; next_token?: string }
  }
  const ids = async (query = '') => (await list(query)).quarantine.map(({ id }) => id)
  const view = async () => (await app.get(path)).body
  const rowOf = async () =>
    (await s.pool.query<Record<string, unknown>>('select * from destinations where name = $1', [D])).rows[0]!
  const fate = async (pos: number) =>
    ((await app.get(`/v1/events/$${pos}?destination=${D}`)).body['destinations'] as Rows)[0]!
  const acts = async () => (await s.pool.query<Row>('select who, action, target from audit order by id')).rows
  const apart = async () =>
    (await s.pool.query<{ pos: number }>('select pos from apart order by pos')).rows.map(({ pos }) => pos)

  describe('is listed', () => {
    it('with what was answered and when it is tried next: each PDU that is tried alone, and each room', async () => {
      await makeQuarantine()
      await s.apart(D, 6, 'b', { grp: 1 })
      await s.apart('other.example', 5, 'a')
      const { quarantine, total } = await list()
      expect(total).to.equal(3)
      const none = { event_id: null, edu_type: null, status: null, message: null }
      expect(quarantine).to.deep.equal([
        {
          ...{ ...none, id: 'pdu-2', kind: 'pdu', event_id: '$2', room_id: '!b:us', since: 10, tries: 3 },
          ...{ next_try: 4e12, status: 403, message: SAID },
        },
        {
          ...{ ...none, id: 'pdu-4', kind: 'pdu', event_id: '$4', room_id: '!b:us', since: 20, tries: 0 },
          next_try: 3e12,
        },
        {
          ...{ ...none, id: roomA, kind: 'room', room_id: '!a:us', since: 30, tries: 1 },
          ...{ next_try: 5e12, status: 403, message: SAID },
        },
      ])
      expect((await view())['quarantined']).to.equal(3)
      const [first] = (await app.get(`/v1/destinations?search=d.example`)).body['destinations'] as Rows
      expect(first).to.include({ quarantined: 3 })
      expect((await app.get('/v1/destinations/other.example')).body['quarantined']).to.equal(1)
    })

    it('a page at a time, in an order', async () => {
      await makeQuarantine()
      expect(await ids('?order_by=next_try')).to.deep.equal(['pdu-4', 'pdu-2', roomA])
      expect(await ids('?order_by=tries&dir=b&limit=1')).to.deep.equal(['pdu-2'])
      expect(await list('?limit=2&from=2')).to.not.have.property('next_token')
      expect(await list('?limit=2')).to.include({ total: 3, next_token: '2' })
      expect((await app.get(`${path}/quarantine?order_by=pos`)).status).to.equal(400)
    })

    it('empty where there is nothing, and not of a destination that is not known', async () => {
      expect(await list()).to.deep.equal({ quarantine: [], total: 0 })
      expect((await app.get('/v1/destinations/nope/quarantine')).status).to.equal(404)
    })

    it('with the event id also where the event is only kept', async () => {
      await makeQuarantine()
      await s.pool.query(
        'insert into kept_events (pos, room, event_id, sender, pdu, received_ts) select pos, room, event_id, sender, pdu, received_ts from events where pos = 2',
      )
      await s.pool.query('delete from events where pos in (2, 4)')
      const { quarantine } = await list()
      expect(quarantine.slice(0, 2).map(({ event_id }) => event_id)).to.deep.equal(['$2', null])
      await s.pool.query('delete from kept_events')
    })
  })

  describe('is tried at once', () => {
    it('a PDU, or a room: a wish as a wake is, recorded', async () => {
      await makeQuarantine()
      const before = await s.now()
      for (const id of ['pdu-2', roomA])
        expect(await app.post(`${path}/quarantine/${id}/retry`)).to.deep.equal({ status: 200, body: {} })
      const next: Row = Object.fromEntries(
        (await list()).quarantine.map(({ id, next_try }) => [id as string, next_try]),
      )
      expect(next['pdu-4']).to.equal(3e12)
      for (const id of ['pdu-2', roomA]) expect(next[id]).to.be.within(before, before + MINUTE)
      const { wake_seq, narrowed_seq, asked_at, look_at } = await rowOf()
      expect([wake_seq, narrowed_seq]).to.deep.equal([2, 0])
      for (const at of [asked_at, look_at]) expect(at).to.be.within(before, before + MINUTE)
      expect(app.woken).to.deep.equal(Array(2).fill({ destination: D, queue: 'delivery' }))
      expect(await acts()).to.deep.equal([
        { who: 'alice', action: 'quarantine retry', target: `${D} pdu-2` },
        { who: 'alice', action: 'quarantine retry', target: `${D} ${roomA}` },
      ])
    })

    it('not what is not there: a suspect of a search, one that is tried with its room, what is no id', async () => {
      await makeQuarantine()
      await s.apart(D, 6, 'b', { grp: 1 })
      for (const verb of ['retry', 'drop'])
        for (const id of [
          'pdu-6',
          'pdu-1',
          'pdu-5',
          'room-999999',
          `room-${2 ** 31}`,
          '2',
          'pdu-02',
          'edu-2',
        ])
          expect(await app.post(`${path}/quarantine/${id}/${verb}`), `${verb} ${id}`).to.deep.include({
            status: 404,
            body: { errcode: 'M_NOT_FOUND', error: `${D} has no ${id} set aside` },
          })
      expect((await app.post('/v1/destinations/nope/quarantine/pdu-2/retry')).status).to.equal(404)
      expect((await app.post('/v1/destinations/other.example/quarantine/pdu-2/drop')).status).to.equal(404)
      expect([await acts(), app.woken, app.givenUp, (await apart()).length]).to.deep.equal([[], [], [], 5])
    })

    it('not where a wake would be refused, saying so, and nothing is changed', async () => {
      await makeQuarantine()
      const retry = () => app.post(`${path}/quarantine/pdu-2/retry`)
      await s.change(D, { paused: true })
      expect(await retry()).to.deep.include({ status: 409 })
      await s.change(D, { paused: false, hold_kind: 'retry_after', hold_until: Date.now() + HOUR })
      expect((await retry()).body).to.include({ errcode: 'M_LIMPET_HELD' })
      await s.change(D, { hold_until: 5 })
      const blocked = makeAdminApp(s, { vetDomain: () => 'it is blocked' })
      expect((await blocked.post(`${path}/quarantine/pdu-2/retry`)).body).to.include({
        errcode: 'M_LIMPET_BLOCKED',
      })
      await blocked.close()
      expect((await list()).quarantine[0]).to.include({ next_try: 4e12 })
      expect((await retry()).status).to.equal(200)
    })

    it('by an admin token only', async () => {
      await makeQuarantine()
      for (const verb of ['retry', 'drop'])
        expect((await app.post(`${path}/quarantine/pdu-2/${verb}`, 'read-token')).status).to.equal(403)
    })
  })

  describe('is given up', () => {
    it('a PDU: its row goes, counted and recorded, and no plan made before it is frozen', async () => {
      await makeQuarantine()
      const drop = () => app.post(`${path}/quarantine/pdu-2/drop`)
      expect(await drop()).to.deep.equal({ status: 200, body: {} })
      expect(await apart()).to.deep.equal([1, 3, 4])
      const { wake_seq, narrowed_seq, asked_at, look_at } = await rowOf()
      expect([wake_seq, narrowed_seq, asked_at]).to.deep.equal([1, 1, null])
      expect(look_at).to.be.a('number')
      expect(app.woken).to.deep.equal([{ destination: D, queue: 'delivery' }])
      expect(app.givenUp).to.deep.equal([1])
      const counter = await s.pool.query("select value from counters where name = 'given_up:operator'")
      expect(counter.rows).to.deep.equal([{ value: 1 }])
      expect(await acts()).to.deep.equal([{ who: 'alice', action: 'quarantine drop', target: `${D} pdu-2` }])
      const told = await fate(2)
      expect(told).to.include({ outcome: 'given_up', as: null, txn_id: null })
      expect(told['why']).to.equal('it was refused and set aside, and an operator (alice) gave it up')
      expect((await drop()).status, 'again').to.equal(404)
    })

    it('also one that no lane has come to: none sends it', async () => {
      await s.change(D, { position: 2 })
      await s.event(7, 'b', { sticky: HOUR })
      await s.apart(D, 4, 'b')
      await s.apart(D, 7, 'b', { lane: 's' })
      await s.replay(D, 7, 'unlisted', { next_at: 5, expires_at: 4e12, tries: 2 })
      // 3, 4, 5, 6 and 7 of the timeline; 7 as a sticky event.
      expect(await view()).to.include({ pending_pdus: 4, pending_sticky: 1 })
      for (const id of ['pdu-4', 'pdu-7'])
        expect((await app.post(`${path}/quarantine/${id}/drop`)).status).to.equal(200)
      expect(await view()).to.include({ pending_pdus: 3, pending_sticky: 0, quarantined: 0 })
      expect(await fate(4)).to.include({ outcome: 'given_up' })
      expect(await fate(7)).to.include({ outcome: 'given_up' })
      const { rows } = await s.pool.query('select pos, state, next_at from replays order by pos')
      expect(rows).to.deep.equal([
        { pos: 4, state: 'sent', next_at: null },
        { pos: 7, state: 'sent', next_at: null },
      ])
    })

    it('a held room: all that was set aside of it, and the rest goes on', async () => {
      await makeQuarantine()
      await s.event(7, 'a', { sticky: HOUR })
      await s.apart(D, 7, 'a', { lane: 's' })
      // Taken out when the log went on without the room; it was never sent.
      await s.apart(D, 5, 'a', { since: 40, next_at: null })
      await s.pool.query('update waiting_rooms set cursor = 5')
      await s.event(8, 'a')
      await s.change(D, { position: 8 })
      expect(await fate(8)).to.include({ outcome: 'held' })
      expect((await app.post(`${path}/quarantine/${roomA}/drop`)).status).to.equal(200)
      expect(app.givenUp).to.deep.equal([2])
      // A sticky event of the room is tried alone, and stays.
      expect(await apart()).to.deep.equal([2, 4, 5, 7])
      expect(
        (await s.pool.query('select cursor, held_since, tries, next_at from waiting_rooms')).rows,
      ).to.deep.equal([{ cursor: 5, held_since: null, tries: 0, next_at: null }])
      expect(await fate(1)).to.include({ outcome: 'given_up' })
      expect(
        (await s.pool.query<Row>('select pos, grp from apart where grp is not null')).rows,
      ).to.deep.equal([{ pos: 5, grp: 1 }])
      for (const pos of [5, 8]) expect(await fate(pos)).to.include({ outcome: 'pending' })
      expect((await app.post(`${path}/quarantine/${roomA}/drop`)).status).to.equal(404)
      await s.pool.query('update waiting_rooms set held_since = 5')
      expect((await app.post(`${path}/quarantine/${roomA}/drop`)).status, 'held for nothing').to.equal(200)
      expect(app.givenUp).to.deep.equal([2, 0])
    })

    it('takes an unanswered transaction that holds it away, and no other', async () => {
      await makeQuarantine()
      await s.open(D, { positions: [2], lanes: 'T' })
      const isVoid = async () => (await s.pool.query<Row>('select void from open_transactions')).rows
      await app.post(`${path}/quarantine/pdu-4/drop`)
      expect(await isVoid()).to.deep.equal([{ void: false }])
      await app.post(`${path}/quarantine/pdu-2/drop`)
      expect(await isVoid()).to.deep.equal([{ void: true }])
    })

    it('waits for what the holder of the destination writes, and goes by that', async () => {
      await makeQuarantine()
      const holder = await s.pool.connect()
      await holder.query('begin')
      await holder.query('select from destinations where name = $1 for update', [D])
      const drops = ['pdu-2', 'pdu-4'].map((id) => app.post(`${path}/quarantine/${id}/drop`))
      const waiting =
        "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
      await until(async () => (await s.pool.query(waiting)).rowCount === 2, { what: 'all of them to wait' })
      // One was answered meanwhile, and one is frozen once more.
      await holder.query('delete from apart where pos = 2')
      await holder.query(
        `insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions, lanes, from_pos, to_pos)
         values ($1, 'open1', 1, 2, 1, 1, gen_random_uuid(), '{4}', 'T', 0, 0)`,
        [s.idOf(D)],
      )
      await holder.query('commit')
      holder.release()
      expect((await Promise.all(drops)).map(({ status }) => status)).to.deep.equal([404, 200])
      expect((await s.pool.query<Row>('select void from open_transactions')).rows).to.deep.equal([
        { void: true },
      ])
      expect(app.givenUp).to.deep.equal([1])
    })

    it('with a blocked destination, saying so', async () => {
      await makeQuarantine()
      const blocked = makeAdminApp(s, { vetDomain: () => 'it is blocked' })
      const { body } = await blocked.post(`${path}/quarantine/pdu-2/drop`)
      expect([body, blocked.woken]).to.deep.equal([{ blocked: 'it is blocked' }, []])
      await blocked.close()
    })

    it('and the record goes with the log', async () => {
      await makeQuarantine()
      for (const id of ['pdu-2', 'pdu-4']) await app.post(`${path}/quarantine/${id}/drop`)
      await s.pool.query('update stream set log_floor = 3')
      await forgetGivenUp(s.pool)
      expect((await s.pool.query('select pos from given_up')).rows).to.deep.equal([{ pos: 4 }])
      await s.pool.query('update stream set log_floor = 0')
    })
  })

  describe('is said of the destination', () => {
    const reason = async () => (await view())['reason']

    it('what is set aside, and when it is tried; not as what goes next', async () => {
      await s.apart(D, 2, 'b', { next_at: 4e12 })
      expect(await reason()).to.equal('1 PDU that it refuses is set aside (next try at 2096-10-02T07:06:40Z)')
      await makeQuarantine2()
      expect(await reason()).to.equal(
        'goes out next: 1 PDU; 2 PDUs that it refuses are set aside and 1 room of which it refuses much is held (next try at 2065-01-24T05:20:00Z)',
      )
      const [row] = (await app.get('/v1/destinations?search=d.example')).body['destinations'] as Rows
      expect(row!['reason']).to.match(/^2 PDUs that it refuses are set aside and 1 room/)
    })
    const makeQuarantine2 = async () => {
      await s.apart(D, 4, 'b', { next_at: 3e12 })
      await s.apart(D, 1, 'a', { next_at: null })
      await s.wait(D, 'a', { cursor: 3, held_since: 30, next_at: 5e12 })
      await s.event(7, 'b')
    }

    it('a search: how many are suspects, and when the next part goes', async () => {
      for (const pos of [1, 2, 3]) await s.apart(D, pos, pos === 2 ? 'b' : 'a', { grp: 1 })
      const search = { since: 5, other: true, turn: 'half' as const, steps: [], unsure: 0, waitUntil: null }
      await s.learn(D, { search })
      const searching = 'it refuses some of 3 PDUs, which are sent in halves to find which'
      expect(await reason()).to.equal(`goes out next: 3 PDUs; ${searching}`)
      expect((await view())['quarantined']).to.equal(0)
      const waitUntil = Date.now() + HOUR
      await s.learn(D, { search: { ...search, unsure: 1, waitUntil } })
      expect(await reason()).to.match(/to find which, the next at 20\S+Z$/)
      await s.change(D, { failures: 1, failing_since: 5, retry_at: Date.now() + MINUTE })
      await s.change(D, { failing_since: Date.now() })
      expect(await reason()).to.match(
        /^the last attempt failed: next attempt at \S+; owed: 3 PDUs; it refuses/,
      )
    })

    it('refused, where it lets nobody in, before backing_off and after dead', async () => {
      await s.learn(D, { locked: 0, last: { status: 403, message: SAID } })
      const retry_at = Date.now() + HOUR
      await s.change(D, { failures: 3, failing_since: Date.now() - MINUTE, retry_at, retry_interval: HOUR })
      expect(await view()).to.include({ state: 'refused', next_attempt: retry_at })
      expect(await reason()).to.match(
        /^it refuses everything by 401 or 403, an empty transaction too \(answered 403 M_FORBIDDEN: no\): next attempt at 20/,
      )
      const named = async (state: string) =>
        ((await app.get(`/v1/destinations?state=${state}`)).body['destinations'] as Rows).map(
          ({ destination }) => destination,
        )
      expect([await named('refused'), await named('backing_off')]).to.deep.equal([[D], []])
      expect((await app.get('/v1/status')).body['destinations']).to.include({ refused: 1, backing_off: 0 })
      await s.change(D, { retry_at: 5 })
      expect(await reason()).to.match(/: it is due now$/)
      await s.change(D, { failing_since: 5 })
      expect(await view()).to.include({ state: 'dead' })
      await s.learn(D, { locked: null })
      await s.change(D, { failing_since: Date.now(), retry_at })
      expect(await view()).to.include({ state: 'backing_off' })
    })
  })

  describe('is said of an event', () => {
    it('set aside: what was answered, how often it was tried and when it is next', async () => {
      await makeQuarantine()
      expect(await fate(2)).to.deep.include({ outcome: 'set_aside', as: 'timeline', txn_id: null, at: 10 })
      expect((await fate(2))['why']).to.equal(
        `it was refused (${SAID}), and tried 3 times since; it is tried alone, next at 2096-10-02T07:06:40.000Z`,
      )
      expect((await fate(4))['why']).to.match(/^it was refused; it is tried alone/)
      expect((await fate(1))['why']).to.match(
        /^it was refused \(answered 403 .*\), as others of its room; they are tried together, next at 2128/,
      )
      await s.change(D, { paused: true })
      expect((await fate(2))['why']).to.match(/; paused by an operator until it is resumed$/)
    })

    it('held, or pending behind the search: what comes later in its room, also past the position', async () => {
      await makeQuarantine()
      const held = await fate(5)
      expect(held).to.include({ outcome: 'held', as: 'timeline', at: 30 })
      expect(held['why']).to.match(
        /^its room is held since 1970.*several events of it were refused; they are tried, next at/,
      )
      await s.pool.query('update waiting_rooms set held_since = null')
      expect(await fate(5)).to.include({
        outcome: 'pending',
        why: 'its room waits until what was refused of it is found',
      })
      // What went before is as it was.
      await s.pool.query('update waiting_rooms set cursor = 5')
      expect(await fate(5)).to.include({ outcome: 'delivered' })
    })

    it('pending, while it is a suspect; and in a transaction, whatever it is', async () => {
      await s.apart(D, 3, 'a', { grp: 2, lane: 'c' })
      expect(await fate(3)).to.include({ outcome: 'pending', as: 'catch_up' })
      await s.open(D, { positions: [3], lanes: 'C' })
      expect(await fate(3)).to.include({ outcome: 'pending', as: 'catch_up', txn_id: 'open1' })
    })

    it('delivered, where a transaction with it was answered after all', async () => {
      await s.attempt(D, 1, { positions: [2], lanes: 'T' })
      expect(await fate(2)).to.include({ outcome: 'delivered', as: 'timeline', txn_id: 'txn1' })
      await s.insert('given_up', { destination: s.idOf(D), pos: 2, who: 'alice', at: 5 })
      expect(await fate(2)).to.include({ outcome: 'delivered' })
    })

    it('of sticky events: owed to those who refuse them, and no more when that is given up', async () => {
      await s.event(7, 'a', { sticky: HOUR })
      await s.change(D, { position: 7 })
      await s.apart(D, 7, 'a', { lane: 's' })
      const owed = async () =>
        ((await app.get('/v1/sticky')).body['sticky'] as Rows).map(({ owed_to, delivered }) => [
          owed_to,
          delivered,
        ])
      expect(await owed()).to.deep.equal([[[D], 0]])
      expect((await app.get(`/v1/sticky?destination=${D}`)).body['total']).to.equal(1)
      await app.post(`${path}/quarantine/pdu-7/drop`)
      expect(await owed()).to.deep.equal([[[], 0]])
      expect((await app.get(`/v1/sticky?destination=${D}`)).body['total']).to.equal(0)
    })
  })
})
