/** EDUs in the admin API: how many wait, and what became of a to-device message. Rows are written by ingest, below its door. */
import { expect } from 'chai'
import { forgetGivenUp } from '../../../src/store/delivery/quarantine-acts.ts'
import { forgetOldSkips, wishToSkip } from '../../../src/store/delivery/skips.ts'
import { NOTHING_LEARNED } from '../../../src/store/isolation.ts'
import { ANSWERED, holdInTest, UNANSWERED } from '../../deliver/step-stage.ts'
import { makeEduWorld, other, toDevice, typing, type EduWorld } from '../../ingest/edu-world.ts'
import { event, servers } from '../../ingest/ingest-world.ts'
import { reachable } from '../../support/reachable.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const B = 'b.example'
const C = 'c.example'

interface Line {
  destination: string
  outcome: string
  txn_id: string | null
  why: string | null
}

describe('EDUs in the admin API', () => {
  let world: EduWorld
  let app: AdminApp
  beforeEach(async () => {
    world = await makeEduWorld({})
    app = makeAdminApp(world)
    await world.take([servers({ add: [B] }), servers({ room_id: '!other:home.example', add: [B, C] })])
  })
  afterEach(async () => {
    await app.close()
    await world.pool.end()
  })

  const destination = async (name = B) => (await app.get(`/v1/destinations/${name}`)).body
  const explain = async (id: string, query = '') =>
    (await app.get(`/v1/events/${encodeURIComponent(id)}${query}`)).body as unknown as {
      destinations: Line[]
    } & Record<string, unknown>
  const linesOf = async (id: string, query = '') =>
    (await explain(id, query)).destinations.map((line) => `${line.destination} ${line.outcome}`)
  async function send(name: string, answer = ANSWERED) {
    const it = await holdInTest(world.pool, name, { ...reachable(() => Promise.resolve(answer)) })
    await it.step()
    // The worker is gone, and another may come.
    await world.pool.query('update destinations set lease_owner = null')
    await world.pool.query('delete from workers')
  }

  it('pending_edus counts durable ones that are for it and wait, of lists and of rooms, and none else', async () => {
    await world.take([
      ...[toDevice('m1', [B]), toDevice('m2', [C]), toDevice('m3', [B, C]), typing(), event()],
      other({ durable: true, rooms: ['!room:home.example'] }),
      other({ durable: true, rooms: ['!room:home.example', '!other:home.example'] }),
      other({ durable: true, destinations: [B], ttl_ms: 1_000 }),
    ])
    expect(await destination()).to.include({ pending_edus: 5, pending_pdus: 1, state: 'sending' })
    expect((await destination())['reason']).to.equal('goes out next: 1 PDU and 5 EDUs')
    expect(await destination(C)).to.include({ pending_edus: 3, pending_pdus: 0, state: 'sending' })
    expect((await destination(C))['reason']).to.equal('goes out next: 3 EDUs')
    await world.pool.query(`update edus set expires_at = 1 where expires_at is not null and durable`)
    expect(await destination()).to.include({ pending_edus: 4 })
    await world.pool.query(
      `update edus set received_ts = received_ts - 31 * 86400000::bigint where who = 'm1'`,
    )
    expect(await destination()).to.include({ pending_edus: 3 })
    await send(B)
    expect(await destination()).to.include({ pending_edus: 0, state: 'idle', reason: 'nothing is owed' })
  })

  describe('in the list of destinations', () => {
    const listed = async (query = '') =>
      ((await app.get(`/v1/destinations${query}`)).body['destinations'] as Record<string, unknown>[]).map(
        (row) =>
          [
            row['destination'],
            row['state'],
            row['pending_edus'],
            row['pending_edus_capped'] ?? false,
          ] as const,
      )
    const states = async () => {
      const told = (await app.get('/v1/status')).body['destinations'] as Record<string, number>
      return { idle: told['idle'], sending: told['sending'] }
    }

    it('are counted, and who is owed nothing else is sending: in the row, where states are counted, and where one is asked for', async () => {
      await world.take([
        toDevice('m1', [B]),
        other({ durable: true, rooms: ['!room:home.example', '!other:home.example'] }),
        ...[typing(), other({ durable: true, destinations: ['never.example'] })],
      ])
      const all = [
        [B, 'sending', 2, false],
        [C, 'sending', 1, false],
        ['never.example', 'sending', 1, false],
      ]
      expect(await listed()).to.deep.equal(all)
      expect(await listed('?state=sending')).to.deep.equal(all)
      expect(await states()).to.deep.equal({ idle: 0, sending: 3 })
      for (const name of [B, C, 'never.example']) await send(name)
      const none = all.map(([name]) => [name, 'idle', 0, false])
      expect(await listed()).to.deep.equal(none)
      expect(await listed('?state=idle')).to.deep.equal(none)
      expect(await states()).to.deep.equal({ idle: 3, sending: 0 })
    })

    it('are said to be more than 20, and are not told where more than that came for others before', async () => {
      await world.take(
        Array.from({ length: 30 }, () => other({ durable: true, rooms: ['!room:home.example'] })),
      )
      await world.take([other({ durable: true, rooms: ['!other:home.example'] })])
      const all = [
        [B, 'sending', 20, true],
        [C, 'sending', null, false],
      ]
      expect(await listed()).to.deep.equal(all)
      expect(await listed('?state=sending')).to.deep.equal(all)
      expect(await states()).to.deep.equal({ idle: 0, sending: 2 })
      const { body } = await app.get('/v1/destinations')
      expect((body['destinations'] as { reason: string }[]).map(({ reason }) => reason)).to.deep.equal([
        'goes out next: at least 20 EDUs',
        'goes out next: EDUs',
      ])
    })

    it('that are set aside are among them', async () => {
      await world.take([toDevice('m1', [B])])
      await send(B)
      await world.pool.query(
        `insert into edus_apart (destination, pos, since, sure, next_at) select 1, pos, 5, true, 4000000000000 from edus`,
      )
      const isolation = JSON.stringify({ ...NOTHING_LEARNED, edusApart: true })
      await world.pool.query('update destinations set isolation = $1 where id = 1', [isolation])
      expect(await listed()).to.deep.equal([
        [B, 'sending', 1, false],
        [C, 'idle', 0, false],
      ])
      expect(await states()).to.deep.equal({ idle: 1, sending: 1 })
      expect(await destination()).to.include({ state: 'sending', pending_edus: 1 })
      expect((await destination())['reason']).to.equal(
        '1 EDU that it refuses is set aside (next try at 2096-10-02T07:06:40Z)',
      )
    })
  })

  it('an unanswered transaction says how many it holds, as the list of transactions does', async () => {
    await world.take([toDevice('m1', [B]), event(), typing()])
    await send(B, UNANSWERED)
    const shown = await destination()
    expect(shown['open_transaction']).to.include({ pdus: 1, edus: 2 })
    await world.pool.query('update destinations set failures = 0, retry_at = null')
    expect((await destination())['reason']).to.match(/^transaction \S+ with 1 PDU and 2 EDUs is unanswered/)
    const { body } = await app.get(`/v1/destinations/${B}/transactions`)
    expect((body['transactions'] as object[])[0]).to.include({ pdus: 1, edus: 2, outcome: 'failed' })
  })

  it('a to-device message is found by its message_id, and said to wait, to be under way, acknowledged', async () => {
    await world.take([toDevice('m0', [B]), toDevice('m1', [B, C])])
    const { destinations, ...head } = await explain('m1')
    expect(head).to.include({
      event_id: null,
      message_id: 'm1',
      room_id: null,
      position: 4,
      sticky_until: null,
    })
    expect(destinations.map(({ destination: name, outcome }) => [name, outcome])).to.deep.equal([
      [B, 'pending'],
      [C, 'pending'],
    ])
    expect(destinations[0]?.why).to.match(
      /^it has every such EDU up to \d+; this one is 4; it goes out next$/,
    )
    await send(B)
    await send(C, UNANSWERED)
    const later = (await explain('m1')).destinations
    expect(later[0]).to.include({ destination: B, outcome: 'acknowledged' })
    expect(later[1]).to.include({ destination: C, outcome: 'pending' })
    expect(later[1]?.txn_id).to.be.a('string')
    expect(later[1]?.why).to.match(/^it is in a transaction that has not been answered yet/)
    expect(JSON.stringify(later)).not.to.include('delivered')
    expect(await linesOf('m0', `?destination=${C}`)).to.deep.equal([`${C} not_entitled`])
    expect((await app.get('/v1/events/m9')).status).to.equal(404)
    expect((await app.get(`/v1/events/m1?destination=x.example`)).status).to.equal(404)
  })

  it('a message that an operator gave up is said to be skipped, and one that was acknowledged before is not', async () => {
    await world.take([toDevice('m1', [B])])
    await send(B)
    await world.take([toDevice('m2', [B])])
    const { body } = await app.post(`/v1/destinations/${B}/skip`, undefined, { dry_run: true })
    expect(body).to.deep.equal({ pending_pdus: 0, pending_sticky: 0, pending_edus: 1 })
    await wishToSkip(world.pool, { name: B, who: 'alice' })
    await send(B)
    await world.take([toDevice('m3', [B])])
    expect(await linesOf('m1')).to.deep.equal([`${B} acknowledged`])
    expect(await linesOf('m2')).to.deep.equal([`${B} skipped`])
    expect((await explain('m2')).destinations[0]?.why).to.equal(
      'an operator (alice) gave up what was owed up to 4',
    )
    expect(await linesOf('m3')).to.deep.equal([`${B} pending`])
  })

  it('of one that lasts for a time, or that another may have replaced, nothing more is said than is known', async () => {
    await world.take([toDevice('m1', [B], { ttl_ms: 60_000 }), toDevice('m2', [B], { key: 'k' })])
    await world.pool.query(`update edus set expires_at = 1 where who = 'm1'`)
    expect(await linesOf('m1')).to.deep.equal([`${B} lapsed`])
    await send(B)
    const [lapsed] = (await explain('m1')).destinations
    expect(lapsed?.why).to.match(/It lasts only for a time/)
    expect((await explain('m2')).destinations[0]?.why).to.match(/a later one with its key/)
  })

  describe('that was refused', () => {
    const message = async () => (await explain('m1')).destinations[0]
    /** The lane is past it, and it is out of it. */
    async function refuse(sure: boolean) {
      await world.take([toDevice('m1', [B], { ttl_ms: 3_600_000 })])
      await world.pool.query(
        `insert into edus_apart (destination, pos, since, sure, tries, next_at, status, message)
         select 1, pos, 5, $1, 2, 4000000000000, 500, 'no' from edus`,
        [sure],
      )
      await world.pool.query('update destinations set durable_pos = 3 where id = 1')
      const isolation = JSON.stringify({ ...NOTHING_LEARNED, edusApart: true })
      await world.pool.query('update destinations set isolation = $1 where id = 1', [isolation])
    }

    it('is said to be set aside, with what was answered; or to wait, where nothing is concluded', async () => {
      await refuse(true)
      expect(await message()).to.deep.equal({
        ...{ destination: B, outcome: 'set_aside', as: null, txn_id: null, at: 5 },
        why: 'it was refused (no), and tried 2 times since; it is tried alone, next at 2096-10-02T07:06:40.000Z',
      })
      await world.pool.query('update edus_apart set sure = false')
      expect(await message()).to.include({ outcome: 'pending', at: null })
      expect((await message())?.why).to.match(/^it was refused \(no\).*; nothing is concluded yet$/)
    })

    it('is said to be in the unanswered transaction with which it is tried, acknowledged after its answer, lapsed after its time', async () => {
      await refuse(true)
      await world.pool.query('update edus_apart set next_at = 0')
      await send(B, UNANSWERED)
      expect(await message()).to.include({ outcome: 'pending' })
      expect((await message())?.txn_id).to.be.a('string')
      await world.pool.query('update edus set expires_at = 1')
      await world.pool.query('update open_transactions set void = true')
      expect(await message()).to.include({ outcome: 'lapsed', at: 1 })
      await world.pool.query('update edus set expires_at = null')
      await world.pool.query('update destinations set retry_at = null')
      await world.pool.query('update open_transactions set void = false')
      await send(B)
      expect(await message()).to.include({ outcome: 'acknowledged' })
    })

    it('is said to be given up where an operator dropped it, for as long as it is stored', async () => {
      await refuse(true)
      expect((await app.post(`/v1/destinations/${B}/quarantine/edu-3/drop`)).status).to.equal(200)
      expect(await message()).to.include({ outcome: 'given_up' })
      await world.pool.query('update stream set log_floor = head')
      await forgetGivenUp(world.pool)
      expect(await message()).to.include({ outcome: 'given_up' })
      await world.pool.query('delete from edus')
      await forgetGivenUp(world.pool)
      expect(await world.rows('select pos from given_up')).to.deep.equal([])
    })

    it('is said to be skipped where an operator skipped it, for as long as it is stored', async () => {
      await refuse(true)
      await world.take([toDevice('m2', [B])])
      await wishToSkip(world.pool, { name: B, who: 'alice' })
      await send(B)
      expect(await world.rows('select pos from edus_apart')).to.deep.equal([])
      expect(await message()).to.include({ outcome: 'skipped' })
      expect((await message())?.why).to.equal('an operator (alice) gave up what was owed up to 4')
      await world.pool.query('update stream set log_floor = head')
      await forgetGivenUp(world.pool)
      await forgetOldSkips(world.pool)
      expect([await linesOf('m1'), await linesOf('m2')]).to.deep.equal([[`${B} skipped`], [`${B} skipped`]])
      await world.pool.query('delete from edus')
      await forgetGivenUp(world.pool)
      await forgetOldSkips(world.pool)
      expect(await world.rows('select upto from skips')).to.deep.equal([])
    })
  })

  it('one that was given twice has a line for each', async () => {
    await world.take([toDevice('m1', [B])])
    await send(B)
    await world.take([toDevice('m1', [B])])
    expect(await linesOf('m1')).to.deep.equal([`${B} acknowledged`, `${B} pending`])
  })
})
