import { expect } from 'chai'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const MINUTE = 60_000
const DAY = 86_400_000
const D = 'd.example:8448'
const path = `/v1/destinations/${D}`
type Rows = Record<string, unknown>[]

describe('the admin API', () => {
  let s: Situation
  let app: AdminApp
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
  })
  beforeEach(async () => {
    await s.reset()
    app.woken.length = 0
    app.queue.away = false
    await s.server(D)
  })
  after(async () => {
    await app.close()
    await s.close()
  })

  const destination = async (name = D) => {
    const { status, body } = await app.get(`/v1/destinations/${name}`)
    expect(status).to.equal(200)
    return body
  }
  const rowOf = async (columns = '*') =>
    (await s.pool.query<Record<string, unknown>>(`select ${columns} from destinations where name = $1`, [D]))
      .rows[0]!

  describe('one destination', () => {
    // Made when the test runs: the file may have been read many minutes before.
    const failing = () => ({
      ...{ failures: 2, failing_since: Date.now() - MINUTE, retry_interval: 10_000 },
      retry_at: Date.now() + 600_000,
    })
    const states: [story: string, make: () => Promise<unknown>, state: string, reason: RegExp][] = [
      ['nothing owed', () => Promise.resolve(), 'idle', /^nothing is owed$/],
      ['something owed', () => s.event(1, 'a'), 'sending', /^goes out next: 1 PDU$/],
      [
        'a request under way',
        () => s.open(D, { positions: [1], lanes: 't' }, 'held'),
        'sending',
        /transaction open1 with 1 PDU is under way \(attempt 1, by box-1\)/,
      ],
      [
        'an answer missing',
        () => s.open(D, { positions: [1], lanes: 't' }),
        'sending',
        /open1 with 1 PDU is unanswered and is sent again with the same id and bytes/,
      ],
      [
        'an answer missing while another process has just taken over',
        () => s.open(D, { positions: [1], lanes: 't' }, 'of another'),
        'sending',
        /open1 with 1 PDU is unanswered and is sent again/,
      ],
      [
        'bytes taken by a redaction',
        () => s.open(D, { positions: [1], lanes: 't', void: true }),
        'sending',
        /withdrawn because of a redaction, a purge or an operator's drop/,
      ],
      [
        'only a sticky event that an answer did not list',
        async () => {
          await s.event(1, 'a', { sticky: MINUTE })
          await s.change(D, { position: 1 })
          await s.replay(D, 1, 'unlisted', { next_at: Date.now() + MINUTE })
        },
        'sending',
        /^sent again at 20\S+ because an answer did not list it: 1 sticky event$/,
      ],
      ['an open gap', () => s.gap(D, 0, 9), 'catching_up', /^catching up from 0 to 9: 0 rooms to go/],
      [
        'failures, even in a gap',
        async () => {
          await s.gap(D, 0, 9)
          await s.change(D, { ...failing(), last_error: { kind: 'connect', message: 'connection refused' } })
        },
        'backing_off',
        /^the last 2 attempts failed \(connection refused\): next attempt at 20.*Z$/,
      ],
      [
        'a Retry-After',
        async () => {
          await s.event(1, 'a')
          await s.change(D, { hold_kind: 'retry_after', hold_until: Date.now() + MINUTE })
        },
        'backing_off',
        /^it asked for no requests before .* \(Retry-After\); owed: 1 PDU$/,
      ],
      [
        'a 410',
        () => s.change(D, { ...failing(), hold_kind: 'gone', hold_until: Date.now() + 999_999 }),
        'backing_off',
        /^it answered 410 \(gone\): next attempt at/,
      ],
      [
        'failures whose wait is over',
        () => s.change(D, { ...failing(), retry_at: 5 }),
        'idle',
        /^nothing is owed; the last 2 attempts failed$/,
      ],
      [
        'failures, but a wish to try now',
        () => s.change(D, { ...failing(), asked_at: 5 }),
        'idle',
        /nothing/,
      ],
      [
        'failures for longer than a month, even in a gap',
        async () => {
          await s.gap(D, 0, 9)
          await s.change(D, { ...failing(), failing_since: Date.now() - 31 * DAY })
        },
        'dead',
        /^it has failed since 20\S+Z, counts as dead and is tried once a week: the last 2 attempts failed: next attempt at 20.*Z$/,
      ],
      [
        'failures for longer than a month, but a wait that is over',
        () => s.change(D, { ...failing(), failing_since: Date.now() - 31 * DAY, retry_at: 5 }),
        'dead',
        /counts as dead and is tried once a week: it is due now$/,
      ],
      [
        'failures, and something sticky that would lapse before the next attempt',
        () => s.change(D, { ...failing(), deadline_at: Date.now() + MINUTE }),
        'backing_off',
        /^the last 2 attempts failed: next attempt at 20.*Z, before a sticky event lapses$/,
      ],
      [
        'a pause, even while it backs off',
        () => s.change(D, { ...failing(), paused: true }),
        'paused',
        /^paused by an operator until it is resumed$/,
      ],
    ]
    for (const [story, make, state, reason] of states) {
      it(`is ${state} with ${story}`, async () => {
        await s.member(D, 'a')
        await make()
        const view = await destination()
        expect(view['state']).to.equal(state)
        expect(view['reason']).to.match(reason)
        expect(view['next_attempt'] === null).to.equal(
          !/next attempt|no requests before/.test(String(view['reason'])),
        )
      })
    }

    it('has every field of the contract', async () => {
      const SINCE = Date.now() - MINUTE
      await s.member(D, 'a')
      await s.event(3, 'a', { sticky: MINUTE, receivedAgo: 5000 })
      await s.gap(D, 0, 9)
      await s.open(D, { positions: [3], lanes: 'c', attempt: 2 }, 'held')
      await s.change(D, {
        failures: 1,
        failing_since: SINCE,
        last_attempt: 12,
        last_success: 13,
        retry_at: 14,
        retry_interval: 5000,
        last_error: { kind: 'http', status: 502, message: 'bad gateway', at: 12 },
        // What the last sweep counted is not what a single destination shows.
        pending_pdus: 77,
      })
      const { oldest_pending_ms, in_flight, open_transaction, reason, ...rest } = await destination()
      expect(rest).to.deep.equal({
        destination: D,
        state: 'catching_up',
        position: 0,
        head: 3,
        pending_pdus: 1,
        pending_sticky: 0,
        pending_edus: 0,
        gap: { from: 0, to: 9, rooms_left: 1 },
        quarantined: 0,
        failing_since: SINCE,
        last_attempt: 12,
        next_attempt: null,
        retry_interval_ms: 5000,
        last_error: { kind: 'http', status: 502, message: 'bad gateway', at: 12 },
        last_success: 13,
      })
      expect(oldest_pending_ms).to.be.within(5000, 5000 + 2 * MINUTE)
      expect(in_flight).to.deep.include({ txn_id: 'open1', attempt: 2, process: 'box-1' })
      expect(open_transaction).to.deep.include({ txn_id: 'open1', attempt: 2, pdus: 1, edus: 0, void: false })
      expect(reason).to.match(/under way/)
    })

    it('is exact up to 10,000 and says so beyond', async () => {
      await s.member(D, 'a')
      await s.event(10_001, 'a')
      await s.pool.query(`
        insert into events (pos, room, event_id, sender, pdu, received_ts)
        select n, room, 'x' || n, sender, pdu, received_ts from events, generate_series(1, 9999) n where pos = 10001`)
      expect(await destination())
        .to.deep.include({ pending_pdus: 10_000 })
        .and.not.have.property('pending_capped')
      await s.event(10_002, 'a')
      expect(await destination()).to.include({ pending_pdus: 10_000, pending_capped: true })
    })

    it('lists rooms and attempts, the newest attempt first', async () => {
      await s.member(D, 'a')
      await s.event(1, 'a')
      await s.attempt(D, 1, { at: 5, positions: [1], lanes: 't', outcome: 'failed', status: 502 })
      await s.attempt(D, 2, { at: 6, positions: [1], lanes: 't', pdu_errors: { $1: 'no' }, edus: 0 })
      expect((await app.get(`${path}/rooms`)).body).to.deep.equal({
        rooms: [{ room_id: '!a:us', pending_pdus: 1, latest_position: 1, pending_sticky: 0 }],
        total: 1,
      })
      expect((await app.get(`${path}/transactions?limit=1`)).body).to.deep.equal({
        transactions: [
          {
            txn_id: 'txn2',
            at: 6,
            duration_ms: 12,
            pdus: 1,
            edus: 0,
            outcome: 'answered',
            status: 200,
            message: null,
            pdu_errors: { $1: 'no' },
          },
        ],
        total: 2,
        next_token: '1',
      })
      expect((await app.get(`${path}/transactions?dir=f&from=1`)).body).to.deep.include({ total: 2 })
    })

    it('is 404 M_NOT_FOUND where it is not known, everywhere', async () => {
      for (const tail of ['', '/rooms', '/transactions']) {
        const { status, body } = await app.get(`/v1/destinations/nope.example${tail}`)
        expect([status, body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
      }
      for (const wish of ['wake', 'reset', 'pause', 'resume']) {
        expect((await app.post(`/v1/destinations/nope.example/${wish}`)).status).to.equal(404)
      }
    })
  })

  describe('the list of destinations', () => {
    const names = async (query: string) =>
      ((await app.get(`/v1/destinations?${query}`)).body['destinations'] as Rows).map(
        (row) => row['destination'],
      )

    beforeEach(async () => {
      await s.change(D, { pending_pdus: 7, oldest_pending: Date.now() - 5000 })
      await s.insert('cursors', { name: 'counted_at', pos: 99 })
      await s.server('a.Example:1', { paused: true, failing_since: Date.now() - MINUTE })
      await s.server('b.example:1', {
        failures: 1,
        retry_at: Date.now() + MINUTE,
        failing_since: Date.now() - 2 * MINUTE,
      })
      await s.server('c.org:1', { position: 3 })
    })

    it('shows what the last sweep counted, and when', async () => {
      const { body } = await app.get('/v1/destinations?order_by=pending_pdus&dir=b&limit=1')
      expect(body).to.include({ total: 4, next_token: '1', as_of: 99 })
      expect((body['destinations'] as Rows)[0]).to.include({
        destination: D,
        pending_pdus: 7,
        state: 'sending',
      })
    })

    it('orders by stored fields, forwards and backwards, those without a value last', async () => {
      expect(await names('')).to.deep.equal(['a.Example:1', 'b.example:1', 'c.org:1', D])
      expect(await names('order_by=destination&dir=b')).to.deep.equal([
        D,
        'c.org:1',
        'b.example:1',
        'a.Example:1',
      ])
      expect((await names('order_by=failing_since')).slice(0, 2)).to.deep.equal([
        'b.example:1',
        'a.Example:1',
      ])
      expect((await names('order_by=failing_since&dir=b')).slice(0, 2)).to.deep.equal([
        'a.Example:1',
        'b.example:1',
      ])
      expect((await names('order_by=oldest_pending_ms&dir=b'))[0]).to.equal(D)
    })

    it('filters by state and by part of a name, and pages through what is left', async () => {
      expect(await names('state=backing_off')).to.deep.equal(['b.example:1'])
      expect(await names('state=paused&search=example')).to.deep.equal(['a.Example:1'])
      expect(await names('state=sending')).to.deep.equal([D])
      expect(await names('state=catching_up')).to.deep.equal([])
      expect(await names('search=EXAMPLE')).to.have.length(3)
      expect(await names('search=%25')).to.deep.equal([])
      const seen: unknown[] = []
      for (let from: string | undefined = '0'; from !== undefined;) {
        const { body } = await app.get(`/v1/destinations?search=example&limit=2&from=${from}`)
        expect(body['total']).to.equal(3)
        seen.push(...(body['destinations'] as Rows).map((row) => row['destination']))
        from = body['next_token'] as string | undefined
      }
      expect(seen).to.deep.equal(['a.Example:1', 'b.example:1', D])
      expect((await app.get('/v1/destinations?from=50')).body).to.deep.include({ destinations: [], total: 4 })
    })

    it('refuses values that a parameter cannot have', async () => {
      for (const query of [
        ...['limit=0', 'limit=1001', 'limit=x', 'limit=-1', 'limit=1.5', 'from=-1', 'from=abc', 'dir=up'],
        ...['order_by=state', 'order_by=name', 'state=gone', 'state=', 'limit=1&limit=2', 'from='],
      ]) {
        const { status, body } = await app.get(`/v1/destinations?${query}`)
        expect([query, status, body['errcode']]).to.deep.equal([query, 400, 'M_INVALID_PARAM'])
      }
    })
  })

  describe('what operators do', () => {
    it('wakes: an attempt now, with failures kept', async () => {
      await s.change(D, { failures: 3, retry_at: 1e15, failing_since: 1, quick: false })
      const before = await s.now()
      expect(await app.post(`${path}/wake`)).to.deep.equal({ status: 200, body: {} })
      const after = await s.now()
      const row = await rowOf()
      expect(row).to.include({ failures: 3, retry_at: 1e15, failing_since: 1, wake_seq: 1 })
      expect(row['asked_at']).to.be.within(before, after)
      expect(row['look_at']).to.be.within(before, after)
      expect(app.woken).to.deep.equal([{ destination: D, queue: 'recovery' }])
      const { rows } = await s.pool.query('select who, action, target from audit')
      expect(rows).to.deep.equal([{ who: 'alice', action: 'wake', target: D }])
    })

    const refused: [string, Record<string, unknown>, string, RegExp][] = [
      ['paused', { paused: true }, 'M_LIMPET_PAUSED', /is paused: resume it/],
      [
        'held',
        { hold_kind: 'retry_after', hold_until: 4e12 },
        'M_LIMPET_HELD',
        /before 2096.*Retry-After.*reset/,
      ],
    ]
    for (const [story, columns, errcode, message] of refused) {
      it(`does not wake one that is ${story}, and says so`, async () => {
        await s.change(D, columns)
        const { status, body } = await app.post(`${path}/wake`)
        expect(status).to.equal(409)
        expect(body['errcode']).to.equal(errcode)
        expect(body['error']).to.match(message)
        expect(await rowOf('wake_seq, asked_at')).to.deep.equal({ wake_seq: 0, asked_at: null })
        expect(app.woken).to.deep.equal([])
        expect((await s.pool.query('select from audit')).rows).to.have.length(0)
      })
    }

    it('wakes one that answered 410, and one whose Retry-After is over', async () => {
      await s.change(D, { hold_kind: 'gone', hold_until: 4e12 })
      expect((await app.post(`${path}/wake`)).status).to.equal(200)
      await s.change(D, { hold_kind: 'retry_after', hold_until: 5, quick: true })
      expect((await app.post(`${path}/wake`)).status).to.equal(200)
      expect(app.woken.map(({ queue }) => queue)).to.deep.equal(['recovery', 'delivery'])
    })

    it('resets: failures, 429 and 410 are forgotten, the last error stays', async () => {
      const error = { kind: 'http', status: 429 }
      await s.change(D, {
        ...{
          failures: 3,
          failing_since: 1,
          retry_at: 2,
          retry_interval: 3,
          hold_kind: 'retry_after',
          hold_until: 4e12,
        },
        ...{ advice_at: 4, advice_up: true, advice_after: 5, advice_step: 6, last_error: error },
      })
      expect((await app.post(`${path}/reset`)).status).to.equal(200)
      expect(await rowOf()).to.deep.include({
        ...{
          failures: 0,
          failing_since: null,
          retry_at: null,
          retry_interval: null,
          hold_kind: null,
          hold_until: null,
        },
        ...{
          advice_at: null,
          advice_up: false,
          advice_after: null,
          advice_step: null,
          last_error: error,
          wake_seq: 1,
        },
      })
      expect((await rowOf('look_at'))['look_at']).to.be.a('number')
      expect(app.woken).to.have.length(1)
    })

    it('pauses and resumes', async () => {
      expect((await app.post(`${path}/pause`)).status).to.equal(200)
      expect(await rowOf('paused, wake_seq, look_at')).to.deep.equal({
        paused: true,
        wake_seq: 1,
        look_at: null,
      })
      expect((await app.post(`${path}/resume`)).status).to.equal(200)
      expect(await rowOf('paused, wake_seq')).to.deep.equal({ paused: false, wake_seq: 2 })
      const { rows } = await s.pool.query<{ action: string }>('select action from audit order by id')
      expect(rows.map(({ action }) => action)).to.deep.equal(['pause', 'resume'])
    })

    it('has done it although the queue is away: the next sweep goes on from the row', async () => {
      app.queue.away = true
      expect((await app.post(`${path}/wake`)).status).to.equal(200)
      expect((await rowOf('wake_seq'))['wake_seq']).to.equal(1)
    })

    it('is for admin tokens only, looking is for read tokens too', async () => {
      for (const token of ['read-token', 'ingest-token']) {
        expect((await app.post(`${path}/wake`, token)).status).to.equal(403)
      }
      expect((await app.get('/v1/status', 'admin-token')).status).to.equal(200)
      expect((await app.get('/v1/status', 'ingest-token')).status).to.equal(403)
      expect((await app.get('/v1/status', 'nobody')).status).to.equal(401)
    })
  })

  it('gives totals, with every state', async () => {
    await s.change(D, {
      pending_pdus: 7,
      pending_sticky: 2,
      oldest_pending: Date.now() - 5000,
      counted_at: 99,
    })
    await s.server('b.example:1', { pending_pdus: 3, oldest_pending: Date.now() })
    await s.insert('cursors', { name: 'counted_at', pos: 99 })
    await s.server('c.example:1', { paused: true })
    await s.event(12, 'a')
    // Ahead, so that they are in the last ten seconds whenever that is asked.
    const at = Date.now() + 10 * MINUTE
    await s.attempt(D, 1, { positions: [1, 2, 3], lanes: 'ttt', at })
    await s.attempt(D, 2, { positions: [1, 2, 3], lanes: 'ttt', at, outcome: 'failed' })
    await s.attempt(D, 3, { positions: [1, 2, 3], lanes: 'ttt', at: 5 })
    const { oldest_pending_ms, ...rest } = (await app.get('/v1/status')).body
    expect(rest).to.deep.equal({
      server_name: 'us.example',
      version: '1.2.3',
      position: 12,
      destinations: {
        ...{ idle: 0, sending: 2, catching_up: 0, backing_off: 0, refused: 0 },
        ...{ paused: 1, blocked: 0, dead: 0 },
      },
      pending_pdus: 10,
      sticky_pending: 2,
      sent_per_second: 0.3,
      ...{ taken_per_second: null, pending_change_per_second: null, empty_in_ms: null },
      as_of: 99,
      own_trouble: [],
      sources: [],
    })
    expect(oldest_pending_ms).to.be.within(5000, 5000 + 2 * MINUTE)
  })

  it('says how fast the backlog changes between the last two counts, and when it is empty at that pace', async () => {
    const at = Date.now()
    await s.server('b.example:1', { pending_pdus: 600 })
    const count = (name: string, pos: number) => s.insert('cursors', { name, pos })
    await count('counted_at', at)
    await count('counted_head', 1500)
    await count('counted_pdus', 600)
    const pace = async () => {
      const { body } = await app.get('/v1/status')
      return [body['taken_per_second'], body['pending_change_per_second'], body['empty_in_ms']]
    }
    expect(await pace(), 'counted once').to.deep.equal([null, null, null])
    await count('counted_before_at', at - 30_000)
    await count('counted_before_head', 1200)
    await count('counted_before_pdus', 660)
    expect(await pace()).to.deep.equal([10, -2, 300_000])
    const change = (name: string, pos: number) =>
      s.pool.query('update cursors set pos = $2 where name = $1', [name, pos])
    await change('counted_before_pdus', 540)
    expect(await pace()).to.deep.equal([10, 2, null])
    await change('counted_before_at', at - 20 * MINUTE)
    expect(await pace(), 'nobody swept').to.deep.equal([null, null, null])
  })

  it('lists unexpired sticky events: to whom each is owed, and how many have it', async () => {
    await s.server('has.example:1', { position: 9 })
    for (const name of [D, 'has.example:1']) await s.member(name, 'a')
    await s.event(1, 'a', { sticky: MINUTE })
    await s.event(2, 'a', { sticky: 2 * MINUTE, alsoTo: [] })
    await s.event(3, 'a', { sticky: -1 })
    await s.event(4, 'b', { sticky: MINUTE })
    const list = async (query: string) => (await app.get(`/v1/sticky?${query}`)).body
    const all = await list('')
    expect(all['total']).to.equal(3)
    const [first] = all['sticky'] as Rows
    expect(first).to.include({
      event_id: '$1',
      room_id: '!a:us',
      sender: '@alice:us',
      position: 1,
      delivered: 1,
    })
    expect(first!['owed_to']).to.deep.equal([D])
    expect(first!['expires_at']).to.be.a('number')
    const ids = async (query: string) => ((await list(query))['sticky'] as Rows).map((row) => row['event_id'])
    expect(await ids('room_id=!b:us')).to.deep.equal(['$4'])
    expect(await ids('room_id=!nope:us')).to.deep.equal([])
    expect(await ids(`destination=${D}`)).to.deep.equal(['$1', '$2'])
    expect(await ids('destination=has.example:1')).to.deep.equal([])
    expect(await ids('order_by=expires_at&dir=b&limit=1')).to.deep.equal(['$2'])
    expect((await app.get('/v1/sticky?destination=nope')).status).to.equal(404)
  })

  it('refuses what has not come yet as unrecognized', async () => {
    const calls = [app.get('/_synapse/admin/v1/federation/destinations')]
    for (const { status, body } of await Promise.all(calls)) {
      expect([status, body['errcode']]).to.deep.equal([404, 'M_UNRECOGNIZED'])
    }
  })
})
