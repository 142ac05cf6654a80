/** Which followed destination gets which new item: by hand, and against the plainest reckoning. */
import { expect } from 'chai'
import { makeFollowers, type Followed } from '../../../src/deliver/follow/followers.ts'
import type { RoomMembers } from '../../../src/store/delivery/follow-flag.ts'
import {
  markOf,
  type LoggedChange,
  type LoggedEvent,
  type LogEntry,
  type LogRead,
} from '../../../src/store/delivery/log-tail.ts'
import { seeded, type Random } from '../../chaos/random.ts'

const FOREVER = Number.MAX_SAFE_INTEGER
const ROOM = 1
const OTHER_ROOM = 2

const event = (pos: number, more: Partial<LoggedEvent> = {}): LoggedEvent => ({
  kind: 'event',
  ...{ pos, room: ROOM, eventId: `$${pos}`, pdu: `{"n":${pos}}`, receivedTs: 0, sticky: false },
  ...{ addressed: null, ...more },
})
const change = (pos: number, what: string, more: Partial<LoggedChange> = {}): LoggedChange => ({
  kind: 'change',
  ...{ what, pos, room: ROOM, target: null, added: [], removed: [], at: 0, ...more },
})
/** The log so far. */
let log: LogEntry[] = []
const read = (after: number, entries: LogEntry[], upto = entries.at(-1)?.pos ?? after) => {
  log.push(...entries)
  const before = log.findLast(({ pos }) => pos <= after)
  return { after, place: before === undefined ? null : markOf(before), entries, upto, more: false }
}
interface Stretch {
  id: number
  room: number
  since: number
  until: number
}
/** The memberships in the database: each server from 1 to 9 in the room, unless a test says something else. */
let stretches: Stretch[] = []
const membersOf = (them: readonly Stretch[], room: number, after: number): RoomMembers => {
  const members = them.filter((one) => one.room === room && one.until > after)
  return {
    room,
    destination: members.map(({ id }) => id),
    since: members.map(({ since }) => since),
    until: members.map(({ until }) => until),
  }
}
/** As `follow.ts` uses them: what is not known of a room is learnt first. */
function make() {
  const followers = makeFollowers()
  const learn = (rooms: number[], upto: number) => {
    const from = followers.from()
    followers.learn(
      rooms.map((room) => membersOf(stretches, room, from)),
      { from, upto },
    )
  }
  return {
    ...followers,
    take: (read: LogRead, now: number) => {
      learn(followers.missing(read), read.upto)
      return followers.take(read, now)
    },
    add: (one: Followed) => {
      learn(followers.missingSince(one.after), followers.upto())
      return followers.add(one)
    },
  }
}
const isIn = (id: number, room: number, since: number, until = FOREVER) => {
  stretches = [...stretches.filter((one) => one.id !== id), { id, room, since, until }]
}
const isNowhere = (id: number) => {
  stretches = stretches.filter((one) => one.id !== id)
}
const followed = (id: number, more: Partial<Followed> = {}): Followed => ({
  ...{ id, after: 0, durableAfter: more.after ?? 0, ephemeralAfter: more.after ?? 0 },
  ...{ waiting: [], durable: [], ephemeral: [], look: false },
  ...more,
})
/** One that is in the room, and one that is not. */
const memberAndOutside = (followers: ReturnType<typeof make>) => {
  isNowhere(2)
  const [member, outside] = [followed(1), followed(2)]
  for (const one of [member, outside]) followers.add(one)
  return { member, outside }
}
const waits = ({ waiting }: Followed) => waiting.map((one) => one.event.pos)

describe('the followed destinations', () => {
  beforeEach(() => {
    log = []
    stretches = Array.from({ length: 9 }, (_, i) => ({ id: i + 1, room: ROOM, since: 0, until: FOREVER }))
  })

  // 300 events of 50 kB wait for each of 200 that take them slowly: the texts are the same, and are kept once. But each
  // may wait for others, and then memory grew with the log.
  it('keep no text that is more than 32 MB of the log behind', () => {
    const followers = make()
    const [slow, quick] = [followed(1), followed(2)]
    followers.add(slow)
    followers.add(quick)
    const pdu = 'x'.repeat(999_999)
    let touched = new Set<Followed>()
    for (let pos = 1; !slow.look && pos < 99; pos += 1) {
      touched = followers.take(read(pos - 1, [event(pos, { pdu })]), 0)
      expect(waits(quick)).to.deep.equal([pos])
      quick.waiting = []
      expect(slow.waiting.length, 'what waits').to.be.at.most(37)
    }
    expect(slow).to.include({ look: true })
    expect(slow.waiting).to.deep.equal([])
    expect(touched.has(slow)).to.equal(true)
    expect(quick.look).to.equal(false)
  })

  it('get what comes after their own place, in order, while they are in its room', () => {
    const followers = make()
    const all = followed(1)
    const late = followed(2, { after: 2 })
    isIn(3, ROOM, 0, 3)
    const left = followed(3)
    isIn(4, ROOM, 3)
    const joined = followed(4)
    isNowhere(5)
    const elsewhere = followed(5)
    for (const one of [all, late, left, joined, elsewhere]) followers.add(one)
    const entries = [1, 2, 3, 4].map((pos) => event(pos))
    const touched = followers.take(read(0, [...entries, event(5, { room: OTHER_ROOM })]), 7)
    expect([all, late, left, joined, elsewhere].map(waits)).to.deep.equal([
      [1, 2, 3, 4],
      [3, 4],
      [1, 2, 3],
      [4],
      [],
    ])
    expect([...touched].map(({ id }) => id)).to.have.members([1, 2, 3, 4])
    expect(all.waiting[0]).to.include({ readAt: 7 })
    expect(followers.upto()).to.equal(5)
  })

  it('get what is addressed to them, and not what leaves them out', () => {
    const followers = make()
    const { member, outside } = memberAndOutside(followers)
    followers.take(
      read(0, [
        event(1, { addressed: { exact: false, list: [2], less: [] } }),
        event(2, { addressed: { exact: false, list: [], less: [1] } }),
        event(3, { addressed: { exact: true, list: [2, 9], less: [] } }),
        event(4, { addressed: { exact: true, list: [], less: [] } }),
        event(5, { addressed: { exact: false, list: [1], less: [] } }),
      ]),
      0,
    )
    expect(waits(member), 'each once').to.deep.equal([1, 5])
    expect(waits(outside)).to.deep.equal([1, 3])
  })

  it('are given nothing after a kick, and the kick itself', () => {
    const followers = make()
    const kicked = followed(1)
    const kickedLater = followed(2)
    for (const one of [kicked, kickedLater]) followers.add(one)
    isIn(1, ROOM, 0, 2)
    followers.take(read(0, [event(1), change(2, 'servers', { removed: [1] }), event(3)]), 0)
    followers.take(read(3, [change(4, 'servers', { removed: [2] }), event(5)]), 0)
    expect(waits(kicked)).to.deep.equal([1])
    expect(waits(kickedLater), 'as the log says, not the members that were read').to.deep.equal([1, 3])
    expect(kicked.look, 'a leave is nothing to look at').to.equal(false)
  })

  it('must look at their rows after a join, and are given nothing until they have', () => {
    const followers = make()
    const joining = followed(1)
    const other = followed(2)
    for (const one of [joining, other]) followers.add(one)
    const touched = followers.take(
      read(0, [event(1), change(2, 'servers', { room: OTHER_ROOM, added: [1] }), event(3)]),
      0,
    )
    expect(joining).to.include({ look: true })
    expect(waits(joining)).to.deep.equal([])
    expect(waits(other)).to.deep.equal([1, 3])
    expect(touched).to.include(joining)
  })

  it('must look when a text goes that waits for them, or a room of theirs, or when something unknown happens', () => {
    const cases: [LoggedChange, boolean[]][] = [
      [change(3, 'redact', { target: 1 }), [true, false]],
      [change(3, 'redact', { target: 2 }), [false, true]],
      [change(3, 'redact', { target: null }), [false, false]],
      [change(3, 'erase', { target: 1 }), [true, false]],
      [change(3, 'erase', { target: null }), [true, true]],
      [change(3, 'purge', { room: OTHER_ROOM }), [false, true]],
      [change(3, 'of a later release'), [true, true]],
    ]
    for (const [what, expected] of cases) {
      const followers = make()
      const { member, outside } = memberAndOutside(followers)
      followers.take(
        read(0, [event(1), event(2, { room: OTHER_ROOM, addressed: { exact: true, list: [2], less: [] } })]),
        0,
      )
      followers.take(read(2, [what]), 0)
      expect([member.look, outside.look], `${what.what} of ${what.target ?? what.room}`).to.deep.equal(
        expected,
      )
    }
  })

  it('who are added a moment later get what was read meanwhile, joins too, if it is still known', () => {
    const followers = make()
    followers.add(followed(1))
    followers.take(
      read(0, [event(1), event(2), change(3, 'servers', { room: OTHER_ROOM, added: [7] }), event(4)]),
      5,
    )
    const late = followed(2, { after: 1 })
    expect(followers.knowsSince(1, 1)).to.equal(true)
    expect(followers.add(late)).to.equal(true)
    expect(waits(late)).to.deep.equal([2, 4])
    const joined = followed(7, { after: 2 })
    followers.add(joined)
    expect(joined.look).to.equal(true)
    const afterIt = followed(7, { after: 3 })
    followers.add(afterIt)
    expect(waits(afterIt)).to.deep.equal([4])
  })

  it('who are added after a text was taken away never get it', () => {
    const takes = [change(3, 'redact', { target: 2 }), change(3, 'erase', { target: 2 })]
    for (const gone of [...takes, change(3, 'purge'), change(3, 'erase')]) {
      const followers = make()
      isNowhere(1)
      followers.add(followed(1))
      followers.take(read(0, [event(1), event(2), gone, event(4)]), 0)
      const late = followed(2, { after: 1 })
      expect(followers.knowsSince(1, 1), gone.what).to.equal(false)
      expect(followers.add(late), gone.what).to.equal(false)
      expect(waits(late)).to.deep.equal([])
      const later = followed(3, { after: 3 })
      expect(followers.add(later)).to.equal(true)
      expect(waits(later)).to.deep.equal([4])
    }
  })

  it('begin where the first of them stands, also behind what was read before, and leave no hole', () => {
    const followers = make()
    const first = followed(1, { after: 10 })
    followers.add(first)
    followers.take(read(10, [event(11)], 20), 0)
    followers.remove(first)
    const behind = followed(2, { after: 5 })
    expect(followers.knowsSince(5, 1)).to.equal(true)
    expect(followers.add(behind)).to.equal(true)
    expect(followers.upto()).to.equal(5)
    // Begun before it was added: between 5 and 20 it knows nothing.
    followers.take(read(20, [event(21)]), 0)
    expect(followers.upto()).to.equal(5)
    followers.take(read(5, [event(11), event(21)]), 0)
    expect(waits(behind)).to.deep.equal([11, 21])
    // Begun before the place from which it goes on: what is known already comes once.
    followers.take(read(5, [event(11), event(21), event(22)]), 0)
    expect(waits(behind)).to.deep.equal([11, 21, 22])
  })

  it('are gone only when they themselves are removed, not who came in their place', () => {
    const followers = make()
    const before = followed(1)
    followers.add(before)
    followers.remove(before)
    const now = followed(1)
    followers.add(now)
    followers.remove(before)
    expect(followers.size()).to.equal(1)
    followers.take(read(0, [event(1), event(2, { addressed: { exact: true, list: [1], less: [] } })]), 0)
    expect(waits(now)).to.deep.equal([1, 2])
    expect(waits(before)).to.deep.equal([])
  })

  it('take the place of who was there before under the same id', () => {
    const followers = make()
    const before = followed(1)
    followers.add(before)
    const now = followed(1)
    followers.add(now)
    followers.take(read(0, [event(1)]), 0)
    expect(waits(before)).to.deep.equal([])
    expect(waits(now)).to.deep.equal([1])
    expect(followers.size()).to.equal(1)
  })

  it('must look where their room went and is there again in one read: only the rows know who is in it', () => {
    const followers = make()
    const one = followed(1)
    followers.add(one)
    followers.take(read(0, [event(1)]), 0)
    followers.take(read(1, [change(2, 'purge'), change(3, 'servers', { added: [2] }), event(4)]), 0)
    expect(one).to.deep.include({ look: true, waiting: [] })
  })

  it('are given nothing by members that were read before the log moved past them', () => {
    const followers = makeFollowers()
    const one = followed(1)
    followers.add(one)
    const range = { from: followers.from(), upto: followers.upto() }
    const members = [membersOf(stretches, ROOM, 0)]
    followers.take(read(0, [change(1, 'servers', { removed: [1] })]), 0)
    followers.learn(members, range)
    expect(followers.missing(read(1, [event(2)])), 'it was not learnt').to.deep.equal([ROOM])
  })

  it('keep no more than a thousand that wait, nor more than some thousand entries, nor many bytes', () => {
    const followers = make()
    const slow = followed(1)
    followers.add(slow)
    const positions = (from: number, n: number) => Array.from({ length: n }, (_, i) => from + i)
    followers.take(
      read(
        0,
        positions(1, 1_000).map((pos) => event(pos)),
      ),
      0,
    )
    expect(slow.waiting).to.have.length(1_000)
    followers.take(read(1_000, [event(1_001)]), 0)
    expect(slow).to.deep.include({ look: true, waiting: [] })
    followers.take(
      read(
        1_001,
        positions(1_002, 9_000).map((pos) => event(pos)),
      ),
      0,
    )
    expect(followers.knowsSince(5_000, 1)).to.equal(false)
    expect(followers.knowsSince(9_500, 1)).to.equal(true)
    const large = 'x'.repeat(60_000)
    followers.take(
      read(
        10_001,
        positions(10_002, 1_000).map((pos) => event(pos, { pdu: large })),
      ),
      0,
    )
    expect(followers.knowsSince(10_001, 1), '60 MB of texts').to.equal(false)
    expect(followers.knowsSince(followers.upto(), 1), 'its own end').to.equal(true)
  })

  it('know nothing any more of a log that has become shorter than what was read of it', () => {
    const followers = make()
    const one = followed(1)
    followers.add(one)
    followers.take(read(0, [event(1), event(2), event(3)]), 0)
    // A database that came back without its newest commits.
    log = log.slice(0, 2)
    const touched = followers.take(read(3, [], 2), 0)
    expect([...touched]).to.deep.equal([one])
    expect(one).to.deep.include({ look: true, waiting: [] })
    expect(followers.upto()).to.equal(2)
    const again = followed(2, { after: 2 })
    expect(followers.add(again)).to.equal(true)
    expect(waits(again), 'nothing of what never was').to.deep.equal([])
    followers.take(read(2, [event(3, { pdu: 'another' })]), 0)
    expect(again.waiting.map((it) => it.event.pdu)).to.deep.equal(['another'])
  })

  describe('look at the rows where the log has become another one and has grown past what was read of it', () => {
    const before = [event(97), event(98)]
    const others: [string, LogEntry[], LogEntry[], number?][] = [
      ['by another event', [event(99)], [event(99, { eventId: '$another' })]],
      [
        'by the same event after another one',
        [event(99), event(100)],
        [event(99, { eventId: '$another' }), event(100, { receivedTs: 1 })],
      ],
      ['by a change', [event(99)], [change(99, 'servers', { added: [9] })]],
      [
        'by the same change after another event',
        [event(99), change(100, 'servers')],
        [event(99, { eventId: '$another' }), change(100, 'servers', { at: 1 })],
      ],
      ['at a place where nothing stood', [event(99)], [event(100)], 100],
      ['at a place where nothing stands now', [event(99)], [], 100],
    ]
    for (const [how, lost, instead, upto] of others) {
      it(how, () => {
        const followers = make()
        const one = followed(1)
        followers.add(one)
        followers.take(read(0, before), 0)
        followers.take(read(98, lost, upto), 0)
        one.waiting = []
        log = [...before, ...instead]
        const touched = followers.take(read(followers.upto(), [event(101)]), 0)
        expect([...touched]).to.deep.equal([one])
        expect(one).to.deep.include({ look: true, waiting: [] })
        const again = followed(2, { after: 100 })
        expect(followers.add(again), 'nothing is known of before').to.equal(false)
        // From now on it is this log.
        const late = followed(3, { after: 101 })
        expect(followers.add(late)).to.equal(true)
        followers.take(read(101, [event(102)]), 0)
        expect(late).to.deep.include({ look: false })
        expect(waits(late)).to.deep.equal([102])
      })
    }

    it('and not where it only grew, has holes, or an entry was redacted', () => {
      const followers = make()
      const one = followed(1)
      followers.add(one)
      followers.take(read(0, [], 5), 0)
      followers.take(read(5, [event(6)], 9), 0)
      followers.take(read(9, [], 20), 0)
      log[0] = event(6, { pdu: 'redacted' })
      followers.take(read(20, [change(21, 'servers')], 30), 0)
      followers.take(read(30, [event(31)]), 0)
      expect(one.look).to.equal(false)
      expect(waits(one)).to.deep.equal([6, 31])
    })
  })

  it('get exactly what the plainest reckoning gives them, whatever happens in which order', () => {
    for (let seed = 1; seed <= 80; seed += 1) playAgainstTheModel(seeded(seed), `seed ${seed}`)
  })
})

/** A history of some rooms and servers, followed by who comes and goes at any moment. */
function playAgainstTheModel(random: Random, seed: string): void {
  const upTo = (n: number) => 1 + Math.floor(random() * n)
  const some = (n: number) => Array.from({ length: n }, (_, i) => i + 1).filter(() => random() < 0.4)
  const log: LogEntry[] = []
  /** Every stretch of membership that ever was. */
  const stretches: Stretch[] = []
  const followers = makeFollowers()
  const here = new Map<number, { one: Followed; mayMiss: boolean }>()
  let pos = 0

  function append(): void {
    pos += upTo(3)
    const room = upTo(3)
    const dice = random()
    if (dice < 0.6) {
      const exact = random() < 0.5
      const addressed = random() < 0.7 ? null : { exact, list: some(4), less: exact ? [] : some(4) }
      log.push(event(pos, { room, addressed }))
    } else if (dice < 0.9) {
      const id = upTo(4)
      const open = stretches.find((one) => one.id === id && one.room === room && one.until === FOREVER)
      if (open === undefined) stretches.push({ id, room, since: pos, until: FOREVER })
      else open.until = pos
      log.push(
        change(pos, 'servers', { room, ...(open === undefined ? { added: [id] } : { removed: [id] }) }),
      )
    } else {
      const events = log.filter((one) => one.kind === 'event')
      const target = events[Math.floor(random() * events.length)]?.pos ?? null
      log.push(change(pos, 'redact', { room, target }))
    }
  }

  const owed = (id: number, after: number, upto: number): number[] =>
    log.flatMap((entry) => {
      if (entry.kind !== 'event' || entry.pos <= after || entry.pos > upto) return []
      const { addressed } = entry
      const isIn = stretches.some(
        (one) => one.id === id && one.room === entry.room && one.since < entry.pos && entry.pos <= one.until,
      )
      const gets =
        addressed === null
          ? isIn
          : addressed.list.includes(id) || (!addressed.exact && isIn && !addressed.less.includes(id))
      return gets ? [entry.pos] : []
    })
  const joinsAfter = (id: number, after: number) =>
    log.some(
      (entry) =>
        entry.kind === 'change' &&
        entry.pos > after &&
        entry.pos <= followers.upto() &&
        entry.added.includes(id),
    )

  function follow(): void {
    const id = upTo(4)
    const gone = here.get(id)
    if (gone !== undefined) followers.remove(gone.one)
    here.delete(id)
    const after = Math.max(0, pos - Math.floor(random() * 12))
    const one = followed(id, { after })
    const range = { from: followers.from(), upto: followers.upto() }
    const learnt = followers.missingSince(after).map((room) => membersOf(stretches, room, range.from))
    // The log moves on while they are read.
    if (random() < 0.2) append()
    if (random() < 0.2) look()
    followers.learn(learnt, range)
    if (!followers.add(one)) return
    here.set(id, { one, mayMiss: false })
  }

  function placeAt(after: number) {
    const entry = log.findLast((one) => one.pos <= after)
    return entry === undefined ? null : markOf(entry)
  }

  function look(): void {
    const after = random() < 0.2 ? Math.max(0, followers.upto() - upTo(9)) : followers.upto()
    const upto = Math.min(pos, after + upTo(20))
    const entries = log.filter((entry) => entry.pos > after && entry.pos <= upto)
    const read = { after, upto, more: false, place: placeAt(after), entries }
    const from = followers.from()
    followers.learn(
      followers.missing(read).map((room) => membersOf(stretches, room, from)),
      { from, upto },
    )
    followers.take(read, 0)
  }

  for (let step = 0; step < 120; step += 1) {
    const dice = random()
    if (dice < 0.5) append()
    else if (dice < 0.65) follow()
    else look()
    for (const [id, { one }] of here) {
      if (one.look) {
        expect(waits(one), seed).to.deep.equal([])
        continue
      }
      expect(waits(one), `${seed}, step ${step}, server ${id}`).to.deep.equal(
        owed(id, one.after, followers.upto()),
      )
      expect(joinsAfter(id, one.after), `${seed}, step ${step}: a join was not seen`).to.equal(false)
    }
  }
}
