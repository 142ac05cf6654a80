/** Contract 3: content that is taken away is gone everywhere, in the commit that says so. */
import { expect } from 'chai'
import { makeContentWorld, type ContentWorld } from './content-world.ts'
import { event, purge, redact, request, ROOM, servers, sticky } from './ingest-world.ts'

const ELSEWHERE = '!elsewhere:a.example'

describe('a redaction', () => {
  let world: ContentWorld
  beforeEach(async () => {
    world = await makeContentWorld()
    await world.take([servers({ set: ['b.example', 'c.example'] })])
  })
  afterEach(() => world.close())

  it('puts the redacted form in the place of the text, for good, and ends its stickiness', async () => {
    const told = sticky()
    await world.take([told, event()])
    expect(await world.holding(told), 'the search finds what is there').to.deep.equal(['events'])
    await world.take([redact(told)])
    expect(await world.holding(told)).to.deep.equal([])
    const [row] = await world.rows<{ pdu: string }>(
      'select pos, event_id, pdu, sticky_until from events where pos = 2',
    )
    expect(row).to.include({ pos: 2, event_id: told.event_id, sticky_until: null })
    expect(JSON.parse(row?.pdu ?? '')).to.deep.equal(redact(told).pdu)
    expect(await world.value('select count(*) from sticky')).to.equal(0)
    expect((await world.take([told])).duplicates).to.equal(1)
    expect(await world.holding(told), 'a repeat does not bring it back').to.deep.equal([])
  })

  it('voids the open transactions that carry it, in the same commit, and no others', async () => {
    const [told, other] = [event(), event()]
    await world.take([told, other, servers({ add: ['d.example'] })])
    await world.freeze('b.example', [2, 3])
    await world.freeze('c.example', [3])
    await world.freeze('d.example', [2])
    expect(await world.holding(told)).to.deep.equal(['events'])
    await world.take([redact(told)])
    expect(await world.open()).to.deep.equal([
      { name: 'b.example', void: true },
      { name: 'c.example', void: false },
      { name: 'd.example', void: true },
    ])
    expect(await world.holding(told)).to.deep.equal([])
    const commits = await world.rows(
      `select xmin::text from events where pos = 2 union select xmin::text from open_transactions where void`,
    )
    expect(commits, 'written by one transaction').to.have.length(1)
  })

  it('forbids to freeze what was read before it', async () => {
    const told = event()
    await world.take([told])
    const readAt = await world.head()
    await world.take([redact(told)])
    expect(await world.freeze('b.example', [2], readAt)).to.equal(false)
    expect(await world.freeze('b.example', [2])).to.equal(true)
  })

  it('of an event earlier in its request, and of one request in the commit by another', async () => {
    const [first, second] = [sticky(), event()]
    await world.take([first, redact(first)])
    expect(await world.holding(first)).to.deep.equal([])
    expect(await world.value('select count(*) from sticky')).to.equal(0)
    await Promise.all([world.take([second]), world.take([redact(second)])])
    expect(await world.holding(second)).to.deep.equal([])
    expect(await world.head()).to.equal(5)
  })

  it('that is not of the event is refused, with the place, and nothing of its request is taken', async () => {
    const told = sticky()
    await world.take([told])
    const wrong = { ...redact(event()), event_id: told.event_id }
    const [refused, taken] = await Promise.all([
      world.append(request([event(), wrong])),
      world.append(request([event(), event()])),
    ])
    expect(refused).to.deep.include({ kind: 'invalid', index: 1, path: 'pdu' })
    expect(taken).to.deep.include({ kind: 'taken', accepted: 2, position: 4 })
    expect(await world.value('select count(*) from sticky')).to.equal(1)
    expect(await world.holding(told)).to.deep.equal(['events'])
  })

  it('of a room version whose ids are no hashes must at least be of its event and room', async () => {
    const told = event({ version: '1' })
    await world.take([told])
    const form = redact(told)
    for (const [path, pdu] of [
      ['pdu', { ...form.pdu, event_id: '$another:home.example' }],
      ['pdu.room_id', { ...form.pdu, room_id: ELSEWHERE }],
    ] as const)
      expect(await world.append(request([{ ...form, pdu }]))).to.include({ kind: 'invalid', index: 0, path })
    await world.take([form])
    expect(await world.holding(told)).to.deep.equal([])
  })

  it('must hold no numbers that the room version does not allow', async () => {
    for (const version of ['5', '6']) {
      const told = event({ version, room: `!of-${version}:a.example` })
      await world.take([told])
      const form = redact(told)
      const text = JSON.stringify({ ...form, pdu: { ...form.pdu, unsigned: { age: '@' } } }).replace(
        '"@"',
        '1.5',
      )
      const answer = await world.append(request([text]))
      if (version === '5') expect(answer).to.include({ kind: 'taken' })
      else expect(answer).to.include({ kind: 'invalid', index: 0, path: 'pdu.unsigned.age' })
    }
  })

  describe('is judged by the room version that its event was taken with, whatever the room is of by now', () => {
    const levels = (version: string) =>
      event({ version, type: 'm.room.power_levels', content: { invite: 50, ban: 50, more: 1 } })
    const unchecked = { ...event(), room_version: 'org.example.new', event_id: '$as-given' }

    it('in the form of its own version', async () => {
      for (const [own, later] of [
        ['10', '11'],
        ['11', '10'],
        ['1', '11'],
        ['11', '1'],
        ['3', '4'],
        ['10', 'org.example.new'],
      ] as const) {
        const told = levels(own)
        await world.take([told, { ...unchecked, room_version: later, ...fresh(later) }])
        expect(await world.value('select room_version from rooms'), `${own}, ${later}`).to.equal(later)
        const other = { ...redact({ ...told, room_version: own === '11' ? '10' : '11' }) }
        const kept = own === '11' ? 'is not the redacted form' : 'content.invite'
        if (own === '11') {
          // Less than the redacted form is another event.
          expect(await world.append(request([other])), `${own}, ${later}`).to.include({ kind: 'invalid' })
        } else {
          const answer = await world.append(request([other]))
          expect(answer, `${own}, ${later}`).to.include({ kind: 'invalid', index: 0, path: 'pdu' })
          expect(answer).to.have.property('message').that.includes(kept)
        }
        await world.take([redact(told)])
        const [row] = await world.rows<{ pdu: string }>('select pdu from events where event_id = $1', [
          told.event_id,
        ])
        expect(JSON.parse(row?.pdu ?? '')).to.deep.equal(redact(told).pdu)
      }
    })

    it('and not at all where that is not known', async () => {
      await world.take([unchecked, event()])
      expect(await world.value('select room_version from rooms')).to.equal('11')
      await world.take([{ ...redact(event()), event_id: unchecked.event_id }])
      const told = event()
      await world.take([told, { ...unchecked, event_id: '$another' }])
      const wrong = { ...redact(event()), event_id: told.event_id }
      expect(await world.append(request([wrong]))).to.include({ kind: 'invalid', index: 0, path: 'pdu' })
    })

    /** Some other event of the room, by the rules of `version`. */
    function fresh(version: string) {
      if (version === 'org.example.new') return { event_id: `$given-${(given += 1)}` }
      const { event_id, pdu } = event({ version })
      return { event_id, pdu }
    }
    let given = 0
  })

  it('of an event whose room was purged is of something unknown', async () => {
    const told = event()
    await world.take([told, purge()])
    expect((await world.take([redact(told)])).ignored).to.deep.equal([{ index: 0, value: told.event_id }])
  })
})

describe('a purge', () => {
  let world: ContentWorld
  beforeEach(async () => {
    world = await makeContentWorld()
    await world.take([
      servers({ set: ['b.example', 'c.example'] }),
      servers({ set: ['b.example'] }, ELSEWHERE),
      sticky({ room: ELSEWHERE }),
    ])
  })
  afterEach(() => world.close())

  const ofRoom = async () => {
    const parts: [string, string][] = [
      ['events', 'room = $1'],
      ['memberships', 'room = $1'],
      ['sticky', 'room = $1'],
      ['sticky_owed', 'room = $1'],
      ['replays', 'pos in (4, 5, 6)'],
    ]
    const room = await world.value<number>('select id from rooms where room_id = $1', [ROOM])
    const counts: Record<string, number | undefined> = {}
    for (const [table, where] of parts)
      counts[table] = await world.value(
        `select count(*) from ${table} where ${where.replace('$1', String(room))}`,
      )
    return counts
  }
  const nothing = { events: 0, memberships: 0, sticky: 0, sticky_owed: 0, replays: 0 }

  it('leaves nothing of the room and everything of the others', async () => {
    const [told, stuck] = [event(), sticky()]
    await world.take([told, stuck, event(), servers({ add: ['d.example'] })])
    await world.take([servers({ add: ['d.example'] }, ELSEWHERE)])
    await world.pool.query(
      `insert into replays (destination, pos, state, expires_at, at) select id, p, 'unlisted', now_ms() + 60000, now_ms() from destinations, unnest('{3,5}'::int[]) p`,
    )
    await world.freeze('b.example', [3, 4])
    await world.freeze('c.example', [6])
    await world.freeze('d.example', [3])
    expect(Object.values(await ofRoom()), 'there is something to forget').to.not.include(0)
    expect((await world.take([purge()])).ignored).to.deep.equal([])
    expect(await ofRoom()).to.deep.equal(nothing)
    for (const gone of [told, stuck]) expect(await world.holding(gone)).to.deep.equal([])
    expect(await world.open()).to.deep.equal([
      { name: 'b.example', void: true },
      { name: 'c.example', void: true },
      { name: 'd.example', void: false },
    ])
    expect(await world.memberships(ELSEWHERE)).to.have.length(2)
    expect(await world.owed(ELSEWHERE)).to.deep.equal(['d.example up to 8'])
    expect(await world.value('select count(*) from replays where pos = 3')).to.equal(3)
    expect(await world.value('select count(*) from sticky')).to.equal(1)
  })

  it('makes the room one that nobody told the servers of, until somebody does: then it starts anew', async () => {
    await world.take([event()])
    const { unknownRooms, position } = await world.take([purge(), event()])
    expect(unknownRooms).to.deep.equal([ROOM])
    expect(position).to.equal(6)
    expect(await world.memberships()).to.deep.equal([])
    const { ignored } = await world.take([event(), servers({ remove: ['b.example'] })])
    expect(ignored).to.deep.equal([{ index: 1, value: 'b.example' }])
    await world.take([servers({ add: ['b.example'] }), event()])
    expect(await world.memberships()).to.deep.equal(['b.example (9, …]'])
    expect(await world.value('select head from rooms where room_id = $1', [ROOM])).to.equal(10)
  })

  it('forgets who was in the room also for the items that come with it', async () => {
    const { ignored } = await world.take([
      purge(),
      servers({ remove: ['b.example'] }),
      servers({ add: ['c.example'] }),
      purge(),
      servers({ set: ['c.example', 'b.example'] }),
    ])
    expect(ignored).to.deep.equal([{ index: 1, value: 'b.example' }])
    expect(await world.memberships()).to.deep.equal(['b.example (8, …]', 'c.example (8, …]'])
  })

  it('does not make a repeated event news', async () => {
    const told = event()
    await world.take([told])
    expect(await world.take([purge(), told])).to.include({ accepted: 1, duplicates: 1 })
    expect(await world.take([told])).to.include({ accepted: 0, duplicates: 1 })
    expect(await world.holding(told)).to.deep.equal([])
  })

  it('of what its own request or commit brought', async () => {
    const [first, second] = [sticky(), event()]
    await world.take([
      first,
      servers({ add: ['d.example'] }),
      purge(),
      servers({ set: ['e.example'] }),
      event(),
    ])
    expect(await world.holding(first)).to.deep.equal([])
    expect(await world.memberships()).to.deep.equal(['e.example (7, …]'])
    expect(await world.owed()).to.deep.equal([])
    await Promise.all([world.take([second, servers({ add: ['d.example'] })]), world.take([purge()])])
    expect(await ofRoom()).to.deep.equal(nothing)
  })

  it('forbids to freeze what was read before it', async () => {
    await world.take([event()])
    const readAt = await world.head()
    await world.take([purge(ELSEWHERE)])
    expect(await world.freeze('b.example', [4], readAt)).to.equal(false)
  })

  describe('counts what it gives up', () => {
    const givenUp = async () => {
      await world.take([purge()])
      return world.value<number>(`select value from counters where name = 'given_up:purge'`)
    }

    it('as pairs of event and server: those in the room then, and after their position', async () => {
      await world.take([event(), servers({ remove: ['c.example'] }), event(), event()])
      await world.pool.query(`update destinations set position = 6 where name = 'b.example'`)
      // b: only the last one. c: the one before it left.
      expect(await givenUp()).to.equal(2)
    })

    it('also what was addressed, and not what was kept from a server', async () => {
      await world.take([
        event({ also: { to: ['x.example'] } }),
        event({ also: { also_to: ['x.example', 'b.example'] } }),
        event({ also: { not_to: ['c.example'] } }),
        event({ also: { to: [] } }),
      ])
      // The first: x. The second: b, c, x. The third: b. The fourth: nobody.
      expect(await givenUp()).to.equal(5)
    })

    it('also what is owed to joins, once, and not what was sent already', async () => {
      await world.take([sticky(), sticky(), servers({ add: ['d.example'] })])
      await world.pool.query(`update destinations set position = (select head from stream)`)
      expect(await world.owed()).to.deep.equal(['d.example up to 6'])
      await world.pool.query(
        `insert into replays (destination, pos, state, listed_at, expires_at, at)
         select id, 4, 'sent', 6, now_ms() + 60000, now_ms() from destinations where name = 'd.example'`,
      )
      expect(await givenUp()).to.equal(1)
    })

    it('and adds them up', async () => {
      await world.take([event()])
      expect(await givenUp()).to.equal(2)
      await world.take([servers({ set: ['b.example'] }), event(), event()])
      expect(await givenUp()).to.equal(4)
      expect(await givenUp()).to.equal(4)
    })
  })
})
