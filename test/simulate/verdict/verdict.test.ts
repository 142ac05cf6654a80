import { expect } from 'chai'
import { SERVER, START, END, LONG, ROOM, clean, join, leave, said, verdictOn } from './stage.ts'
import type { Sent } from './stage.ts'

const SECOND = 1000
const at = (seconds: number) => START + seconds * SECOND

// A verdict that forgives is worth nothing: each of its rules is broken here once.
describe('the verdict of a story', () => {
  const talk = ['a', 'b', 'c']
  const told = [join(), ...talk.map((id) => said(id))]
  const all: Sent[] = [
    { ids: ['a', 'b'], at: at(1) },
    { ids: ['c'], at: at(2) },
  ]

  it('is clean where everybody got what is theirs', () => {
    expect(verdictOn(told, all)).to.deep.include({ ...clean, owed: 3, received: 3, replayed: 0 })
  })

  it('names the event that is missing', () => {
    const verdict = verdictOn(told, [{ ids: ['a', 'b'], at: at(1) }])
    expect(verdict).to.deep.include({ owed: 3, received: 2, missing: ['$c'] })
  })

  it('counts an event as missing that came only in a transaction which was refused', () => {
    const sent = [all[0]!, { ids: ['c'], at: at(2), processed: false, answered: false }]
    const verdict = verdictOn(told, sent)
    expect(verdict.missing).to.deep.equal(['$c'])
    expect(verdict.faults)
      .to.have.length(1)
      .and.satisfy(([one]: string[]) => /left unanswered/.test(one ?? ''))
  })

  it('names the event that came although it is another room’s, even where the transaction was refused', () => {
    const other = said('x', { room: '!other:us' })
    for (const processed of [true, false]) {
      const sent = [...all, { ids: ['x'], at: at(3), processed }]
      expect(verdictOn([...told, other], sent).notEntitled).to.deep.equal(['$x'])
    }
  })

  it('wants the event that ends a membership, and nothing after it', () => {
    const left = [...told, leave(), said('after')]
    expect(verdictOn(left, all)).to.deep.include(clean)
    expect(verdictOn(left, [...all, { ids: ['after'], at: at(3) }]).notEntitled).to.deep.equal(['$after'])
    expect(verdictOn(left, [all[0]!]).missing).to.deep.equal(['$c'])
  })

  it('gives an event that names its receivers to them alone', () => {
    const private_ = [
      join(),
      said('mine', { room: '!other:us', to: [SERVER] }),
      said('theirs', { to: ['two.example'] }),
    ]
    expect(verdictOn(private_, [{ ids: ['mine'], at: at(1) }])).to.deep.include({ ...clean, owed: 1 })
    expect(verdictOn(private_, [{ ids: ['mine', 'theirs'], at: at(1) }]).notEntitled).to.deep.equal([
      '$theirs',
    ])
    expect(verdictOn(private_, []).missing).to.deep.equal(['$mine'])
  })

  it('knows no event that nobody told, or whose bytes were changed', () => {
    const verdict = verdictOn(told, [...all, { ids: ['changed'], at: at(3) }])
    expect(verdict.notEntitled).to.deep.equal(['$changed'])
    expect(verdict.faults).to.have.length(1)
  })

  it('sees disorder within a transaction and between two', () => {
    for (const sent of [
      [{ ids: ['b', 'a', 'c'], at: at(1) }],
      [
        { ids: ['a', 'c'], at: at(1) },
        { ids: ['b'], at: at(2) },
      ],
    ]) {
      expect(verdictOn(told, sent).faults.join()).to.match(/^\$[ab] .*out of stream order/)
    }
  })

  it('sees an event that comes again under another id', () => {
    const verdict = verdictOn(told, [...all, { ids: ['b'], at: at(3) }])
    expect(verdict.faults).to.deep.equal(['$b was sent again under another transaction id'])
  })

  it('passes on what the server itself holds against its sender', () => {
    expect(
      verdictOn(told, all, {}, { violations: ['transaction x came again with other bytes'] }).faults,
    ).to.deep.equal(['transaction x came again with other bytes'])
    expect(verdictOn(told, all, {}, { mostOpenAtOnce: 2 }).faults).to.deep.equal([
      '2 requests were open at once',
    ])
  })

  it('shows what a dead server is owed as pending', () => {
    expect(verdictOn(told, [], { dead: new Set([SERVER]) })).to.deep.include({
      ...clean,
      owed: 3,
      received: 0,
      pending: 3,
    })
  })

  describe('on sticky events that no answer listed', () => {
    const sticky = [join(), said('s', { stickyMs: LONG })]
    const first: Sent = { ids: ['s'], at: at(1), unlisted: ['s'] }

    it('wants them repeated, not before 15 s', () => {
      expect(verdictOn(sticky, [first]).missing).to.deep.equal(['$s'])
      expect(verdictOn(sticky, [first, { ids: ['s'], at: at(16) }])).to.deep.include({
        ...clean,
        replayed: 1,
      })
      const early = verdictOn(sticky, [first, { ids: ['s'], at: at(6) }])
      expect(early.faults).to.deep.equal(['$s was sent again under another transaction id'])
    })

    it('takes an ordinary event for delivered that was answered and not listed', () => {
      expect(verdictOn([join(), said('o')], [{ ids: ['o'], at: at(1), unlisted: ['o'] }])).to.deep.include(
        clean,
      )
    })
  })

  describe('on a join', () => {
    const stickies = Array.from({ length: 113 }, (_, index) => said(`s${index}`, { stickyMs: LONG }))
    const ids = stickies.map((_, index) => `s${index}`)
    const lapsed = said('lapsed', { stickyMs: 2 * SECOND })
    const late = [said('plain'), lapsed, ...stickies, join(ROOM, at(10))]
    const rules = { quietJoins: [{ server: SERVER, room: ROOM }] }
    const three: Sent[] = [
      { ids: ids.slice(0, 50), at: at(11) },
      { ids: ids.slice(50, 100), at: at(12) },
      { ids: ids.slice(100), at: at(13) },
    ]

    it('wants all that is sticky still, in full transactions', () => {
      const verdict = verdictOn(late, three, rules)
      expect(verdict).to.deep.include({ ...clean, owed: 113, received: 113, replayed: 113 })
      expect(verdict.joinSizes).to.deep.equal([50, 50, 13])
    })

    it('sees one replay too few', () => {
      const short = [three[0]!, three[1]!, { ids: ids.slice(100, 112), at: at(13) }]
      const verdict = verdictOn(late, short, rules)
      expect(verdict.missing).to.deep.equal(['$s112'])
      expect(verdict.faults).to.deep.equal([
        'the 113 replays of the join were not 50 + 50 + 13 in stream order',
      ])
    })

    it('sees a replay out of order', () => {
      const swapped = [three[1]!, { ...three[0]!, at: at(12) }, three[2]!]
      const { missing, faults } = verdictOn(late, swapped, rules)
      expect(missing).to.deep.equal([])
      expect(faults).to.include('$s0 came out of stream order, as a replay')
    })

    it('sees smaller transactions than there could be', () => {
      const small = [
        { ids: ids.slice(0, 40), at: at(11) },
        { ids: ids.slice(40, 90), at: at(12) },
        { ids: ids.slice(90), at: at(13) },
      ]
      expect(verdictOn(late, small, rules).faults).to.have.length(1)
      expect(verdictOn(late, small).faults).to.deep.equal([])
    })

    it('sees a replay of what had lapsed, of what never was sticky, and one from before the join', () => {
      const more = (sent: Sent) => verdictOn(late, [...three, sent])
      const { faults } = verdictOn(late, [{ ids: ['lapsed', ...ids.slice(0, 49)], at: at(11) }])
      expect(faults).to.deep.equal(['$lapsed was replayed after it had lapsed'])
      expect(more({ ids: ['plain'], at: at(14) }).notEntitled).to.deep.equal(['$plain'])
      expect(verdictOn(late, [{ ids: ['s0'], at: at(9) }]).notEntitled).to.deep.equal(['$s0'])
    })

    it('sees a replay to a server that has left again', () => {
      const gone = [...late, leave(ROOM, at(20))]
      expect(verdictOn(gone, three)).to.deep.include(clean)
      expect(verdictOn(gone, [{ ids: ['s0'], at: at(21) }]).notEntitled).to.deep.equal(['$s0'])
      expect(verdictOn(gone, [])).to.deep.include({ ...clean, owed: 0 })
    })
  })

  describe('on a server that was behind', () => {
    // More than the 3 of the rule, the oldest 60 s old when it is back.
    const behind = [
      join(),
      join('!quiet:us'),
      said('s', { room: '!quiet:us', stickyMs: LONG }),
      said('brief', { stickyMs: 2 * SECOND }),
      said('a'),
      said('b'),
      said('q', { room: '!quiet:us' }),
      said('z'),
    ]
    const caughtUp: Sent[] = [
      { ids: ['s', 'q'], at: at(60) },
      { ids: ['z'], at: at(61) },
    ]

    it('lets catch-up send the newest of each room, after what is sticky', () => {
      const verdict = verdictOn(behind, caughtUp)
      expect(verdict).to.deep.include({
        ...clean,
        owed: 6,
        received: 3,
        skipped: 2,
        lapsed: ['$brief'],
        replayed: 1,
      })
    })

    it('lets it send everything as well', () => {
      const sent = [{ ids: ['s', 'brief', 'a', 'b', 'q', 'z'], at: at(2) }]
      expect(verdictOn(behind, sent)).to.deep.include({ ...clean, owed: 6, received: 6, replayed: 0 })
    })

    it('wants the newest of each room', () => {
      expect(verdictOn(behind, [{ ids: ['s', 'q'], at: at(60) }]).missing).to.deep.equal([
        ...['$brief', '$a', '$b', '$z'],
      ])
      expect(verdictOn(behind, [{ ids: ['s', 'z'], at: at(60) }]).missing).to.deep.equal(['$q'])
    })

    it('wants what is sticky, and wants it first', () => {
      expect(verdictOn(behind, [{ ids: ['q', 'z'], at: at(60) }]).missing).to.deep.equal(['$s'])
      const late = verdictOn(behind, [
        { ids: ['z'], at: at(60) },
        { ids: ['s', 'q'], at: at(61) },
      ])
      expect(late.faults.join()).to.match(/catches up although sticky events are still to come/)
    })

    it('sees a replay of what had lapsed', () => {
      const verdict = verdictOn(behind, [
        { ids: ['s', 'brief', 'q'], at: at(60) },
        { ids: ['z'], at: at(61) },
      ])
      expect(verdict.faults).to.deep.equal(['$brief was replayed after it had lapsed'])
    })

    it('wants what is addressed to a server outside the room', () => {
      const alone = [
        ...behind.slice(0, -1),
        said('alone', { room: '!other:us', to: [SERVER] }),
        behind.at(-1)!,
      ]
      expect(verdictOn(alone, caughtUp).missing).to.deep.equal(['$alone'])
    })

    it('lets nothing be skipped where it was not behind: too few, or too young', () => {
      const missing = ['$brief', '$a', '$b']
      expect(verdictOn(behind, caughtUp, { thresholdPdus: 6 }).missing).to.deep.equal(missing)
      expect(verdictOn(behind, caughtUp, { minAgeMs: 61_001 }).missing).to.deep.equal(missing)
      const young = [
        { ids: ['s', 'q'], at: at(3) },
        { ids: ['z'], at: at(4) },
      ]
      expect(verdictOn(behind, young).missing).to.deep.equal(missing)
    })

    it('lets nothing be skipped that came after it had caught up', () => {
      const more = [...behind, said('y1', { at: at(70) }), said('y2', { at: at(70) })]
      expect(verdictOn(more, [...caughtUp, { ids: ['y2'], at: at(71) }]).missing).to.deep.equal(['$y1'])
    })
  })

  it('adds up: every event that is owed has one end', () => {
    expect(END).to.be.above(START)
    const { owed, received, skipped, lapsed, pending, missing } = verdictOn(told, [all[0]!])
    expect(received + skipped + lapsed.length + pending + missing.length).to.equal(owed)
  })
})
