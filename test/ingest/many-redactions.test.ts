/**
 * Many redactions in one request: what they cost under the locks that everybody needs does not grow with their number
 * times the number of unanswered transactions (a moderator takes away all that somebody has ever written).
 */
import { expect } from 'chai'
import { lockContentShared } from '../../src/store/stream.ts'
import { holdTransaction } from '../support/hold.ts'
import { until } from '../support/poll.ts'
import { makeCountStatements } from './count-statements.ts'
import {
  event,
  makeIngestWorld,
  purge,
  redact,
  request,
  servers,
  sticky,
  type GivenEvent,
} from './ingest-world.ts'

const D = 'd.example:8448'

describe('many redactions in one request', () => {
  let world: Awaited<ReturnType<typeof makeIngestWorld>>
  let statementsOf: ReturnType<typeof makeCountStatements>
  beforeEach(async () => {
    world = await makeIngestWorld()
    statementsOf = makeCountStatements(world)
  })
  afterEach(() => world.close())

  it('take as many statements as few', async () => {
    const events = Array.from({ length: 60 }, () => event())
    await world.take([servers({ add: [D] }), ...events])
    const few = await statementsOf(events.slice(0, 2).map(redact))
    const many = await statementsOf(events.slice(2, 52).map(redact))
    expect(few).to.be.greaterThan(5)
    expect(many).to.equal(few)
    const left = await world.rows(`select from events where pdu like '%secret words%'`)
    expect(left).to.have.length(8)
    expect(await world.value(`select count(*) from changes where kind = 'redact'`)).to.equal(52)
  })

  it('between others, of one event twice, and of one that comes before in the request', async () => {
    const [first, second, third] = [sticky(), sticky(), event()]
    await world.take([first])
    const again = redact(first)
    await world.take([
      ...[redact(first), second, redact(second), event(), again, third, redact(third)],
      servers({ add: [D] }),
    ])
    expect(await world.rows(`select from events where pdu like '%secret words%'`)).to.have.length(1)
    expect(await world.owed(), 'nothing is sticky when it joins').to.deep.equal([])
    expect(await world.value(`select count(*) from changes where kind = 'redact'`)).to.equal(4)
  })

  it('what is sticky still is owed to who joins after them', async () => {
    const [first, second] = [sticky(), sticky()]
    await world.take([first, second, redact(first), servers({ add: [D] })])
    expect(await world.owed()).to.deep.equal([`${D} up to 4`])
  })

  it('of what a purge before them in the request forgot are of something unknown', async () => {
    const [old, fresh] = [event(), event()]
    await world.take([old])
    const { ignored } = await world.take([fresh, purge(), redact(old), redact(fresh)])
    expect(ignored.map(({ index }) => index)).to.deep.equal([2, 3])
  })

  it('of a request that is not taken make nothing void', async () => {
    const told = event()
    await world.take([servers({ add: [D] }), told])
    await world.pool.query(
      `insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions, lanes, from_pos, to_pos)
       select id, 't', 0, 10, 0, 0, gen_random_uuid(), '{2}', 't', 0, 2 from destinations`,
    )
    const late = request([redact(told)], { ifSourceToken: 'another' })
    const [refused, taken] = await Promise.all([world.append(late), world.append(request([event()]))])
    expect([refused.kind, taken.kind]).to.deep.equal(['token_mismatch', 'taken'])
    expect(await world.value('select void from open_transactions')).to.equal(false)
    await world.take([redact(told)])
    expect(await world.value('select void from open_transactions')).to.equal(true)
  })

  it('of events that limpet does not hold wait for no freeze, and hold up none', async () => {
    const strangers: GivenEvent[] = Array.from({ length: 20 }, () => event())
    const freezing = await holdTransaction(world.pool)
    try {
      await lockContentShared(freezing)
      const { ignored } = await world.take(strangers.map(redact))
      expect(ignored).to.have.length(20)
    } finally {
      await freezing.query('rollback')
      freezing.release()
    }
  })

  it('write the texts before they wait for a freeze, but not those of sticky events', async () => {
    const [plain, lasting] = [event(), sticky()]
    await world.take([plain, lasting])
    const freezing = await holdTransaction(world.pool)
    let taking: Promise<unknown> = Promise.resolve()
    try {
      await lockContentShared(freezing)
      taking = world.take([redact(plain), redact(lasting)])
      await until(
        async () => {
          const waits = await world.rows(
            `select from pg_locks where locktype = 'advisory' and not granted and objid = 1818848626`,
          )
          return waits.length > 0
        },
        { what: 'the redaction to wait for the content lock' },
      )
      // What it has written is locked, and nobody sees it yet.
      const free = await world.rows<{ event_id: string }>(
        'select event_id from events for update skip locked',
      )
      expect(free.map((row) => row.event_id)).to.deep.equal([lasting.event_id])
      expect(await world.rows(`select from events where pdu like '%secret words%'`)).to.have.length(2)
    } finally {
      await freezing.query('rollback')
      freezing.release()
      await taking
    }
    expect(await world.rows(`select from events where pdu like '%secret words%'`)).to.have.length(0)
    expect(await world.rows(`select from events where sticky_until is not null`)).to.have.length(0)
  })

  it('reach what retention kept of their events', async () => {
    const [kept, other] = [event(), event()]
    await world.take([kept, other])
    await world.pool.query('insert into kept_events select * from events where event_id = $1', [
      kept.event_id,
    ])
    await world.take([redact(kept), redact(other)])
    expect(await world.rows(`select from kept_events where pdu like '%secret words%'`)).to.have.length(0)
    expect(await world.value('select count(*) from kept_events')).to.equal(1)
  })
})
