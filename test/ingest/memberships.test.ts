/** Contract 3: who is in a room from which point of the stream on, and from where on a destination is owed anything. */
import { expect } from 'chai'
import { readTimeline } from '../../src/store/delivery/timeline.ts'
import { event, makeIngestWorld, OURS, ROOM, servers } from './ingest-world.ts'
import type { IngestWorld } from './ingest-world.ts'

describe("a room's servers", () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
  })
  afterEach(() => world.close())

  /** What a destination is owed from its start on. */
  const owedTo = async (name: string) => {
    const [row] = await world.rows<{ id: number; position: number }>(
      'select id, position from destinations where name = $1',
      [name],
    )
    if (row === undefined) return []
    const range = { after: row.position, upto: await world.head() }
    const most = { rows: 1_000, bytes: 1e9 }
    return (await readTimeline(world.pool, row.id, range, most)).pdus.map(({ pos }) => pos)
  }

  it('get what lies between their join and their leave, the event that ends the membership too', async () => {
    await world.take([servers({ set: ['a.example', 'b.example'] })])
    await world.take([event()])
    const leaving = event()
    await world.take([leaving, servers({ remove: ['b.example'] })])
    await world.take([event()])
    await world.take([servers({ add: ['b.example'] }), event()])
    expect(await world.memberships()).to.deep.equal([
      'a.example (1, …]',
      'b.example (1, 4]',
      'b.example (6, …]',
    ])
    expect(await owedTo('a.example')).to.deep.equal([2, 3, 5, 7])
    expect(await owedTo('b.example')).to.deep.equal([2, 3, 7])
  })

  it('change within one request as they would in several', async () => {
    const items = [
      servers({ add: ['a.example', 'b.example'] }),
      event(),
      servers({ remove: ['b.example'] }),
      event(),
      servers({ add: ['b.example', 'c.example'], remove: ['a.example', 'c.example'] }),
      event(),
      servers({ remove: ['b.example'] }),
      servers({ add: ['b.example'] }),
      event(),
    ]
    await world.take(items)
    const other = await makeIngestWorld()
    try {
      for (const item of items) await other.take([item])
      expect(await world.memberships()).to.deep.equal(await other.memberships())
      const changes = 'select pos, added, removed from changes order by pos'
      expect(await world.rows(changes)).to.deep.equal(await other.rows(changes))
    } finally {
      await other.close()
    }
    expect(await world.memberships()).to.deep.equal([
      'a.example (1, 5]',
      'b.example (1, 3]',
      'b.example (5, 7]',
      'b.example (8, …]',
      'c.example (5, 5]',
    ])
    expect(await owedTo('a.example')).to.deep.equal([2, 4])
    expect(await owedTo('b.example')).to.deep.equal([2, 6, 9])
    expect(await owedTo('c.example')).to.deep.equal([])
  })

  it('follow a `set` by its difference', async () => {
    await world.take([servers({ set: ['a.example', 'b.example'] })])
    await world.take([servers({ set: ['c.example', 'b.example', OURS] })])
    await world.take([servers({ add: ['d.example'] }), servers({ set: ['d.example', 'a.example'] })])
    expect(await world.memberships()).to.deep.equal([
      'a.example (1, 2]',
      'a.example (4, …]',
      'b.example (1, 4]',
      'c.example (2, 4]',
      'd.example (3, …]',
    ])
    await world.take([servers({ set: [] })])
    expect(await world.value('select count(*) from memberships where until is null')).to.equal(0)
  })

  it('of one room are none of another, also in a request with both', async () => {
    const second = '!second:a.example'
    await world.take([servers({ set: ['a.example'] }), servers({ set: ['b.example'] }, second)])
    await world.take([servers({ set: ['b.example'] }), servers({ add: ['a.example'] }, second)])
    expect(await world.memberships()).to.deep.equal(['a.example (1, 3]', 'b.example (3, …]'])
    expect(await world.memberships(second)).to.deep.equal(['a.example (4, …]', 'b.example (2, …]'])
  })

  it('may be 5,000, in one item and in one difference', async () => {
    const names = Array.from({ length: 5_000 }, (_, n) => `s${n}.example`)
    await world.take([servers({ set: names })])
    const { ignored } = await world.take([servers({ set: names.slice(2_500) }), servers({ add: names })])
    expect(ignored).to.have.length(2_500)
    expect(await world.value('select count(*) from memberships where until is null')).to.equal(5_000)
    expect(await world.value('select count(*) from memberships where until = 2')).to.equal(2_500)
    expect(await world.value('select count(*) from destinations')).to.equal(5_000)
  })
})

describe('a destination', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
  })
  afterEach(() => world.close())

  it('starts just before the first item that names it or adds it to a room', async () => {
    await world.take([
      servers({ set: ['a.example'] }),
      event(),
      event({ also: { also_to: ['b.example'] } }),
      event({ also: { to: ['c.example'] } }),
      event({ also: { not_to: ['d.example'] } }),
      event({ also: { to: ['b.example', 'c.example'] } }),
      servers({ add: ['e.example', 'd.example'] }),
    ])
    expect(await world.destinations()).to.deep.equal([
      'a.example from 0',
      'b.example from 2',
      'c.example from 3',
      'd.example from 4',
      'e.example from 6',
    ])
    await world.take([event({ also: { to: ['e.example', 'f.example'] } })])
    expect((await world.destinations()).slice(-2)).to.deep.equal(['e.example from 6', 'f.example from 7'])
  })

  it('is one whichever of several requests in a commit named it first', async () => {
    const made = (n: number) => [servers({ add: ['x.example'] }, `!r${n}:a.example`), event()]
    const taken = await Promise.all([0, 1, 2].map((n) => world.take(made(n))))
    expect(taken.map(({ position }) => position)).to.deep.equal([2, 4, 6])
    expect(await world.destinations()).to.deep.equal(['x.example from 0'])
    expect(await world.value('select count(*) from memberships')).to.equal(3)
  })

  it('that is named is told apart by case, port and address', async () => {
    const names = ['A.example', 'a.example', 'a.example:8448', '[::1]', '[::1]:8448', '1.2.3.4']
    expect((await world.take([servers({ set: names })])).ignored).to.deep.equal([])
    expect(await world.memberships(ROOM)).to.have.length(6)
  })
})

describe('who gets an event', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
    await world.take([servers({ set: ['a.example', 'b.example', 'c.example'] })])
  })
  afterEach(() => world.close())

  const lists = () =>
    world.rows(
      `select r.exact, r.head,
              array(select name from destinations where id = any(r.list) order by name) as list,
              array(select name from destinations where id = any(r.less) order by name) as less
         from recipients r order by r.id`,
    )

  it('is kept once for equal lists, in whatever order and however often they come', async () => {
    await world.take([
      event({ also: { to: ['x.example', 'y.example'] } }),
      event({ also: { to: ['y.example', 'x.example', 'y.example'] } }),
      event({ also: { also_to: ['x.example', 'y.example'] } }),
      event(),
    ])
    await world.take([
      event({ also: { to: ['y.example', 'x.example'] } }),
      event({ also: { also_to: ['x.example', 'y.example'], not_to: ['a.example'] } }),
      event({ also: { also_to: [], not_to: [] } }),
    ])
    const pair = ['x.example', 'y.example']
    expect(await lists()).to.deep.equal([
      { exact: true, head: 6, list: pair, less: [] },
      { exact: false, head: 4, list: pair, less: [] },
      { exact: false, head: 7, list: pair, less: ['a.example'] },
    ])
    expect(await world.value('select array_agg(recipients is null order by pos) from events')).to.deep.equal([
      false,
      false,
      false,
      true,
      false,
      false,
      true,
    ])
  })

  it('is nobody where `to` is empty, or names nobody that there could be', async () => {
    await world.take([event({ also: { to: [] } }), event({ also: { to: [OURS, 'no name'] } })])
    expect(await lists()).to.deep.equal([{ exact: true, head: 3, list: [], less: [] }])
  })
})
