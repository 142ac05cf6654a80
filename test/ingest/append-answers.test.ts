/** Contract 3: what a request is answered, sentence by sentence. */
import { expect } from 'chai'
import { event, makeIngestWorld, OURS, purge, redact, request, ROOM, servers, up } from './ingest-world.ts'
import type { IngestWorld } from './ingest-world.ts'

describe('a request that is taken', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
  })
  afterEach(() => world.close())

  const answer = (items: readonly object[]) => world.take(items)
  const plain = { kind: 'taken', duplicates: 0, ignored: [], unknownRooms: [] }
  const stored = () => world.value<number>('select count(*) from events')

  it('has one position an item, of whatever kind but server_up, and is answered the last', async () => {
    const told = event()
    expect(await answer([servers({ set: ['b.example'] }), told, event()])).to.deep.equal({
      ...plain,
      position: 3,
      accepted: 3,
    })
    const more = [redact(told), up('b.example'), servers({ add: ['c.example'] }), up('c.example'), purge()]
    expect(await answer(more)).to.deep.equal({ ...plain, position: 6, accepted: 5, ignored: [] })
    expect(await world.head()).to.equal(6)
  })

  it('is answered the head when it is empty, only advice, or wholly a duplicate', async () => {
    const told = [servers({ set: ['b.example'] }), event(), event()]
    await world.take(told)
    expect(await answer([])).to.deep.equal({ ...plain, position: 3, accepted: 0 })
    expect(await answer([up('b.example')])).to.deep.equal({ ...plain, position: 3, accepted: 1 })
    expect(await answer(told.slice(1))).to.deep.equal({ ...plain, position: 3, accepted: 0, duplicates: 2 })
    expect(await world.head()).to.equal(3)
  })

  it('counts duplicates, of before and within itself, and stores each event once with its first content', async () => {
    const [a, b, c] = [event(), event(), event()]
    await world.take([servers({ set: [] }), a])
    const other = { ...b, also_to: ['z.example'] }
    expect(await answer([b, a, other, c, c, c])).to.deep.equal({
      ...plain,
      position: 4,
      accepted: 2,
      duplicates: 4,
    })
    expect(await stored()).to.equal(3)
    const rows = await world.rows('select pos, event_id, recipients from events order by pos')
    expect(rows).to.deep.equal([
      { pos: 2, event_id: a.event_id, recipients: null },
      { pos: 3, event_id: b.event_id, recipients: null },
      { pos: 4, event_id: c.event_id, recipients: null },
    ])
    expect(await world.destinations(), 'a duplicate names nobody').to.deep.equal([])
  })

  it('is a duplicate also of a request that overlaps it, whichever commits first', async () => {
    const other = await makeIngestWorld({ url: world.url })
    try {
      await world.take([servers({ set: [] })])
      const events = Array.from({ length: 40 }, () => event())
      const taken = await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
          (n % 2 === 0 ? world : other).take(events.slice(n, n + 29), { source: `s${n}` }),
        ),
      )
      expect(await stored()).to.equal(40)
      const sum = (of: 'accepted' | 'duplicates') => taken.reduce((total, answer) => total + answer[of], 0)
      expect(sum('accepted')).to.equal(40)
      expect(sum('duplicates')).to.equal(12 * 29 - 40)
      expect(await world.head()).to.equal(41)
    } finally {
      await other.close()
    }
  })

  it('names the rooms nobody told it the servers of, once each, unless the event says exactly to whom', async () => {
    const [x, y, z] = ['!x:a.example', '!y:a.example', '!z:a.example']
    const { unknownRooms, accepted } = await world.take([
      event({ room: x }),
      event({ room: x }),
      event({ room: y, also: { to: ['b.example'] } }),
      event({ room: z, also: { also_to: ['b.example'] } }),
      event(),
      servers({ set: [] }),
      event(),
    ])
    expect(unknownRooms).to.have.members([x, z, ROOM])
    expect(accepted).to.equal(7)
    expect((await world.take([event(), event({ room: x })])).unknownRooms).to.deep.equal([x])
  })

  it('keeps an event of a room version that nobody knows, its id as given', async () => {
    const odd = { ...event(), room_version: 'org.example.7', event_id: '$as-given' }
    expect(await answer([servers({ set: [] }), odd])).to.include({ accepted: 2 })
    expect(await world.value('select event_id from events')).to.equal('$as-given')
    expect(await answer([{ ...redact(event()), event_id: '$as-given' }])).to.deep.include({ ignored: [] })
  })
})

describe('what is odd is left out and listed, and the rest is taken', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
    await world.take([servers({ set: ['b.example', 'c.example'] })])
  })
  afterEach(() => world.close())

  const BAD = 'not a name'
  const ignored = async (...items: object[]) => {
    const { ignored, accepted } = await world.take(items)
    expect(accepted, 'an item of which everything was ignored is accepted').to.equal(items.length)
    return ignored
  }
  const both = ['b.example (1, …]', 'c.example (1, …]']

  it('add of a server that is there: no join', async () => {
    await world.take([event({ stickyMs: 60_000 })])
    const list = await ignored(servers({ add: ['b.example', 'd.example', 'd.example'] }))
    expect(list).to.deep.equal([
      { index: 0, value: 'b.example' },
      { index: 0, value: 'd.example' },
    ])
    expect(await world.owed()).to.deep.equal(['d.example up to 3'])
    expect(await world.memberships()).to.deep.equal([...both, 'd.example (3, …]'])
  })

  it("remove of a server that isn't: no leave", async () => {
    const list = await ignored(
      servers({ remove: ['d.example', 'b.example', 'b.example'] }),
      servers({ remove: [] }),
    )
    expect(list).to.deep.equal([
      { index: 0, value: 'd.example' },
      { index: 0, value: 'b.example' },
    ])
    expect(await world.memberships()).to.deep.equal(['b.example (1, 2]', 'c.example (1, …]'])
    expect(await world.destinations(), 'nobody is made known by it').to.have.length(2)
  })

  it('an equal set: the room stands for it', async () => {
    expect(await ignored(servers({ set: ['c.example', 'b.example', 'c.example'] }))).to.deep.equal([
      { index: 0, value: ROOM },
    ])
    expect(await world.memberships()).to.deep.equal(both)
    expect(await world.rows('select pos from changes where pos > 1')).to.deep.equal([])
  })

  it('our own name and names that are no server names, wherever they stand', async () => {
    const names = [OURS, BAD, '', 'a..b', 'x'.repeat(231), 'host:99999', '\u{1f600}.example']
    const listed = (index: number) => names.map((value) => ({ index, value }))
    const rest = (index: number) => listed(index)
    expect(
      await ignored(
        servers({ add: names }),
        servers({ remove: names }),
        servers({ set: [...names, 'b.example'] }),
        event({ also: { to: [...names, 'e.example'] } }),
        event({ also: { also_to: ['e.example', ...names] } }),
        event({ also: { not_to: names } }),
      ),
    ).to.deep.equal([0, 1, 2, 3, 4, 5].flatMap(rest))
    expect(await world.memberships()).to.deep.equal(['b.example (1, …]', 'c.example (1, 4]'])
    const lists = await world.rows(
      'select e.pos, r.exact, cardinality(r.list) as n from events e left join recipients r on r.id = e.recipients order by e.pos',
    )
    expect(lists).to.deep.equal([
      { pos: 5, exact: true, n: 1 },
      { pos: 6, exact: false, n: 1 },
      { pos: 7, exact: null, n: null },
    ])
  })

  it('a set of which only odd names differ is an equal set', async () => {
    expect(await ignored(servers({ set: ['b.example', BAD, 'c.example'] }))).to.deep.equal([
      { index: 0, value: BAD },
      { index: 0, value: ROOM },
    ])
  })

  it('redact, purge and server_up of something unknown', async () => {
    const unknown = event()
    const list = await ignored(
      redact(unknown),
      purge('!none:a.example'),
      up('nobody.example'),
      up(OURS),
      up(BAD),
    )
    expect(list).to.deep.equal([
      { index: 0, value: unknown.event_id },
      { index: 1, value: '!none:a.example' },
      { index: 2, value: 'nobody.example' },
      { index: 3, value: OURS },
      { index: 4, value: BAD },
    ])
    expect(await world.head(), 'the two that are durable have a position').to.equal(3)
    expect(await world.value('select count(*) from rooms')).to.equal(1)
    expect(await world.destinations()).to.have.length(2)
  })

  it('an import of 1,000 items of which one name is malformed is taken', async () => {
    const items = Array.from({ length: 1_000 }, (_, n) =>
      servers({ set: ['b.example', n === 617 ? 'b@d.example' : 'd.example'] }, `!r${n}:a.example`),
    )
    expect(await ignored(...items)).to.deep.equal([{ index: 617, value: 'b@d.example' }])
    expect(await world.value('select count(*) from memberships where until is null')).to.equal(2 + 1_999)
  })

  it('nothing is drawn or made for what is left out', async () => {
    const drawn = () =>
      world.rows<{ id: number }>(
        `select last_value as id from destinations_id_seq union all select last_value from rooms_id_seq`,
      )
    const before = await drawn()
    await ignored(up('u.example'), servers({ remove: ['v.example'] }), purge('!w:a.example'))
    expect(await drawn()).to.deep.equal(before)
  })
})

describe('a request that is not taken', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
  })
  afterEach(() => world.close())

  const everything = async () => {
    const tables = [
      'events',
      'event_ids',
      'sticky',
      'rooms',
      'memberships',
      'changes',
      'destinations',
      'recipients',
    ]
    const counts = await Promise.all(
      tables.map((table) => world.value<number>(`select count(*) from ${table}`)),
    )
    return { head: await world.head(), sources: await world.rows('select * from sources'), counts }
  }

  it('leaves nothing behind, while the others of its commit are taken', async () => {
    const told = event()
    await world.take([servers({ set: ['b.example'] }), told])
    const before = await everything()
    const wrong = { ...redact(event()), event_id: told.event_id }
    const alone = await world.append(
      request([event({ room: '!new:a.example' }), servers({ add: ['n.example'] }), wrong, event()], {
        sourceToken: 't1',
      }),
    )
    expect(alone).to.deep.include({ kind: 'invalid', index: 2, path: 'pdu' })
    expect(alone).to.have.property('message').that.includes(told.event_id)
    expect(await everything()).to.deep.equal(before)

    const [first, bad, last] = await Promise.all([
      world.append(request([event(), event()], { source: 'one', sourceToken: 'a' })),
      world.append(
        request([event(), servers({ add: ['n.example'] }), wrong], { source: 'two', sourceToken: 'b' }),
      ),
      world.append(request([event(), redact(told)], { source: 'three', sourceToken: 'c' })),
    ])
    expect(first).to.deep.include({ kind: 'taken', accepted: 2, position: 4 })
    expect(bad).to.deep.include({ kind: 'invalid', index: 2 })
    expect(last).to.deep.include({ kind: 'taken', accepted: 2, position: 6 })
    expect(await world.rows('select source from sources order by source')).to.deep.equal([
      { source: 'one' },
      { source: 'three' },
    ])
    expect(await world.value('select count(*) from events')).to.equal(4)
    expect(await world.destinations()).to.deep.equal(['b.example from 0'])
  })
})
