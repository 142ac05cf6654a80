/** Reading the log with the EDUs in it, for those who follow it. */
import { expect } from 'chai'
import { markOf, readLog, type LogEntry } from '../../../src/store/delivery/log-tail.ts'
import { makeEduWorld, other, receipts, toDevice, typing, type EduWorld } from '../../ingest/edu-world.ts'
import { event, purge, ROOM, servers } from '../../ingest/ingest-world.ts'

const ALL = { rows: 1_000, bytes: 4_000_000 }
const OTHER_ROOM = '!other:home.example'

describe('reading the log with EDUs', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
  })
  afterEach(() => world.pool.end())

  const id = async (table: 'rooms' | 'destinations', name: string) =>
    Number(
      await world.value(`select id from ${table} where ${table === 'rooms' ? 'room_id' : 'name'} = $1`, [
        name,
      ]),
    )
  const kinds = (entries: readonly LogEntry[]) =>
    entries.map((entry) => `${entry.pos} ${entry.kind === 'edu' ? entry.eduType : entry.kind}`)

  it('brings them in the order of positions among events and changes, with whom each is for', async () => {
    await world.take([servers({ add: ['b.example'] }), servers({ add: ['c.example'] }, OTHER_ROOM)])
    await world.take([event(), typing(), toDevice('m', ['c.example', 'b.example'])])
    await world.take([other({ rooms: [ROOM, OTHER_ROOM], ttl_ms: 5_000 }), event()])
    const { entries, upto, more } = await readLog(world.pool, 0, ALL)
    expect(kinds(entries)).to.deep.equal([
      ...[
        '1 change',
        '2 change',
        '3 event',
        '4 m.typing',
        '5 m.direct_to_device',
        '6 org.example.thing',
        '7 event',
      ],
    ])
    expect({ upto, more }).to.deep.equal({ upto: 7, more: false })
    const [typed, message, thing] = entries.filter((entry) => entry.kind === 'edu')
    const [room, otherRoom, b, c] = [
      await id('rooms', ROOM),
      await id('rooms', OTHER_ROOM),
      await id('destinations', 'b.example'),
      await id('destinations', 'c.example'),
    ]
    expect(typed).to.deep.include({ to: { room }, durable: false, alone: false, who: null })
    expect(typed?.key).to.match(/^[0-9a-f-]{36}$/u)
    expect(typed!.expiresAt! - typed!.receivedTs).to.equal(60_000)
    expect(JSON.parse(typed!.content)).to.deep.include({ room_id: ROOM, typing: true })
    expect(message).to.deep.include({ durable: true, who: 'm', expiresAt: null, key: null })
    expect('list' in message!.to && message!.to.list.toSorted((x, y) => x - y)).to.deep.equal(
      [b, c].toSorted((x, y) => x - y),
    )
    expect('rooms' in thing!.to && thing!.to.rooms.toSorted((x, y) => x - y)).to.deep.equal(
      [room, otherRoom].toSorted((x, y) => x - y),
    )
    expect(thing!.expiresAt! - thing!.receivedTs).to.equal(5_000)
  })

  it('counts them among its rows and bytes, and goes on where it stopped', async () => {
    await world.take([servers({ add: ['b.example'] })])
    await world.take([event(), receipts(['a', 'b', 'c']), event(), toDevice('m', ['b.example']), typing()])
    const whole = kinds((await readLog(world.pool, 0, ALL)).entries)
    for (const most of [
      { ...ALL, rows: 1 },
      { ...ALL, rows: 3 },
      { ...ALL, bytes: 1 },
      { ...ALL, bytes: 700 },
    ]) {
      const found = []
      let after = 0
      for (let more = true; more;) {
        const read = await readLog(world.pool, after, most)
        expect(read.entries.length).to.be.at.most(most.rows)
        found.push(...kinds(read.entries))
        ;({ upto: after, more } = read)
      }
      expect(found, JSON.stringify(most)).to.deep.equal(whole)
    }
  })

  it('tells what stands where it begins, where that is an EDU', async () => {
    await world.take([servers({ add: ['b.example'] }), event(), typing()])
    const { entries } = await readLog(world.pool, 0, ALL)
    const { place } = await readLog(world.pool, 3, ALL)
    expect(place).to.deep.equal(markOf(entries.at(-1)!))
    await world.take([purge()])
    expect((await readLog(world.pool, 3, ALL)).place?.pos, 'it is gone with the event').to.equal(1)
  })
})
