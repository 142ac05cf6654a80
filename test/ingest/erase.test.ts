/** Contract 3: what is erased is gone everywhere, in the commit that says so, and what comes later is as any. */
import { expect } from 'chai'
import { findEvent } from '../../src/store/views/event-facts.ts'
import { wasErased } from '../../src/store/views/erased.ts'
import { makeContentWorld, type ContentWorld } from './content-world.ts'
import { event, OURS, purge, redact, request, servers, sticky, type GivenEvent } from './ingest-world.ts'

const BOB = `@bob:${OURS}`
const ELSEWHERE = '!elsewhere:a.example'
const erase = (...events: GivenEvent[]) => ({ type: 'erase', event_ids: events.map((one) => one.event_id) })
const eraseSender = (sender = BOB) => ({ type: 'erase', sender })

describe('an erasure', () => {
  let world: ContentWorld
  beforeEach(async () => {
    world = await makeContentWorld()
    await world.take([servers({ set: ['b.example', 'c.example'] })])
  })
  afterEach(() => world.close())

  const stored = async () =>
    (await world.rows<{ pos: number }>('select pos from events order by pos')).map(({ pos }) => pos)
  const stickies = () => world.value<number>('select count(*) from sticky')

  it('of events leaves nothing of them, and everything of others', async () => {
    const [gone, stuck, other] = [event(), sticky(), sticky()]
    await world.take([gone, stuck, other])
    await world.pool.query('insert into kept_events select * from events where pos in (2, 4)')
    const { ignored, accepted, position } = await world.take([erase(gone, stuck)])
    expect({ ignored, accepted, position }).to.deep.equal({ ignored: [], accepted: 1, position: 5 })
    for (const one of [gone, stuck]) expect(await world.holding(one)).to.deep.equal([])
    expect(await stored()).to.deep.equal([4])
    expect(await world.value('select array_agg(pos)::text from kept_events')).to.equal('{4}')
    expect(await stickies()).to.equal(1)
    expect((await world.take([gone, stuck])).duplicates, 'a repeat does not bring it back').to.equal(2)
    expect(await stored()).to.deep.equal([4])
  })

  it('of a sender takes what is stored now, in every room, and nothing that comes later', async () => {
    const mine = [event({ sender: BOB }), sticky({ sender: BOB, room: ELSEWHERE })]
    await world.take([...mine, event(), event({ sender: `@bobby:${OURS}` })])
    await world.pool.query('insert into kept_events select * from events where pos = 2')
    const later = event({ sender: BOB })
    await world.take([eraseSender(), later])
    for (const one of mine) expect(await world.holding(one)).to.deep.equal([])
    expect(await stored()).to.deep.equal([4, 5, 7])
    expect(await world.value('select count(*) from kept_events')).to.equal(0)
    expect(await world.holding(later)).to.deep.equal(['events'])
    await world.take([event({ sender: BOB })])
    expect(await stored()).to.deep.equal([4, 5, 7, 8])
  })

  it('of what its own request brought before it, and not of what it brings after', async () => {
    const [first, second, third, named] = [1, 2, 3, 4].map(() => sticky({ sender: BOB })) as [
      ...[GivenEvent, GivenEvent, GivenEvent, GivenEvent],
    ]
    const other = sticky()
    const request = [
      first,
      other,
      eraseSender(),
      second,
      servers({ add: ['d.example'] }),
      named,
      erase(named),
    ]
    const { ignored } = await world.take([...request, eraseSender(), third])
    expect(ignored).to.deep.equal([])
    expect(await stored()).to.deep.equal([3, 10])
    expect(await stickies()).to.equal(2)
    for (const one of [first, second, named]) expect(await world.holding(one)).to.deep.equal([])
  })

  it('of what came while it looked for what there is', async () => {
    const [before, meanwhile] = [event({ sender: BOB }), event({ sender: BOB })]
    await world.take([before])
    // It shares the commit, or comes before it, as it happens.
    await Promise.all([world.take([meanwhile]), world.take([eraseSender()])])
    const left = await stored()
    const at = await world.value<number>(`select pos from changes where kind = 'erase'`)
    expect(left).to.deep.equal(left.filter((pos) => pos > (at ?? 0)))
    expect(await world.holding(before)).to.deep.equal([])
  })

  it('of more than is read through at once, counted from where the log begins', async () => {
    const room = await world.value<number>('select id from rooms')
    await world.pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select 1000000 + n * 30000, $1, '$n' || n, case when n % 2 = 0 then '${BOB}' else 'x' end, '{}', 0 from generate_series(1, 10) n`,
      [room],
    )
    await world.pool.query('update stream set head = 1300000')
    await world.take([eraseSender()])
    expect(await stored()).to.deep.equal([1030000, 1090000, 1150000, 1210000, 1270000])
  })

  it('ends at once what its joins owe of it', async () => {
    await world.take([sticky({ sender: BOB })])
    await world.take([eraseSender(), servers({ add: ['d.example'] })])
    expect(await world.owed()).to.deep.equal([])
  })

  it('of something unknown is listed, and takes a position', async () => {
    const [told, purged] = [event(), event({ room: ELSEWHERE })]
    await world.take([told, purged, purge(ELSEWHERE)])
    const strange = { type: 'erase', event_ids: ['$strange', told.event_id, told.event_id, purged.event_id] }
    const { ignored, accepted, position } = await world.take([
      strange,
      eraseSender('@who:x.example'),
      erase(told),
    ])
    expect(ignored).to.deep.equal([
      { index: 0, value: '$strange' },
      { index: 0, value: purged.event_id },
      { index: 1, value: '@who:x.example' },
      { index: 2, value: told.event_id },
    ])
    expect([accepted, position]).to.deep.equal([3, 7])
    expect(await world.value(`select count(*) from changes where kind = 'erase'`)).to.equal(1)
    expect((await world.take([redact(told)])).ignored).to.deep.equal([{ index: 0, value: told.event_id }])
  })

  it('beside a redaction or a purge of the same, in either order', async () => {
    const [one, two] = [event({ sender: BOB }), event({ sender: BOB, room: ELSEWHERE })]
    const three = event({ sender: BOB })
    await world.take([one, two, three])
    const first = await world.take([redact(one), purge(ELSEWHERE), eraseSender(), redact(three), event()])
    expect(first.ignored).to.deep.equal([{ index: 3, value: three.event_id }])
    for (const gone of [one, two, three]) expect(await world.holding(gone)).to.deep.equal([])
    expect(await stored()).to.deep.equal([9])
    const again = event({ sender: BOB, room: ELSEWHERE })
    await world.take([again])
    expect((await world.take([eraseSender(), purge(ELSEWHERE)])).ignored).to.deep.equal([])
    expect((await world.take([eraseSender()])).ignored).to.deep.equal([{ index: 0, value: BOB }])
  })

  it('is taken with its whole request, or nothing of it is', async () => {
    const told = sticky({ sender: BOB })
    await world.take([told], { sourceToken: 't1' })
    const wrong = { ...redact(event()), event_id: told.event_id }
    const items = [eraseSender(), event(), erase(told)]
    const answers = await Promise.all([
      world.append(request(items, { ifSourceToken: 'another' })),
      world.append(request([wrong, ...items])),
      world.append(request([event()])),
    ])
    expect(answers.map(({ kind }) => kind)).to.deep.equal(['token_mismatch', 'invalid', 'taken'])
    expect(await stored()).to.deep.equal([2, 3])
    expect(await world.holding(told)).to.deep.equal(['events'])
    const taken = await world.take([eraseSender()], { ifSourceToken: 't1', sourceToken: 't2' })
    expect(taken.position).to.equal(4)
    expect(await world.holding(told)).to.deep.equal([])
    const repeated = await world.append(request([eraseSender()], { ifSourceToken: 't1', sourceToken: 't2' }))
    expect(repeated).to.deep.equal({ kind: 'token_mismatch', sourceToken: 't2' })
  })

  it('voids the open transactions that carry it, in the same commit, and no others', async () => {
    const [told, other] = [event({ sender: BOB }), event()]
    await world.take([told, other, servers({ add: ['d.example'] })])
    await world.freeze('b.example', [2, 3])
    await world.freeze('c.example', [3])
    await world.freeze('d.example', [2])
    await world.take([eraseSender()])
    expect(await world.open()).to.deep.equal([
      { name: 'b.example', void: true },
      { name: 'c.example', void: false },
      { name: 'd.example', void: true },
    ])
    const commits = await world.rows(
      `select xmin::text from changes where kind = 'erase' union select xmin::text from open_transactions where void`,
    )
    expect(commits, 'written by one transaction').to.have.length(1)
  })

  it('forbids to freeze what was read before it', async () => {
    await world.take([event(), event({ sender: BOB })])
    const readAt = await world.head()
    await world.take([eraseSender()])
    expect(await world.freeze('b.example', [2], readAt)).to.equal(false)
    expect(await world.freeze('b.example', [2])).to.equal(true)
  })

  it('is what explain says of its event, and of no other', async () => {
    const [told, other, purged] = [event({ sender: BOB }), event(), event({ room: ELSEWHERE })]
    await world.take([told, other, purged])
    await world.take([eraseSender(), purge(ELSEWHERE)])
    expect(await findEvent(world.pool, told.event_id)).to.equal(null)
    const said = [told, other, purged].map(({ event_id }) => wasErased(world.pool, event_id))
    expect(await Promise.all(said)).to.deep.equal([true, false, false])
  })
})
