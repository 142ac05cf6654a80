/** Unanswered transactions, whose bytes are by reference into the log, while their part of it goes. */
import { expect } from 'chai'
import { assembleTransaction } from '../../../src/matrix/transaction.ts'
import type { StoredAcknowledges } from '../../../src/store/delivery/destination.ts'
import { readOpenTexts } from '../../../src/store/delivery/open-texts.ts'
import { openGap } from '../../../src/store/delivery/gaps.ts'
import { readGapRooms } from '../../../src/store/delivery/gap-rooms.ts'
import { giveWay, registerWorker, type Held } from '../../../src/store/delivery/leases.ts'
import { freezeTransactions } from '../../support/freeze.ts'
import { event, HOUR, purge, redact, ROOM, servers } from '../../ingest/ingest-world.ts'
import { DAY, makeRetentionWorld, readTexts, SETTINGS, type RetentionWorld } from './retention-world.ts'
import { loadDestination, takeDestination } from '../../support/one.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const EDGE = 1_999_999
const MOST = { rows: 10, bytes: 1e9 }

describe('an unanswered transaction, when its part of the log goes', () => {
  let world: RetentionWorld
  let body: string
  let held: Held
  beforeEach(async () => {
    world = await makeRetentionWorld()
    await registerWorker(world.pool, { id: WORKER, name: 'w', leaseMs: 10 * DAY })
    await world.take([servers({ set: ['b.example'] }), servers({ set: ['b.example'] }, '!y:home.example')])
  })
  afterEach(() => world.close())

  const take = async () => {
    const taken = await takeDestination(world.pool, WORKER, 'b.example')
    if (taken.kind !== 'taken') throw new Error(`b is ${taken.kind}`)
    return (held = taken.held)
  }
  /** Freezes it with these positions and lets the destination go, as a turn does whose attempt failed. */
  async function freeze(acknowledges: Partial<StoredAcknowledges> & { positions: number[] }) {
    const texts = await readTexts(world.pool, acknowledges.positions)
    body = assembleTransaction({
      origin: 'home.example',
      originServerTs: 7,
      pduTexts: texts.map(({ pdu }) => pdu),
    })
    const whole = {
      lanes: '',
      eventIds: [],
      fromPos: 0,
      gap: null,
      gapCursor: null,
      closesGap: false,
      sticky: [],
    }
    const frozen = {
      ...{
        held,
        txnId: 'txn',
        bytes: Buffer.byteLength(body),
        originServerTs: 7,
        readAt: await world.head(),
        narrowedSeq: 0,
        soonestLapse: null,
        edusAs: null,
      },
      acknowledges: { ...whole, toPos: Math.max(...acknowledges.positions), ...acknowledges },
    }
    expect(await freezeTransactions(world.pool, [frozen])).to.not.deep.equal([null])
    await giveWay(world.pool, held, 0)
  }
  const load = async () => {
    const state = await loadDestination(world.pool, await take())
    if (state === null) throw new Error('b is gone')
    return state
  }
  const made = async () => {
    const { open, id } = await load()
    const texts = open === null || open.void ? null : await readOpenTexts(world.pool, id, open)
    if (open === null || texts === null) return null
    const { originServerTs } = open
    const pduTexts = texts.pdus.map(({ pdu }) => pdu)
    return assembleTransaction({ origin: 'home.example', originServerTs, pduTexts })
  }

  it('of the timeline keeps its bytes, and what it brings is not owed again by the gap behind it', async () => {
    const [first, second, elsewhere, third] = [event(), event(), event({ room: '!y:home.example' }), event()]
    await world.take([first, second, elsewhere, third])
    await take()
    await freeze({ positions: [3, 4, 5], lanes: 'ttt' })
    await world.passes(3 * HOUR)
    expect((await world.retain())?.dropped).to.have.length(1)
    expect((await world.holds()).kept, 'what it is made of, and what is owed beside').to.have.length(4)
    expect(await made()).to.equal(body)
    // As its answer writes it.
    await world.rows('update destinations set position = 5')
    await world.rows('delete from open_transactions')
    const { gap, id, position } = await load()
    expect({ gap, position }).to.deep.include({ position: 5, gap: { ...gap!, from: 0, to: EDGE, cursor: 5 } })
    const owed = (await readGapRooms(world.pool, id, gap!, MOST)).pdus
    expect(owed.map(({ eventId }) => eventId)).to.deep.equal([third.event_id])
    await giveWay(world.pool, held, 0)
    await world.passes(HOUR)
    await world.retain()
    expect((await world.holds()).kept, 'no more than that is kept then').to.deep.equal([third.event_id])
  })

  it('that would have closed its gap does not any more: the gap goes on where it was', async () => {
    const [first, second] = [event(), event({ room: '!y:home.example' })]
    await world.take([first, second])
    await take()
    await openGap(world.pool, held, { from: 0, to: 4 })
    const gap = await world.value<number>('select id from gaps')
    await freeze({ positions: [3, 4], lanes: 'cc', toPos: 4, gap: gap!, gapCursor: 4, closesGap: true })
    const third = event()
    await world.take([third])
    await world.passes(3 * HOUR)
    await world.retain()
    const { open, gap: now } = await load()
    expect(open?.acknowledges).to.include({ fromPos: 0, toPos: 0, gap, gapCursor: 4, closesGap: false })
    expect(now).to.include({ from: 0, to: EDGE, cursor: 0 })
    const left = (await readGapRooms(world.pool, held.destination, { ...now!, cursor: 4 }, MOST)).pdus
    expect(
      left.map(({ eventId }) => eventId),
      'after its answer',
    ).to.deep.equal([third.event_id])
  })

  it('with nothing but replays of the room’s past goes with the position of its destination', async () => {
    await world.take([event({ also: { not_to: ['b.example'] } })])
    await take()
    await freeze({ positions: [3], lanes: 's', toPos: 3 })
    await world.passes(3 * HOUR)
    await world.retain()
    expect(await made()).to.equal(body)
    const { position, open, gap } = await load()
    expect({ position, gap }).to.deep.equal({ position: EDGE, gap: null })
    expect(open?.acknowledges).to.include({ fromPos: EDGE, toPos: EDGE })
  })

  it('goes with its position where nothing else is owed either', async () => {
    await world.take([event()])
    await world.rows('update destinations set position = 3')
    await take()
    await freeze({ positions: [3], lanes: 's', fromPos: 3, toPos: 3 })
    await world.passes(3 * HOUR)
    await world.retain()
    const { position, open } = await load()
    expect([position, open?.acknowledges.fromPos, open?.acknowledges.toPos]).to.deep.equal([EDGE, EDGE, EDGE])
  })

  it('is not given up with what is too old: it goes on until it ends', async () => {
    await world.take([event(), event()])
    await take()
    await freeze({ positions: [4], lanes: 't' })
    const settings = { ...SETTINGS, newest_event_ms: HOUR }
    await world.passes(3 * HOUR)
    await world.retain({ settings })
    expect(await made()).to.equal(body)
    expect(await world.value(`select count(*) from counters where name = 'given_up:retention'`)).to.equal(0)
    await giveWay(world.pool, held, 0)
    await world.rows('delete from open_transactions')
    await world.passes(HOUR)
    await world.retain({ settings })
    expect((await world.holds()).kept).to.deep.equal([])
    expect(await world.value(`select value from counters where name = 'given_up:retention'`)).to.equal(1)
  })

  it('is void when what it is made of is redacted or purged where it is kept', async () => {
    const [first, second] = [event(), event({ room: '!y:home.example' })]
    await world.take([first, second])
    await take()
    await freeze({ positions: [3, 4], lanes: 'tt' })
    await world.passes(3 * HOUR)
    await world.retain()
    await world.take([redact(first)])
    expect(await made()).to.equal(null)
    await world.rows('update open_transactions set void = false')
    await world.take([purge('!y:home.example')])
    expect(await made()).to.equal(null)
    expect((await world.holds()).kept).to.deep.equal([first.event_id])
    await world.take([purge(ROOM)])
    expect((await world.holds()).kept).to.deep.equal([])
  })

  it('that is under way is not touched: the log waits for its answer', async () => {
    await world.take([event()])
    await take()
    await freeze({ positions: [3], lanes: 't' })
    await take()
    await world.passes(3 * HOUR)
    expect(await world.retain()).to.deep.equal({ dropped: [], waitsFor: 'destinations' })
    expect((await world.destination('b.example')).from).to.equal(null)
  })
})
