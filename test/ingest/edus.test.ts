/** Contract 3: EDUs in the one stream, with its order, all or nothing, each part by itself. */
import { expect } from 'chai'
import { weightOf } from '../../src/ingest/weight.ts'
import { eduKey } from '../../src/ingest/edu/stage-edu.ts'
import type { ItemCounts } from '../../src/ingest/report.ts'
import { ALICE, receiptOf, takenEdu } from './edu/edu-item.ts'
import { eduRequest, makeEduWorld, other, receipts, toDevice, typing, type EduWorld } from './edu-world.ts'
import { event, HOUR, OURS, purge, redact, ROOM, servers } from './ingest-world.ts'

const MINUTE = 60_000

describe('EDUs in the stream', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld()
    await world.take([servers({ set: ['b.example'] })])
  })
  afterEach(() => world.close())

  it('stand where they came, among the other items of their request, of their commit and of all', async () => {
    const one = await world.take([event(), receipts(['alice', 'bob', 'carol']), event(), typing()])
    expect(one).to.include({ position: 7, accepted: 4, duplicates: 0 })
    const [two, three] = await Promise.all([
      world.take([toDevice('m1', ['b.example']), event()]),
      world.take([toDevice('m2', ['b.example'])]),
    ])
    expect([two.position, three.position]).to.deep.equal([9, 10])
    expect(await world.edus()).to.deep.equal([
      `3 m.receipt in ${ROOM}`,
      `4 m.receipt in ${ROOM}`,
      `5 m.receipt in ${ROOM}`,
      `7 m.typing in ${ROOM}`,
      '8 m.direct_to_device to b.example',
      '10 m.direct_to_device to b.example',
    ])
    expect(await world.rows('select pos from events order by pos')).to.deep.equal(
      [2, 6, 9].map((pos) => ({ pos })),
    )
    expect(await world.head()).to.equal(10)
    expect(await world.value('select head from rooms'), 'events alone').to.equal(9)
  })

  it('are taken with all of their request, or not at all', async () => {
    const told = event()
    await world.take([told])
    const wrong = { ...redact(event()), event_id: told.event_id }
    const [refused, taken] = await Promise.all([
      world.append(
        eduRequest([toDevice('m1', ['new.example']), other({ rooms: [ROOM, '!x:a.example'] }), wrong]),
      ),
      world.append(eduRequest([typing()])),
    ])
    expect(refused).to.include({ kind: 'invalid', index: 2 })
    expect(taken).to.include({ kind: 'taken', position: 3 })
    expect(await world.edus()).to.deep.equal([`3 m.typing in ${ROOM}`])
    expect(await world.destinations()).to.deep.equal(['b.example from 0'])
    const mismatch = await world.append(eduRequest([typing()], { ifSourceToken: 'other' }))
    expect(mismatch).to.include({ kind: 'token_mismatch' })
    expect(await world.edus()).to.have.length(1)
  })

  it('are taken again where their commit met a conflict', async () => {
    await world.pool.query(`
      create sequence tries;
      create function fail_once() returns trigger language plpgsql as $$ begin
        if nextval('tries') = 1 then raise exception 'a conflict' using errcode = '40001'; end if; return null;
      end $$;
      create trigger fail_once after insert on edus for each statement execute function fail_once()`)
    const result = await world.take([event(), toDevice('m1', ['b.example', 'c.example']), typing()])
    expect(result).to.include({ position: 4, accepted: 3 })
    expect(await world.value(`select last_value from tries`)).to.equal(2)
    expect(await world.edus()).to.deep.equal([
      '3 m.direct_to_device to b.example c.example',
      `4 m.typing in ${ROOM}`,
    ])
  })

  it('are kept with what says when and how they are sent', async () => {
    const large = { ...(toDevice('m1', [])['content'] as object), messages: { a: { b: 'x'.repeat(65_536) } } }
    await world.take([
      typing(true),
      typing(false),
      receipts(['alice']),
      { edu_type: 'm.presence', content: { push: [{ user_id: ALICE, presence: 'online' }] }, rooms: [ROOM] },
      toDevice('m1', ['b.example'], { content: large }),
      toDevice('m2', ['b.example'], { ttl_ms: 5_000 }),
      {
        edu_type: 'm.device_list_update',
        content: { user_id: ALICE, device_id: 'D', stream_id: 1 },
        rooms: [ROOM],
      },
      other({ rooms: [ROOM] }),
      other({ rooms: [ROOM], key: 'k', durable: true }),
    ])
    const rows = await world.rows<{ type: string; key: string | null }>(
      'select type, key, expires_at - received_ts as lasts, durable, alone, who from edus order by pos',
    )
    const expected = [
      { type: 'm.typing', lasts: MINUTE, durable: false, who: null },
      { type: 'm.typing', lasts: 2 * MINUTE, durable: false, who: null },
      { type: 'm.receipt', lasts: 24 * HOUR, durable: false, who: null },
      { type: 'm.presence', lasts: 10 * MINUTE, durable: false, who: null },
      { type: 'm.direct_to_device', lasts: null, durable: true, alone: true, who: 'm1' },
      { type: 'm.direct_to_device', lasts: 5_000, durable: true, who: 'm2' },
      { type: 'm.device_list_update', lasts: null, durable: true, who: ALICE },
      { type: 'org.example.thing', lasts: HOUR, durable: false, who: null },
      { type: 'org.example.thing', lasts: null, durable: true, who: null },
    ]
    expect(rows).to.deep.equal(expected.map((row, at) => ({ alone: null, key: rows[at]?.key, ...row })))
    expect(rows.map(({ key }) => key !== null)).to.deep.equal([
      true,
      true,
      true,
      true,
      false,
      false,
      false,
      false,
      true,
    ])
    expect(rows[0]?.key, 'the same user and room').to.equal(rows[1]?.key)
    expect(rows[8]?.key).to.equal(eduKey('org.example.thing', 'k'))
    const received = Number(await world.value('select max(received_ts) from edus'))
    expect(received).to.be.closeTo(await world.now(), MINUTE)
    const [content] = await world.rows<{ content: string }>('select content from edus where pos = 2')
    expect(content?.content).to.equal(`{"room_id":"${ROOM}","typing":true,"user_id":"${ALICE}"}`)
  })

  it('have keys that are of their type alone', async () => {
    const one = { rooms: [ROOM], key: 'k' }
    await world.take([
      other(one),
      other(one),
      other({ ...one, edu_type: 'org.example.more' }),
      other({ ...one, key: 'l' }),
    ])
    const keys = (await world.rows<{ key: string }>('select key from edus order by pos')).map(
      ({ key }) => key,
    )
    expect(keys[0]).to.equal(keys[1])
    expect(new Set(keys)).to.have.length(3)
    // Stored ones must be found by those that later releases make.
    expect(eduKey('m.typing', 'k')).to.equal('17f21d8b-d270-8ebf-2d54-7d9b93984906')
  })

  it('of which nothing is left take no position and make nobody known, and what was left out is listed and counted', async () => {
    const counted: ItemCounts[] = []
    const counting = await makeEduWorld({ url: world.url, onItems: (counts) => counted.push(counts) })
    const privately = {
      [ROOM]: { 'm.read.private': { [ALICE]: receiptOf('$e') }, 'm.read': { '@bob': receiptOf('$e') } },
    }
    await world.take([servers({ set: ['b.example'] }, '!two:a.example')])
    const result = await counting.take([
      toDevice('m'.repeat(33), ['new.example', 'not a name', OURS]),
      receipts([], { content: privately }),
      other({ rooms: ['!unknown:a.example', ROOM, '!two:a.example'], content: { a: '#1.5#' } }),
      receipts(['alice']),
    ])
    expect(result).to.deep.include({ position: 3, accepted: 4 })
    expect(result.ignored).to.deep.equal([
      { index: 0, value: `m.direct_to_device ${'m'.repeat(33)}` },
      { index: 0, value: 'not a name' },
      { index: 0, value: OURS },
      { index: 1, value: `m.receipt ${ALICE}` },
      { index: 1, value: 'm.receipt @bob' },
      { index: 2, value: 'org.example.thing' },
    ])
    expect(result.unknownRooms).to.deep.equal(['!unknown:a.example'])
    expect(Object.fromEntries(counted[0]?.taken ?? [])).to.deep.equal({ edu: 4 })
    expect(Object.fromEntries(counted[0]?.ignored ?? [])).to.deep.equal({
      ...{ malformed: 2, private: 1, not_canonical: 1, invalid_name: 1, own_name: 1 },
    })
    expect(await world.destinations()).to.deep.equal(['b.example from 0'])
    expect(await world.value('select count(*) from edu_rooms')).to.equal(0)
    await counting.close()
  })

  it('weigh what their parts do, and their size', () => {
    const items = [takenEdu(receipts(['alice', 'bob', 'carol'])), takenEdu(receipts([]))]
    expect(weightOf({ items })).to.equal(1 + 3 + 1)
    const large = takenEdu(other({ rooms: [ROOM], content: { a: 'x'.repeat(40_960) } }))
    expect(weightOf({ items: [large] })).to.equal(1 + 1 + 10)
  })

  it('of a room go with it, but for the durable ones, wherever in a batch it is purged', async () => {
    const elsewhere = '!elsewhere:a.example'
    const durable = other({ rooms: [ROOM], durable: true })
    await world.take([
      servers({ set: ['c.example'] }, elsewhere),
      typing(),
      durable,
      other({ rooms: [elsewhere] }),
    ])
    await world.take([purge()])
    expect(await world.edus()).to.deep.equal([
      `4 org.example.thing in ${ROOM}`,
      `5 org.example.thing in ${elsewhere}`,
    ])
    const again = servers({ set: ['b.example'] })
    const result = await world.take([again, typing(), purge(), typing(), again, typing(false)])
    expect(result).to.deep.include({ position: 11, accepted: 6, unknownRooms: [ROOM] })
    expect(await world.edus()).to.deep.equal([
      `4 org.example.thing in ${ROOM}`,
      `5 org.example.thing in ${elsewhere}`,
      `11 m.typing in ${ROOM}`,
    ])
    // An EDU before it in the batch is about the room, too.
    await world.take([typing(), purge()])
    expect(await world.value('select count(*) from edus where not durable')).to.equal(1)
  })
})
