/** Which followed destination gets which EDU: by hand, and against the plainest reckoning. */
import { expect } from 'chai'
import { makeFollowers, type Followed } from '../../../src/deliver/follow/followers.ts'
import {
  markOf,
  type LoggedAudience,
  type LoggedChange,
  type LoggedEdu,
  type LoggedEvent,
  type LogEntry,
} from '../../../src/store/delivery/log-tail.ts'
import { seeded, type Random } from '../../chaos/random.ts'

const FOREVER = Number.MAX_SAFE_INTEGER
const [ROOM, OTHER_ROOM] = [1, 2]
const SETS: Record<number, number[]> = { 7: [1, 2], 8: [2, 3], 9: [1, 2, 3] }

const edu = (pos: number, more: Partial<LoggedEdu> = {}): LoggedEdu => ({
  ...{ kind: 'edu', pos, eduType: 'org.example', content: '{}', receivedTs: 0, expiresAt: null },
  ...{ durable: false, alone: false, key: null, who: null, to: { room: ROOM }, ...more },
})
const inSet = (id: number): LoggedAudience => ({ id, rooms: SETS[id] ?? [] })
const event = (pos: number, more: Partial<LoggedEvent> = {}): LoggedEvent => ({
  kind: 'event',
  ...{
    pos,
    room: ROOM,
    eventId: `$${pos}`,
    pdu: '{}',
    receivedTs: 0,
    sticky: false,
    addressed: null,
    ...more,
  },
})
const change = (pos: number, what: string, more: Partial<LoggedChange> = {}): LoggedChange => ({
  kind: 'change',
  ...{ what, pos, room: ROOM, target: null, added: [], removed: [], at: 0, ...more },
})
const followed = (id: number, more: Partial<Followed> = {}): Followed => ({
  ...{
    id,
    after: 0,
    durableAfter: 0,
    ephemeralAfter: 0,
    waiting: [],
    durable: [],
    ephemeral: [],
    look: false,
  },
  ...more,
})
const waits = ({ durable, ephemeral }: Followed) => ({
  durable: durable.map((one) => one.edu.pos),
  ephemeral: ephemeral.map((one) => one.edu.pos),
})

interface Stretch {
  id: number
  room: number
  since: number
  until: number
}

/** A log of its own, in which each of `ids` is in each of the first two rooms. */
function stage(ids: readonly number[] = [1, 2]) {
  const followers = makeFollowers()
  const log: LogEntry[] = []
  const stretches: Stretch[] = [ROOM, OTHER_ROOM].flatMap((room) =>
    ids.map((id) => ({ id, room, since: 0, until: FOREVER })),
  )
  const membersOf = (room: number, after: number) => {
    const members = stretches.filter((one) => one.room === room && one.until > after)
    return {
      room,
      destination: members.map(({ id }) => id),
      since: members.map(({ since }) => since),
      until: members.map(({ until }) => until),
    }
  }
  const learn = (rooms: number[], upto: number) => {
    const from = followers.from()
    followers.learn(
      rooms.map((room) => membersOf(room, from)),
      { from, upto },
    )
  }
  const placeAt = (after: number) => {
    const entry = log.findLast(({ pos }) => pos <= after)
    return entry === undefined ? null : markOf(entry)
  }
  return {
    ...{ followers, log, stretches },
    /** One is added as `follow.ts` does. */
    add: (one: Followed) => {
      learn(
        followers.missingSince(Math.min(one.after, one.durableAfter, one.ephemeralAfter)),
        followers.upto(),
      )
      return followers.add(one)
    },
    take: (...entries: LogEntry[]) => {
      const after = followers.upto()
      const place = placeAt(after)
      const last = log.at(-1)?.pos ?? 0
      log.push(...entries.filter(({ pos }) => pos > last))
      const read = { after, place, entries, upto: entries.at(-1)?.pos ?? after, more: false }
      learn(followers.missing(read), read.upto)
      return followers.take(read, 0)
    },
  }
}

describe('EDUs of the followed destinations', () => {
  it('wait in two lists, for those in the room or a room of the set, each once, or on the list', () => {
    const it = stage([1])
    const [inside, outside] = [followed(1), followed(2)]
    for (const one of [inside, outside]) it.add(one)
    const touched = it.take(
      edu(1),
      edu(2, { durable: true, to: inSet(7) }),
      edu(3, { to: { list: [2, 9] } }),
      edu(4, { durable: true, to: { list: [1] } }),
      event(5),
      edu(6, { to: inSet(8) }),
      edu(7, { to: { list: [] } }),
    )
    expect(waits(inside)).to.deep.equal({ durable: [2, 4], ephemeral: [1, 6] })
    expect(waits(outside)).to.deep.equal({ durable: [], ephemeral: [3] })
    expect(inside.waiting.map(({ event: { pos } }) => pos)).to.deep.equal([5])
    expect([...touched].map(({ id }) => id)).to.have.members([1, 2])
    expect([inside.look, outside.look]).to.deep.equal([false, false])
  })

  it('are not for who left before, in a set either, and are for who joined', () => {
    const it = stage([1, 2])
    const [leaves, stays] = [followed(1), followed(2)]
    for (const one of [leaves, stays]) it.add(one)
    it.take(edu(1), edu(2, { to: inSet(7) }))
    it.take(change(3, 'servers', { removed: [1] }), edu(4), edu(5, { to: inSet(7) }))
    it.take(change(6, 'servers', { room: OTHER_ROOM, removed: [1] }), edu(7, { to: inSet(7) }))
    expect(waits(leaves).ephemeral).to.deep.equal([1, 2, 5])
    expect(waits(stays).ephemeral).to.deep.equal([1, 2, 4, 5, 7])
  })

  it('come after the place of their own lane', () => {
    const it = stage()
    it.add(followed(2))
    it.take(edu(1), edu(2, { durable: true }), event(3), edu(4), edu(5, { durable: true }))
    const late = followed(1, { after: 4, durableAfter: 1, ephemeralAfter: 3 })
    expect(it.add(late)).to.equal(true)
    expect(waits(late)).to.deep.equal({ durable: [2, 5], ephemeral: [4] })
    expect(late.waiting).to.deep.equal([])
  })

  it('are read from the beginning of the lane that is farthest back, where nobody was followed', () => {
    const it = stage()
    it.add(followed(1, { after: 9, durableAfter: 3, ephemeralAfter: 5 }))
    expect(it.followers.upto()).to.equal(3)
  })

  it('go with their room: who has one waiting, or is in it, must look; so must who is given one of it later', () => {
    for (const to of [{ room: OTHER_ROOM }, inSet(8)]) {
      const it = stage([])
      it.stretches.push({ id: 1, room: OTHER_ROOM, since: 0, until: 2 })
      const [left, never] = [followed(1), followed(2)]
      for (const one of [left, never]) it.add(one)
      it.take(edu(1, { to }), change(2, 'servers', { room: OTHER_ROOM, removed: [1] }))
      expect(waits(left).ephemeral).to.deep.equal([1])
      it.take(change(3, 'purge', { room: OTHER_ROOM }))
      expect(left).to.include({ look: true })
      expect(waits(left)).to.deep.equal({ durable: [], ephemeral: [] })
      expect(never.look).to.equal(false)
      expect(it.add(followed(3)), 'an EDU that is gone').to.equal(false)
      const known = stage([1])
      const one = followed(1)
      known.add(one)
      known.take(edu(1, { to }))
      known.take(change(2, 'purge', { room: OTHER_ROOM }), edu(3, { to }))
      expect(one.look).to.equal(true)
    }
  })

  it('that wait in a lane that is behind: what was settled of the others before does not make a holder look', () => {
    // A room that was purged and used again since: the log does not say who is in it.
    for (const again of [event(3), edu(3, { durable: true })]) {
      const it = stage([])
      const [one, behind] = [
        followed(1, { after: 3, durableAfter: 3, ephemeralAfter: 0 }),
        followed(2, { after: 2, durableAfter: 2, ephemeralAfter: 3 }),
      ]
      for (const each of [one, behind]) it.add(each)
      it.take(edu(1, { to: { list: [1] } }), change(2, 'purge'), again)
      expect(one.look, again.kind).to.equal(false)
      expect(waits(one).ephemeral).to.deep.equal([1])
      expect(behind.look, again.kind).to.equal(true)
    }
  })

  it('go with their room, although their holder had settled its events behind that already', () => {
    for (const to of [{ room: OTHER_ROOM }, inSet(8)]) {
      const it = stage([2])
      it.add(followed(1))
      it.take(edu(1, { to }), edu(2, { to: { list: [2] } }))
      const [late, other] = [
        followed(2, { after: 3, durableAfter: 3 }),
        followed(3, { after: 3, durableAfter: 3 }),
      ]
      for (const one of [late, other]) expect(it.add(one)).to.equal(true)
      expect(waits(late).ephemeral).to.deep.equal([1, 2])
      it.take(change(3, 'purge', { room: OTHER_ROOM }))
      expect(late).to.include({ look: true })
      expect(waits(late).ephemeral).to.deep.equal([])
      expect(other.look).to.equal(false)
    }
  })

  it('that make a holder look are not read from the log again: else it would look again and again until their time', () => {
    const purged = stage([])
    const many = stage([1])
    const [one, other] = [followed(1, { after: 9, durableAfter: 9 }), followed(1)]
    purged.add(one)
    purged.take(edu(1, { to: { list: [1] } }), change(2, 'purge'), edu(3))
    many.add(other)
    many.take(
      ...Array.from({ length: 1_501 }, (_, index) => edu(index + 1, { key: `${index}`, to: { list: [1] } })),
    )
    many.take(
      ...Array.from({ length: 1_500 }, (_, index) =>
        edu(index + 1_502, { key: `more ${index}`, to: { list: [1] } }),
      ),
    )
    for (const [it, its, at] of [
      [purged, one, 3],
      [many, other, 3_001],
    ] as const) {
      expect(its.look).to.equal(true)
      it.followers.remove(its)
      it.add(followed(2))
      const again = (ephemeralAfter: number) => followed(1, { after: at, durableAfter: at, ephemeralAfter })
      expect(it.followers.knowsSince(at - 1, 1)).to.equal(false)
      expect(it.add(again(at - 1))).to.equal(false)
      expect(it.followers.knowsSince(at - 1, 2), 'another').to.equal(true)
      expect(it.followers.knowsSince(at, 1)).to.equal(true)
      expect(it.add(again(at))).to.equal(true)
    }
  })

  it('stay where an event is redacted or erased', () => {
    const it = stage()
    const one = followed(1)
    it.add(one)
    it.take(edu(1), event(2), edu(3, { durable: true }))
    one.waiting = []
    it.take(change(4, 'redact', { target: 2 }), change(5, 'erase', { target: 2 }))
    expect(one.look).to.equal(false)
    expect(waits(one)).to.deep.equal({ durable: [3], ephemeral: [1] })
  })

  it('that are durable wait up to a thousand; then its rows have them', () => {
    const it = stage()
    const one = followed(1)
    it.add(one)
    it.take(...Array.from({ length: 1_000 }, (_, n) => edu(n + 1, { durable: true })))
    expect(waits(one).durable).to.have.length(1_000)
    const touched = it.take(edu(1_001, { durable: true }))
    expect(one).to.deep.include({ look: true, durable: [] })
    expect(touched.has(one)).to.equal(true)
  })

  it('that replace each other wait however many come, the first with them; many different ones do not', () => {
    const it = stage()
    const one = followed(1)
    it.add(one)
    const keyed = (pos: number) => edu(pos, { eduType: 'm.presence', key: `user ${pos % 1_400}` })
    for (let pos = 1; pos < 20_000; pos += 1_000)
      it.take(...Array.from({ length: 1_000 }, (_, n) => keyed(pos + n)))
    expect(one.look).to.equal(false)
    expect(one.ephemeral.length).to.be.at.most(3_000)
    const positions = waits(one).ephemeral
    expect(positions[0], 'since when they wait').to.equal(1)
    const last = new Map(Array.from({ length: 20_000 }, (_, n) => [(n + 1) % 1_400, n + 1]))
    expect(positions).to.include.members([...last.values()])
    it.take(...Array.from({ length: 3_001 }, (_, n) => edu(20_001 + n)))
    expect(one).to.deep.include({ look: true, ephemeral: [] })
  })

  it('keep no text that is more than 32 MB of the log behind', () => {
    const it = stage()
    const [slow, quick] = [followed(1), followed(2)]
    for (const one of [slow, quick]) it.add(one)
    const content = 'x'.repeat(999_999)
    for (let pos = 1; !slow.look && pos < 99; pos += 1) {
      it.take(edu(pos, { content, durable: pos % 2 === 0 }))
      quick.durable = []
      quick.ephemeral = []
      expect(slow.durable.length + slow.ephemeral.length).to.be.at.most(37)
    }
    expect(slow).to.deep.include({ look: true, durable: [], ephemeral: [] })
    expect(quick.look).to.equal(false)
  })

  it('are another log where another one stands in their place', () => {
    const it = stage()
    const one = followed(1)
    it.add(one)
    it.take(edu(1))
    it.log[0] = edu(1, { receivedTs: 1 })
    it.take(edu(2))
    expect(one.look).to.equal(true)
  })

  it('get exactly what the plainest reckoning gives them, whatever happens in which order', () => {
    for (let seed = 1; seed <= 80; seed += 1) playAgainstTheModel(seeded(seed), `seed ${seed}`)
  })
})

/** A history of some rooms and servers, followed by who comes and goes at any moment. */
function playAgainstTheModel(random: Random, seed: string): void {
  const upTo = (n: number) => 1 + Math.floor(random() * n)
  const it = stage([])
  const { log, stretches, followers } = it
  const here = new Map<number, Followed>()
  let pos = 0

  function append(): void {
    pos += upTo(2)
    const room = upTo(3)
    const dice = random()
    if (dice < 0.7) {
      const kind = upTo(3)
      const list = [1, 2, 3, 4].filter(() => random() < 0.4)
      const to = kind === 1 ? { room } : kind === 2 ? inSet(6 + upTo(3)) : { list }
      log.push(edu(pos, { durable: random() < 0.5, to }))
      return
    }
    const id = upTo(4)
    const open = stretches.find((one) => one.id === id && one.room === room && one.until === FOREVER)
    if (open === undefined) stretches.push({ id, room, since: pos, until: FOREVER })
    else open.until = pos
    log.push(change(pos, 'servers', { room, ...(open === undefined ? { added: [id] } : { removed: [id] }) }))
  }

  const isIn = (id: number, room: number, at: number) =>
    stretches.some((one) => one.id === id && one.room === room && one.since < at && at <= one.until)
  const owed = ({ id, durableAfter, ephemeralAfter }: Followed, durable: boolean) =>
    log.flatMap((entry) => {
      if (entry.kind !== 'edu' || entry.durable !== durable || entry.pos > followers.upto()) return []
      if (entry.pos <= (durable ? durableAfter : ephemeralAfter)) return []
      const { to } = entry
      const gets =
        'list' in to
          ? to.list.includes(id)
          : ('room' in to ? [to.room] : to.rooms).some((room) => isIn(id, room, entry.pos))
      return gets ? [entry.pos] : []
    })

  function follow(): void {
    const id = upTo(4)
    const gone = here.get(id)
    if (gone !== undefined) followers.remove(gone)
    here.delete(id)
    const back = () => Math.max(0, pos - Math.floor(random() * 12))
    const one = followed(id, { after: back(), durableAfter: back(), ephemeralAfter: back() })
    if (it.add(one)) here.set(id, one)
  }

  for (let step = 0; step < 120; step += 1) {
    const dice = random()
    if (dice < 0.5) append()
    else if (dice < 0.65) follow()
    else {
      const upto = Math.min(pos, followers.upto() + upTo(20))
      it.take(...log.filter((entry) => entry.pos > followers.upto() && entry.pos <= upto))
    }
    for (const [id, one] of here) {
      if (one.look) continue
      expect(waits(one), `${seed}, step ${step}, server ${id}`).to.deep.equal({
        durable: owed(one, true),
        ephemeral: owed(one, false),
      })
    }
  }
}
