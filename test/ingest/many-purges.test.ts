/**
 * Many purges in one request: what they cost under the locks that everybody needs does not grow with their number (a
 * homeserver whose last user leaves a space forgets all of its rooms). Those before, between and after other items do what they
 * would one by one.
 */
import { expect } from 'chai'
import { makeCountStatements } from './count-statements.ts'
import { event, makeIngestWorld, purge, redact, servers, sticky } from './ingest-world.ts'

const D = 'd.example:8448'
const E = 'e.example:8448'
const room = (n: number) => `!room${n}:home.example`

describe('many purges in one request', () => {
  let world: Awaited<ReturnType<typeof makeIngestWorld>>
  let statementsOf: ReturnType<typeof makeCountStatements>
  beforeEach(async () => {
    world = await makeIngestWorld()
    statementsOf = makeCountStatements(world)
  })
  afterEach(() => world.close())

  const rooms = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => room(from + n))
  async function fill(names: string[]): Promise<void> {
    await world.take(names.flatMap((name) => [servers({ add: [D] }, name), event({ room: name })]))
  }
  const left = async () =>
    (
      await world.rows<{ room_id: string }>(
        'select r.room_id from events e join rooms r on r.id = e.room order by e.pos',
      )
    ).map(({ room_id }) => room_id)

  const kinds: [string, (name: string) => object[]][] = [
    ['by themselves', (name) => [purge(name)]],
    ['each twice', (name) => [purge(name), purge(name)]],
    ['each after what comes in its room', (name) => [event({ room: name }), purge(name)]],
    [
      'each before what comes in its room',
      (name) => [purge(name), servers({ set: [E] }, name), event({ room: name })],
    ],
  ]
  for (const [what, of] of kinds) {
    it(`take as many statements as few: ${what}`, async () => {
      await fill(rooms(0, 60))
      await world.take([servers({ add: [E] })])
      const few = await statementsOf(rooms(0, 2).flatMap(of))
      const many = await statementsOf(rooms(2, 52).flatMap(of))
      expect(few).to.be.greaterThan(5)
      expect(many).to.equal(few)
    })
  }

  it('take what came before each, and nothing that came after', async () => {
    const [a, b, c] = [room(1), room(2), room(3)]
    await fill([a, b, c])
    const [old, lost] = [event({ room: b }), event({ room: a })]
    const { ignored, accepted } = await world.take([
      ...[event({ room: a }), purge(a), event({ room: b }), servers({ add: [E] }, b), old, redact(old)],
      ...[purge(b), redact(old), purge(c), event({ room: c }), servers({ add: [E] }, c), event({ room: c })],
      ...[servers({ add: [E] }, a), lost, purge(a), event({ room: a }), purge('!unknown:home.example')],
    ])
    expect(accepted).to.equal(17)
    expect(ignored.map(({ index }) => index)).to.deep.equal([7, 16])
    expect(await left()).to.deep.equal([c, c, a])
    expect(await world.memberships(c)).to.deep.equal([`${E} (17, …]`])
    expect([...(await world.memberships(a)), ...(await world.memberships(b))]).to.deep.equal([])
    const notes = await world.rows<{ pos: number }>(
      `select pos from changes where kind = 'purge' order by pos`,
    )
    expect(notes.map(({ pos }) => pos)).to.deep.equal([8, 13, 15, 21])
    expect(await world.rows('select known from rooms where room_id = $1', [a])).to.deep.equal([
      { known: false },
    ])
    expect(await world.rows('select known from rooms where room_id = $1', [c])).to.deep.equal([
      { known: true },
    ])
    expect(await world.take([lost]), 'it is known that it was taken').to.include({ duplicates: 1 })
  })

  it('count what each gives up, for the request that asked for it', async () => {
    const purged: number[] = []
    const counting = await makeIngestWorld({ onItems: (counts) => purged.push(counts.purged) })
    try {
      await counting.take([
        ...[servers({ add: [D, E] }, room(1)), sticky({ room: room(1) }), event({ room: room(1) })],
        ...[servers({ add: [D] }, room(2)), event({ room: room(2) })],
        ...[servers({ add: [D] }, room(3)), event({ room: room(3), also: { also_to: [E] } })],
        servers({ add: ['f.example'] }, room(1)),
      ])
      await Promise.all([
        counting.take([event({ room: room(9) })]),
        counting.take([purge(room(1)), purge(room(2)), event({ room: room(2) })]),
        counting.take([event({ room: room(3) }), purge(room(3))]),
      ])
      // Two events for two, and a join; one for one. Two for one, and one of them for another.
      expect(purged.sort((a, b) => a - b)).to.deep.equal([0, 0, 3, 6])
      expect(await counting.value(`select value from counters where name = 'given_up:purge'`)).to.equal(9)
    } finally {
      await counting.close()
    }
  })

  it('owe who joins after them nothing that was sticky before', async () => {
    await fill(rooms(1, 3))
    await world.take(rooms(1, 3).map((name) => sticky({ room: name })))
    await world.take([
      ...[
        purge(room(1)),
        servers({ add: [E] }, room(1)),
        sticky({ room: room(1) }),
        servers({ add: [D] }, room(1)),
      ],
      ...[sticky({ room: room(2) }), purge(room(2)), servers({ add: [E] }, room(2))],
    ])
    expect(await world.owed(room(1))).to.deep.equal([`${D} up to 10`])
    expect(await world.owed(room(2))).to.deep.equal([])
  })
})
