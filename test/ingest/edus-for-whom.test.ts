/** Contract 3: whom EDUs are for, at their point of the stream. Equal sets and lists are stored once. */
import { expect } from 'chai'
import { forgetOld } from '../../src/store/upkeep/forget-old.ts'
import { eduRequest, makeEduWorld, other, receipts, toDevice, typing, type EduWorld } from './edu-world.ts'
import { event, OURS, purge, ROOM, servers } from './ingest-world.ts'

const [A, B, C] = ['!a:a.example', '!b:a.example', '!c:a.example']

describe('whom EDUs are for', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld()
  })
  afterEach(() => world.close())

  it('is asked at their point of the stream, also within a batch, and unknown rooms are listed, not made', async () => {
    await world.take([event({ room: A, also: { to: [] } })])
    const result = await world.take([
      other({ rooms: [A, B, C] }),
      servers({ set: ['b.example'] }, B),
      // A durable one: else it goes with the room.
      other({ rooms: [C, B, A], durable: true }),
      servers({ set: ['b.example'] }, A),
      other({ rooms: [C, B, A] }),
      purge(B),
      other({ rooms: [C, B, A] }),
      typing(),
    ])
    expect(result).to.deep.include({ position: 7, accepted: 8, unknownRooms: [A, B, C, ROOM] })
    expect(await world.edus()).to.deep.equal([
      `3 org.example.thing in ${B}`,
      `5 org.example.thing in ${A} ${B}`,
      `7 org.example.thing in ${A}`,
    ])
    expect(await world.rows('select room_id from rooms order by 1')).to.deep.equal([
      { room_id: A },
      { room_id: B },
    ])
  })

  it('is a set of rooms that is stored once, in whatever order it is given', async () => {
    await world.take([A, B, C].map((room) => servers({ set: ['b.example'] }, room)))
    await world.take([other({ rooms: [A, B] }), other({ rooms: [B, A] }), other({ rooms: [A, C] })])
    const written = () => world.rows('select id, xmin::text from edu_rooms order by id')
    const once = await written()
    await world.take([
      other({ rooms: [C, A], durable: true }),
      other({ rooms: [A, '!unknown:a.example', B] }),
    ])
    expect(await world.edus()).to.deep.equal([
      `4 org.example.thing in ${A} ${B}`,
      `5 org.example.thing in ${A} ${B}`,
      `6 org.example.thing in ${A} ${C}`,
      `7 org.example.thing in ${A} ${C}`,
      `8 org.example.thing in ${A} ${B}`,
    ])
    const sets = await world.rows<{ rooms: number[] }>('select rooms from edu_rooms order by id')
    expect(sets).to.have.length(2)
    for (const { rooms } of sets) expect(rooms).to.deep.equal([...rooms].sort((a, b) => a - b))
    expect(await written(), 'what is there is not written again').to.deep.equal(once)
  })

  it('is a list that is stored once, and events have it too, each with a head of its own', async () => {
    await world.take([
      toDevice('m1', ['b.example', 'c.example']),
      toDevice('m2', ['c.example', 'b.example']),
      other({ destinations: ['b.example', 'c.example'] }),
      event({ also: { to: ['c.example', 'b.example'] } }),
      other({ destinations: ['b.example'] }),
    ])
    const heads = () =>
      world.rows(
        'select cardinality(list) as servers, exact, head, durable_head, edu_head from recipients order by id',
      )
    const both = { servers: 2, exact: true, head: 4, durable_head: 2, edu_head: 3 }
    const one = { servers: 1, exact: true, head: 0, durable_head: 0, edu_head: 5 }
    expect(await heads()).to.deep.equal([both, one])
    await world.take([toDevice('m3', ['b.example'])])
    expect(await heads()).to.deep.equal([both, { ...one, durable_head: 6 }])
    await world.take([
      event({ also: { to: ['b.example'] } }),
      other({ destinations: ['b.example', 'c.example'] }),
    ])
    expect(await heads()).to.deep.equal([
      { ...both, edu_head: 8 },
      { ...one, durable_head: 6, head: 7 },
    ])
  })

  it('is who can be a destination, known from just before the first part', async () => {
    const presence = {
      push: ['one', 'two'].map((user) => ({ user_id: `@${user}:${OURS}`, presence: 'online' })),
    }
    const result = await world.take([
      event({ also: { to: ['a.example'] } }),
      {
        edu_type: 'm.presence',
        content: presence,
        destinations: ['b.example', OURS, 'not a name', 'a.example'],
      },
      servers({ add: ['c.example'] }),
      toDevice('m1', ['not a name', OURS]),
      toDevice('m2', []),
    ])
    expect(result).to.deep.include({ position: 4, accepted: 5 })
    expect(result.ignored).to.deep.equal(
      [OURS, 'not a name']
        .map((value) => ({ index: 1, value }))
        .concat(['not a name', OURS].map((value) => ({ index: 3, value }))),
    )
    expect(await world.edus()).to.deep.equal([
      '2 m.presence to a.example b.example',
      '3 m.presence to a.example b.example',
    ])
    expect(await world.value('select max(edu_head) from recipients'), 'of its last part').to.equal(3)
    const cursors = await world.rows(
      'select name, position, durable_pos, ephemeral_pos from destinations order by name',
    )
    const from = (name: string, pos: number) => ({
      name,
      position: pos,
      durable_pos: pos,
      ephemeral_pos: pos,
    })
    expect(cursors).to.deep.equal([from('a.example', 0), from('b.example', 1), from('c.example', 3)])
  })

  it('must be told first to a source that goes by that', async () => {
    const strict = { onlyKnownRooms: true }
    expect(await world.append(eduRequest([receipts(['alice'])], strict))).to.deep.equal({
      kind: 'unknown_rooms',
      rooms: [ROOM],
    })
    await world.take([servers({ set: ['b.example'] })])
    expect(await world.take([receipts(['alice']), toDevice('m1', ['c.example'])], strict)).to.include({
      position: 3,
    })
    const purged = await world.append(eduRequest([purge(), other({ rooms: [ROOM] })], strict))
    expect(purged).to.deep.equal({ kind: 'unknown_rooms', rooms: [ROOM] })
  })

  it('is kept for as long as an EDU is for them, however short the log', async () => {
    await world.take([
      toDevice('m1', ['b.example']),
      other({ destinations: ['c.example'] }),
      event({ also: { to: ['d.example'] } }),
    ])
    const lists = async () => {
      await forgetOld(world.pool, 1)
      const found = await world.rows<{ name: string }>(
        'select d.name from recipients r join destinations d on d.id = any(r.list) order by 1',
      )
      return found.map(({ name }) => name)
    }
    expect(await lists()).to.deep.equal(['b.example', 'c.example', 'd.example'])
    await world.pool.query('update stream set log_floor = head')
    expect(await lists()).to.deep.equal(['b.example', 'c.example'])
    await world.pool.query('delete from edus where pos = 1')
    expect(await lists()).to.deep.equal(['c.example'])
    // One that is used again at this moment is new, too.
    await world.pool.query('delete from edus')
    await world.pool.query('update recipients set edu_head = (select head + 1 from stream)')
    expect(await lists()).to.deep.equal(['c.example'])
    await world.pool.query('update recipients set edu_head = 0')
    expect(await lists()).to.deep.equal([])
  })
})
