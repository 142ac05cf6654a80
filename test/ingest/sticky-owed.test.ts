/** Contract 3, 5.5, 5.6: what is sticky, until when, and to which joiners it is owed. */
import { expect } from 'chai'
import { event, HOUR, makeIngestWorld, purge, redact, ROOM, servers, sticky } from './ingest-world.ts'
import type { EventOptions, IngestWorld } from './ingest-world.ts'

const MINUTE = 60_000

describe('an event is sticky', () => {
  let world: IngestWorld
  let base: number
  beforeEach(async () => {
    world = await makeIngestWorld({ maxStickyMs: 30 * MINUTE })
    await world.take([servers({ set: [] })])
    base = await world.now()
  })
  afterEach(() => world.close())

  /** When it stops being sticky, after its sender's time and after limpet's; and whether it is replayed at all. */
  const taken = async (options: EventOptions) => {
    await world.take([event(options)])
    const [row] = await world.rows<{
      received: number
      until: number | null
      lives: boolean
      expires: number | null
    }>(
      `select e.received_ts as received, e.sticky_until as until, s.pos is not null as lives, s.expires_at as expires
         from events e left join sticky s on s.pos = e.pos order by e.pos desc limit 1`,
    )
    if (row === undefined) throw new Error('it was taken')
    expect(row.received).to.be.within(base, base + 3 * MINUTE)
    if (row.lives) expect(row.expires).to.equal(row.until)
    return { ...row, afterReceived: row.until === null ? null : row.until - row.received }
  }

  it("from when it was sent, if that is before it came: a sender's slow queue is no gift", async () => {
    const originServerTs = base - 3 * MINUTE
    expect(await taken({ originServerTs, stickyMs: 10 * MINUTE })).to.include({
      until: originServerTs + 10 * MINUTE,
      lives: true,
    })
  })

  it('from when it came, if it was sent in the future', async () => {
    const row = await taken({ originServerTs: base + 50 * MINUTE, stickyMs: 10 * MINUTE })
    expect(row).to.include({ afterReceived: 10 * MINUTE, lives: true })
  })

  it('no longer than the cap', async () => {
    const originServerTs = base - MINUTE
    for (const stickyMs of [30 * MINUTE + 1, HOUR, Number.MAX_SAFE_INTEGER])
      expect(await taken({ originServerTs, stickyMs })).to.include({
        until: originServerTs + 30 * MINUTE,
        lives: true,
      })
    expect(await taken({ originServerTs, stickyMs: 30 * MINUTE - 1 })).to.include({
      until: originServerTs + 30 * MINUTE - 1,
    })
  })

  it('no more when it lapsed on its way', async () => {
    expect(await taken({ originServerTs: base - 11 * MINUTE, stickyMs: 10 * MINUTE })).to.include({
      until: base - MINUTE,
      lives: false,
    })
    expect(await taken({ originServerTs: -8_000_000_000_000_000, stickyMs: 10 * MINUTE })).to.include({
      lives: false,
    })
  })

  it('only if it is ours, not flagged, and says an integer duration above zero', async () => {
    const plain = { until: null, lives: false }
    expect(await taken({ stickyMs: MINUTE, sender: '@eve:other.example' })).to.include(plain)
    expect(await taken({ stickyMs: MINUTE, also: { sticky: false } })).to.include(plain)
    expect(await taken({ stickyMs: MINUTE, also: { sticky: true } })).to.include({ lives: true })
    expect(await taken({ stickyMs: 0 })).to.include(plain)
    expect(await taken({ stickyMs: -5 })).to.include(plain)
    expect(await taken({})).to.include(plain)
  })
})

describe('a join is owed the sticky events from before it', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
    await world.take([servers({ set: [] })])
  })
  afterEach(() => world.close())

  const join = (name = 'b.example', room = ROOM) => servers({ add: [name] }, room)
  const leave = (name = 'b.example') => servers({ remove: [name] })
  const moveClock = (byMs: number) =>
    world.pool.query(`insert into settings (key, value) values ('clock_offset_ms', $1)`, [String(byMs)])

  it('where there is one, up to the join', async () => {
    await world.take([sticky()])
    await world.take([join()])
    expect(await world.owed()).to.deep.equal(['b.example up to 3'])
    const [row] = await world.rows('select after_pos, cursor from sticky_owed')
    expect(row).to.deep.equal({ after_pos: 0, cursor: 0 })
  })

  it('whichever way it is said, and by every server of the item', async () => {
    await world.take([sticky()])
    await world.take([servers({ set: ['b.example', 'c.example'] })])
    await world.take([servers({ set: ['b.example', 'd.example'] })])
    expect(await world.owed()).to.deep.equal(['b.example up to 3', 'd.example up to 4'])
  })

  it('not where none is sticky: none of ours, flagged, lapsed, redacted, or in another room', async () => {
    const gone = sticky()
    await world.take([
      event(),
      sticky({ sender: '@eve:other.example' }),
      sticky({ also: { sticky: false } }),
      sticky({ stickyMs: 5_000, originServerTs: Date.now() - 60_000 }),
      sticky({ room: '!other:a.example' }),
      gone,
      redact(gone),
    ])
    await world.take([sticky({ stickyMs: 30_000 })])
    await moveClock(40_000)
    await world.take([join()])
    expect(await world.owed()).to.deep.equal([])
    expect(await world.value('select count(*) from sticky_owed')).to.equal(0)
  })

  for (const [way, run] of [
    ['one request', (items: object[]) => world.take(items)],
    ['one commit', (items: object[]) => Promise.all(items.map((item) => world.take([item])))],
    [
      'several commits',
      async (items: object[]) => {
        for (const item of items) await world.take([item])
      },
    ],
  ] as const) {
    describe(`in ${way}`, () => {
      it('when the event comes first, and not when the join does', async () => {
        await run([sticky(), join(), join('c.example')])
        await run([join('x.example', '!second:a.example'), sticky({ room: '!second:a.example' })])
        expect(await world.owed()).to.deep.equal(['b.example up to 3', 'c.example up to 4'])
        expect(await world.owed('!second:a.example')).to.deep.equal([])
      })

      it('not when it had lapsed before it came', async () => {
        await run([sticky({ stickyMs: 5_000, originServerTs: Date.now() - 60_000 }), join()])
        expect(await world.owed()).to.deep.equal([])
      })

      it('not when it was redacted before the join, but when another one is left', async () => {
        const [first, second] = [sticky(), sticky()]
        await run([first, redact(first), join(), second, join('c.example')])
        expect(await world.owed()).to.deep.equal(['c.example up to 6'])
      })

      it('not when the room was purged before the join', async () => {
        await run([sticky(), purge(), join(), sticky(), join('c.example')])
        expect(await world.owed()).to.deep.equal(['c.example up to 6'])
      })

      it('by a rejoin anew, and not at all after a leave', async () => {
        await run([sticky(), join(), join('c.example'), leave(), join(), leave('c.example')])
        expect(await world.owed()).to.deep.equal(['b.example up to 6'])
        await run([leave()])
        expect(await world.owed()).to.deep.equal([])
      })

      it('by a rejoin not when nothing is sticky any more', async () => {
        const only = sticky()
        await run([only, join(), leave(), redact(only), join()])
        expect(await world.owed()).to.deep.equal([])
      })
    })
  }

  it('all of them again when it rejoins: what went before counts no more', async () => {
    await world.take([sticky(), join()])
    await world.pool.query('update sticky_owed set cursor = 2')
    await world.take([leave(), sticky(), join()])
    expect(await world.rows('select upto, cursor from sticky_owed')).to.deep.equal([{ upto: 6, cursor: 0 }])
  })

  it('not by a server that is there and is added once more', async () => {
    await world.take([join(), sticky()])
    await world.take([join(), servers({ set: ['b.example'] })])
    expect(await world.owed()).to.deep.equal([])
  })
})

describe('a join of a server that is failing', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld({ random: () => 0.5 })
    await world.take([servers({ set: ['b.example', 'c.example', 'd.example'] })])
    await world.pool.query(
      `update destinations set failures = 3, retry_at = now_ms() + 3600000, look_at = now_ms() + 3600000 where name <> 'c.example'`,
    )
  })
  afterEach(() => world.close())

  const advised = async () =>
    (
      await world.rows<{ name: string }>(
        'select name from destinations where advice_at is not null order by name',
      )
    ).map(({ name }) => name)

  it('brings its next attempt forward to the next five seconds, and keeps its failures', async () => {
    const before = await world.now()
    await world.take([servers({ add: ['b.example', 'c.example'] }, '!second:a.example')])
    const after = await world.now()
    expect(await advised()).to.deep.equal(['b.example'])
    const [row] = await world.rows<{
      failures: number
      advice_at: number
      look_at: number
      advice_up: boolean
    }>(`select failures, advice_at, look_at, advice_up from destinations where name = 'b.example'`)
    expect(row).to.include({ failures: 3, advice_up: false })
    // Half of the five seconds, by the dice of this world.
    expect(row?.advice_at).to.be.within(before + 2_500, after + 2_500)
    expect(row?.look_at).to.equal(row?.advice_at)
  })

  it('does so when the join stands before or after a redaction or purge in its request', async () => {
    const told = event()
    await world.take([
      told,
      servers({ add: ['b.example'] }, '!second:a.example'),
      redact(told),
      servers({ add: ['d.example'] }, '!second:a.example'),
    ])
    expect(await advised()).to.deep.equal(['b.example', 'd.example'])
  })

  it('does nothing of the kind when it is there already, leaves, or the request is refused', async () => {
    const told = event()
    await world.take([told, servers({ add: ['b.example'] }), servers({ remove: ['d.example'] })])
    const wrong = { ...redact(event()), event_id: told.event_id }
    await world.take([servers({ add: ['b.example'] }, '!second:a.example'), wrong]).catch(() => undefined)
    expect(await advised()).to.deep.equal([])
  })

  it('is advised as by server_up, which also overrules a 410', async () => {
    await world.take([{ type: 'server_up', server: 'b.example' }])
    expect(await world.value(`select advice_up from destinations where name = 'b.example'`)).to.equal(true)
    expect(await advised()).to.deep.equal(['b.example'])
  })
})
