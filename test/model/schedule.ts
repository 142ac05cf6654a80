/**
 * What can happen: a schedule is a list of commands, drawn and shrunk by fast-check.
 *
 * Commands name rooms and events by small numbers that are looked up when the command runs, so that a
 * schedule stays sensible when others are taken out of it.
 */
import fc from 'fast-check'
import { GLOBS, type Sender, type Server } from './driver.ts'
import type { At } from './process.ts'
import type { Remote } from './remote.ts'

export const SECOND = 1_000
export const MINUTE = 60_000
export const HOUR = 3_600_000
export const DAY = 86_400_000

/** Whom an event is for; `us` is the destination that is watched. */
export type Audience = 'room' | 'to us' | 'to nobody' | 'also to us' | 'not to us'
/** Two processes that deliver, and two that take items. */
export type By = 'A' | 'B'
export type Door = '1' | '2'

/** The process is held before that step, others act, and then: */
export interface Break {
  at: At
  happens: Command[]
  then: Then
}
export type Then = 'goes on' | 'dies' | 'is stopped' | 'is overtaken'

/** From a source that has told the room and goes by that: nothing of it is taken where limpet does not know the room any more. */
export interface Follows {
  do: 'follows'
  room: number
  what: 'event' | 'join'
  stickyMs: number | null
  door: Door
  break: Break | null
}

/** The event that is `back` before the newest, or what is stored of its sender; `among`: between two events of that sender, in one request. */
export interface Erase {
  do: 'erase'
  what: 'event' | 'sender'
  back: number
  among: boolean
  door: Door
  break: Break | null
}

/** `count` of them; each of another kind is another thing, of the same one replaces the one before it. */
export interface GivesEdus {
  do: 'edu'
  kind: 'message' | 'device list' | 'keyed' | 'receipt' | 'receipts' | 'typing' | 'presence' | 'other' | 'off'
  /** Receipts and typing go to their room. */
  to: 'us' | 'both' | 'other' | 'room' | 'rooms'
  room: number
  user: Sender
  /** Typing, or online; of what has a key: it is durable. */
  on: boolean
  count: number
  ttlMs: number | null
  size: number
  alone: boolean
  door: Door
  break: Break | null
}

export type Command =
  | GivesEdus
  | {
      do: 'append'
      room: number
      count: number
      stickyMs: number | null
      audience: Audience
      size: number
      /** The first of them, and every second one, is sent alone. */
      odd?: boolean
      door: Door
      break: Break | null
    }
  | { do: 'join' | 'leave' | 'rejoin' | 'kick' | 'purge'; room: number; door: Door; break: Break | null }
  /** The room's whole list: with us, without us, or without us and we stay if we are in it. */
  | { do: 'set'; room: number; us: 'in it' | 'out of it' | 'kept'; door: Door; break: Break | null }
  | Follows
  /** Of the event that is `back` before the newest. */
  | { do: 'redact'; back: number; door: Door; break: Break | null }
  | Erase
  /** Only the database's clock is moved. */
  | { do: 'clock'; byMs: number }
  | { do: 'process clock'; by: By; byMs: number }
  | { do: 'time'; ms: number }
  | { do: 'remote'; remote: Remote }
  /** Of one process: it connects to nobody, and what it has sent is not answered. */
  | { do: 'uplink'; by: By; is: 'gone' | 'back' }
  | { do: 'operator'; wish: 'wake' | 'pause' | 'resume' | 'reset' | 'skip' }
  | { do: 'server up' }
  /** By an operator, of what is set aside for us, `nth` of these: or the first held room; named as ours, or as another's. */
  | { do: 'quarantine'; act: 'retry' | 'drop'; kind: 'pdu' | 'edu' | 'room'; nth: number; of: Server }
  /** By an operator. */
  | { do: 'block' | 'unblock'; glob: (typeof GLOBS)[number] }
  /** A job for us. */
  | { do: 'turn'; by: By; break: Break | null }
  /** Half a second passes for it: it follows the log, looks for what is due, and takes a job where there is one. */
  | { do: 'tick'; by: By; break: Break | null }
  | { do: 'sweep'; break: Break | null }
  /** What is older than an hour leaves the log. */
  | { do: 'retention'; break: Break | null }
  /** Time passes until the next attempt is due, and both tick. */
  | { do: 'until due' }
  | { do: 'dies'; by: By }
  | { do: 'lease lost'; by: By; notices: boolean }
  /** One that was stopped. */
  | { do: 'goes on'; by: By; notices: boolean }
  | { do: 'queue is emptied' }
  | { do: 'back up' }
  | { do: 'restore' }
  /** To a state without what `lost` brought; `then` comes before what was lost is given again. */
  | { do: 'fails over'; lost: Command[]; then: Command[] }

export const ROOMS = 3

/** Much happens in one room. */
export const room = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.nat({ max: ROOMS - 1 }) },
)
export const by = fc.constantFrom<By[]>('A', 'A', 'B')
export const door = fc.constantFrom<Door[]>('1', '1', '2')
const stickyMs = fc.oneof(
  { weight: 5, arbitrary: fc.constant(null) },
  {
    weight: 5,
    arbitrary: fc.constantFrom(20 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 5 * HOUR),
  },
)
const audience = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Audience>('room') },
  { weight: 2, arbitrary: fc.constantFrom<Audience[]>('to us', 'to nobody', 'also to us', 'not to us') },
)
const count = fc.oneof(
  { weight: 4, arbitrary: fc.constant(1) },
  { weight: 3, arbitrary: fc.integer({ min: 2, max: 9 }) },
)
const size = fc.constantFrom(60, 60, 60, 300, 900)
const none = fc.constant(null)

const items = (holds: fc.Arbitrary<Break | null>): [number, fc.Arbitrary<Command>][] => [
  [
    8,
    fc.record({
      do: fc.constant('append'),
      room,
      count,
      stickyMs,
      audience,
      size,
      door,
      break: holds,
    }),
  ],
  [
    4,
    fc.record({
      do: fc.constantFrom(
        ...['join', 'join', 'join', 'leave', 'rejoin', 'rejoin', 'rejoin', 'rejoin', 'kick', 'purge'],
      ),
      ...{ room, door, break: holds },
    }) as fc.Arbitrary<Command>,
  ],
  [
    1,
    fc.record({
      do: fc.constant('redact'),
      back: fc.nat({ max: 8 }),
      door,
      break: holds,
    }),
  ],
  [
    1,
    fc.record({
      ...{ do: fc.constant('set'), room, us: fc.constantFrom('in it', 'out of it', 'kept', 'kept') },
      ...{ door, break: holds },
    }),
  ],
  [
    1,
    fc.record({
      ...{ do: fc.constant('follows'), room, what: fc.constantFrom('event', 'event', 'join') },
      ...{ stickyMs, door, break: holds },
    }),
  ],
]

const byMs = fc.constantFrom(SECOND, 16 * SECOND, 6 * MINUTE, HOUR, -30 * SECOND, -30 * SECOND, -HOUR)
const ms = fc.constantFrom(
  SECOND,
  3 * SECOND,
  6 * SECOND,
  16 * SECOND,
  MINUTE,
  6 * MINUTE,
  20 * MINUTE,
  HOUR,
  DAY,
)
const remote = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      does: fc.constant('answers' as const),
      lists: fc.constantFrom('all', 'all', 'all', 'nothing', 'odd ids', 'without pdus'),
      takesMs: fc.constantFrom(40, 40, 40, 3 * SECOND, 12 * SECOND),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ does: 'refuses the connection' as const }) },
  { weight: 1, arbitrary: fc.constant({ does: 'is not found' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant('is looked for' as const),
      as: fc.constantFrom('slow' as const, 'no place' as const),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ does: 'times out' as const }) },
  { weight: 2, arbitrary: fc.constant({ does: 'drops the answer' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('fails' as const),
      status: fc.constantFrom(500 as const, 503 as const, 429 as const, 410 as const),
      retryAfterMs: fc.constantFrom(null, 2 * SECOND, 3 * DAY),
    }),
  },
) as fc.Arbitrary<Remote>

/** What needs no process of limpet to be done. */
const events: [number, fc.Arbitrary<Command>][] = [
  [3, fc.record({ do: fc.constant('time'), ms })],
  [1, fc.record({ do: fc.constant('clock'), byMs })],
  [1, fc.record({ do: fc.constant('process clock'), by, byMs })],
  [
    3,
    fc.record({
      do: fc.constant('operator'),
      wish: fc.constantFrom('wake', 'pause', 'resume', 'resume', 'reset', 'skip'),
    }),
  ],
  [1, fc.constant<Command>({ do: 'server up' })],
  [1, fc.record({ do: fc.constant('lease lost'), by, notices: fc.boolean() })],
  [1, fc.constant<Command>({ do: 'queue is emptied' })],
]

const acts = (holds: fc.Arbitrary<Break | null>): [number, fc.Arbitrary<Command>][] => [
  [8, fc.record({ do: fc.constant('turn'), by, break: holds })],
  [6, fc.record({ do: fc.constant('tick'), by, break: holds })],
  [2, fc.record({ do: fc.constant('sweep'), break: holds })],
  [2, fc.record({ do: fc.constant('retention'), break: holds })],
]

const oneOf = (weighed: [number, fc.Arbitrary<Command>][]) =>
  fc.oneof(...weighed.map(([weight, arbitrary]) => ({ weight, arbitrary })))

/** Others act while one is held; they are not held themselves. */
export const inner = oneOf([...items(none), ...events, ...acts(none)])

const at = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 24 }) },
  { weight: 3, arbitrary: fc.constant('the answer') },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...[
        'look at the destination',
        'read the timeline',
        'acknowledge and freeze',
        'the request',
        'the answer',
        'commit',
      ],
      ...[
        'end the attempt',
        'acknowledge and freeze',
        'let go',
        'begin',
        'begin to follow',
        'follow the log',
      ],
    ),
  },
)
export const holds: fc.Arbitrary<Break | null> = fc.oneof(
  { withCrossShrink: true },
  { weight: 3, arbitrary: none },
  {
    weight: 3,
    arbitrary: fc.record({
      at,
      happens: fc.array(inner, { maxLength: 3 }),
      then: fc.constantFrom<Then[]>(
        'goes on',
        'goes on',
        'goes on',
        'dies',
        'dies',
        'is stopped',
        'is overtaken',
      ),
    }),
  },
)

const plain = { stickyMs: null, audience: 'room', size: 60, door: '1', break: null } as const
export const talk = (one: number): Command => ({ do: 'append', room: one, count: 1, ...plain })

/** Others that may come between an answer and what is sent next. */
const meanwhile = fc.oneof(
  { weight: 6, arbitrary: inner },
  {
    weight: 2,
    arbitrary: fc.record({
      ...{ do: fc.constant('redact' as const), back: fc.nat({ max: 2 }), door, break: none },
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remote' as const), remote }) },
) as fc.Arbitrary<Command>

/** New things come while a request is under way: what is read of them waits in memory for its answer. */
const busy: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, way: fc.constantFrom('turn' as const, 'tick' as const) },
    first: fc.oneof({ weight: 2, arbitrary: none }, { weight: 1, arbitrary: oneOf(items(none)) }),
    more: fc.array(meanwhile, { maxLength: 2 }),
    then: fc.constantFrom<Then[]>('goes on', 'goes on', 'goes on', 'goes on', 'dies', 'is overtaken'),
  })
  .map(({ by, room, way, first, more, then }) => {
    const happens: Command[] = [first ?? talk(room), { do: 'tick', by, break: null }, ...more]
    const held: Command = { do: way, by, break: { at: 'the answer', happens, then } }
    // After a turn it is followed.
    return way === 'turn'
      ? [talk(room), held]
      : [talk(room), { do: 'turn', by, break: null }, talk(room), held]
  })

/** We are in a room, and somebody serves us there. */
const served: fc.Arbitrary<Command[]> = fc
  .record({ by, room })
  .map(({ by, room }) => [
    { do: 'join', room, door: '1', break: null },
    talk(room),
    { do: 'turn', by, break: null },
  ])

/** Something happens while a request is under way that fails. */
const failing: fc.Arbitrary<Command[]> = fc
  .record({ by, room, remote, happens: fc.array(inner, { minLength: 1, maxLength: 2 }) })
  .map(({ by, room, remote, happens }) => [
    { do: 'remote', remote },
    talk(room),
    { do: 'turn', by, break: { at: 'the answer', happens, then: 'goes on' } },
    { do: 'turn', by, break: null },
  ])

const command = oneOf([
  ...items(holds),
  ...events,
  ...acts(holds),
  [4, fc.record({ do: fc.constant('remote'), remote })],
  [3, fc.constant<Command>({ do: 'until due' })],
  [1, fc.record({ do: fc.constant('dies'), by })],
  [2, fc.record({ do: fc.constant('goes on'), by, notices: fc.boolean() })],
  [1, fc.constant<Command>({ do: 'back up' })],
  [1, fc.constant<Command>({ do: 'restore' })],
])

/** Nobody serves us for so long that catch-up begins. */
const behind: fc.Arbitrary<Command[]> = fc
  .record({ by, room, one: oneOf(items(none)), other: oneOf(items(none)), hold: holds })
  .map(({ by, room, one, other, hold }) => [
    { ...talk(room), count: 7 } as Command,
    one,
    { do: 'time', ms: 6 * MINUTE },
    other,
    { do: 'turn', by, break: hold },
  ])

/** Something gets old before it is sent, and leaves the log. */
const old: fc.Arbitrary<Command[]> = fc
  .record({ by, room, one: oneOf(items(none)), hold: holds, then: inner })
  .map(({ by, room, one, hold, then }) => [
    talk(room),
    one,
    { do: 'time', ms: 2 * HOUR },
    then,
    { do: 'retention', break: hold },
    { do: 'turn', by, break: null },
  ])

/** We fell behind in all rooms; while what is missing of them is looked up, two of them are forgotten. */
const spread: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, order: fc.shuffledSubarray([0, 1, 2], { minLength: ROOMS }) },
    at: fc.constantFrom('read the rooms of the gap', 'read texts', 'begin', 'move the position on'),
    more: fc.array(inner, { maxLength: 1 }),
  })
  .map(({ by, order, at, more }) => {
    const [one = 0, other = 1, left = 2] = order
    const forgotten = [one, other].map((room): Command => ({ do: 'purge', room, door: '1', break: null }))
    return [
      ...order.map((room): Command => ({ do: 'join', room, door: '1', break: null })),
      { ...talk(one), count: 5 } as Command,
      talk(other),
      talk(left),
      { do: 'time', ms: 6 * MINUTE },
      { do: 'turn', by, break: { at, happens: [...forgotten, ...more], then: 'goes on' } },
    ]
  })

/** What was so when a transaction was planned is so no more when it is frozen. */
const narrowed: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, at: fc.constantFrom('begin', 'acknowledge and freeze', 'let go') },
    first: fc.constantFrom<('turn' | 'tick')[]>('turn', 'tick'),
    what: fc.constantFrom(...(['pause', 'pause', 'leave', 'leave', 'kick', 'rejoin', 'purge'] as const)),
    sticky: fc.boolean(),
  })
  .map(({ by, room, at, first, what, sticky }) => {
    const takenAway: Command =
      what === 'pause' ? { do: 'operator', wish: what } : { do: what, room, door: '1', break: null }
    const hold: Break = { at, happens: [takenAway], then: 'goes on' }
    const told: Command = { do: 'append', room, count: 1, ...plain, stickyMs: sticky ? HOUR : null }
    const again: Command[] = sticky ? [{ do: 'rejoin', room, door: '1', break: null }] : []
    return [{ do: 'join', room, door: '1', break: null }, told, ...again, { do: first, by, break: hold }]
  })

/**
 * Somebody waits for our row until the lease of who has us, as it stood when the wait began, would be over: it was
 * renewed meanwhile. Who waits has a newer one, so that its own is not over by then.
 */
const waited: fc.Arbitrary<Command[]> = fc
  .record({ by, room, what: fc.constantFrom('redact' as const, 'purge' as const), then: inner })
  .map(({ by, room, what, then }) => {
    const other: By = by === 'A' ? 'B' : 'A'
    const happens: Command[] = [
      { do: 'clock', byMs: 8 * SECOND },
      { do: 'turn', by: other, break: null },
      { do: 'time', ms: 8 * SECOND },
    ]
    const held: Break = { at: 'commit', happens, then: 'goes on' }
    const taking: Command =
      what === 'redact'
        ? { do: 'redact', back: 0, door: '2', break: held }
        : { do: 'purge', room, door: '2', break: held }
    return [
      // It begins anew, and so has no lease yet.
      { do: 'dies', by: other },
      { do: 'join', room, door: '1', break: null },
      talk(room),
      { do: 'turn', by, break: { at: 'the answer', happens: [taking, then], then: 'goes on' } },
    ]
  })

/** Somebody follows us when the database fails over to an older state, which grows again. */
const failingOver: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, lost: fc.array(inner, { maxLength: 2 }), last: oneOf([...items(none), ...acts(none)]) },
    then: fc.array(oneOf([[4, fc.constant(talk(0))], ...items(none), ...acts(none)]), { maxLength: 3 }),
  })
  .map(({ by, room, lost, last, then }) => [
    talk(room),
    { do: 'turn', by, break: null },
    {
      do: 'fails over',
      lost: [talk(room), { do: 'tick', by, break: null }, ...lost],
      then: [talk(room), ...then],
    },
    { do: 'tick', by, break: null },
    last,
  ])

/** The clock is wrong for one look of retention, or while something comes. */
const wrong: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, one: oneOf(items(none)), hold: holds },
    off: fc.constantFrom(5 * HOUR, -5 * HOUR, 26 * HOUR),
    ms: fc.constantFrom(SECOND, 20 * MINUTE, 2 * HOUR),
    coming: fc.boolean(),
  })
  .map(({ by, room, one, hold, off, ms, coming }) => {
    const wrong: Command[] = coming ? [talk(room), one] : [{ do: 'retention', break: hold }]
    const around: Command[] = [{ do: 'clock', byMs: off }, ...wrong, { do: 'clock', byMs: -off }]
    return [
      talk(room),
      ...around,
      { do: 'time', ms },
      { do: 'retention', break: coming ? hold : null },
      { do: 'turn', by, break: null },
    ]
  })

/** What was kept becomes too old while a turn is at it, mostly one that gets no answer. */
const given: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, one: oneOf(items(none)) },
    remote: fc.oneof(
      { weight: 1, arbitrary: remote },
      { weight: 3, arbitrary: fc.constantFrom({ does: 'times out' }, { does: 'drops the answer' }) },
    ),
    at: fc.oneof(
      { weight: 1, arbitrary: fc.constantFrom('give up', 'keep no longer', 'begin', 'commit') },
      {
        weight: 3,
        arbitrary: fc.constantFrom('what is too old to be kept', 'what is kept and needed no longer'),
      },
      { weight: 2, arbitrary: fc.integer({ min: 8, max: 30 }) },
    ),
  })
  .map(({ by, room, remote, one, at }) => {
    const turn: Command = { do: 'turn', by, break: null }
    return [
      // Nobody serves us.
      { do: 'dies', by: 'A' },
      { do: 'dies', by: 'B' },
      { do: 'join', room, door: '1', break: null },
      talk(room),
      one,
      { do: 'time', ms: 2 * HOUR },
      { do: 'retention', break: null },
      { do: 'remote', remote },
      { do: 'time', ms: 2 * HOUR },
      { do: 'retention', break: { at, happens: [turn], then: 'goes on' } },
      { do: 'time', ms: MINUTE },
      turn,
    ]
  })

/** Two take items at the same time, and somebody reads the log before the first of them has committed. */
const overlapping: fc.Arbitrary<Command[]> = fc
  .record({ by, room, other: room, at: fc.constantFrom('commit', 'move the head'), more: inner })
  .map(({ by, room, other, at, more }) => {
    const turn: Command = { do: 'turn', by, break: null }
    const happens: Command[] = [{ ...talk(other), door: '2' } as Command, turn, more]
    return [
      { do: 'join', room, door: '1', break: null },
      { do: 'join', room: other, door: '1', break: null },
      { ...talk(room), break: { at, happens, then: 'goes on' } } as Command,
      turn,
    ]
  })

/** Something sticky is answered, and the answer does not list it. */
const unlisted: fc.Arbitrary<Command[]> = fc
  .record({ by, room, lists: fc.constantFrom('nothing' as const, 'odd ids' as const), more: inner })
  .map(({ by, room, lists, more }) => [
    { do: 'join', room, door: '1', break: null },
    { do: 'remote', remote: { does: 'answers', lists, takesMs: 40 } },
    { ...talk(room), stickyMs: 5 * HOUR } as Command,
    { do: 'turn', by, break: null },
    more,
  ])

/** One thing that happens, or a few that belong together. */
export const parts: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 10, arbitrary: command.map((one) => [one]) },
  { weight: 4, arbitrary: busy },
  { weight: 1, arbitrary: behind },
  { weight: 1, arbitrary: old },
  { weight: 1, arbitrary: wrong },
  { weight: 1, arbitrary: given },
  { weight: 1, arbitrary: overlapping },
  { weight: 1, arbitrary: unlisted },
  { weight: 1, arbitrary: served },
  { weight: 1, arbitrary: failing },
  { weight: 1, arbitrary: spread },
  { weight: 1, arbitrary: narrowed },
  { weight: 1, arbitrary: waited },
  { weight: 1, arbitrary: failingOver },
)

/**
 * The clock is set back while somebody waits, and the sweep sees it, after one that saw it before. With a clock that was
 * wrong before by little, what a wait is put back by is not what the clock was.
 */
const setBack: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, then: inner, hold: holds },
    remote: fc.oneof(
      { weight: 1, arbitrary: remote },
      { weight: 1, arbitrary: fc.constant<Remote>({ does: 'answers', lists: 'nothing', takesMs: 40 }) },
      { weight: 1, arbitrary: fc.constant<Remote>({ does: 'fails', status: 429, retryAfterMs: 3 * DAY }) },
      { weight: 1, arbitrary: fc.constant<Remote>({ does: 'times out' }) },
    ),
    advised: fc.boolean(),
    ahead: fc.constantFrom(0, HOUR),
    off: fc.constantFrom(-6 * MINUTE, -HOUR, -26 * HOUR),
  })
  .map(({ by, room, remote, then, hold, advised, ahead, off }) => [
    { do: 'join', room, door: '1', break: null },
    { do: 'clock', byMs: ahead },
    { do: 'remote', remote },
    { ...talk(room), stickyMs: 5 * HOUR } as Command,
    { do: 'turn', by, break: null },
    ...(advised ? [{ do: 'server up' } as const] : []),
    { do: 'sweep', break: null },
    { do: 'clock', byMs: off },
    then,
    { do: 'sweep', break: hold },
    { do: 'until due' },
  ])

/** Most schedules begin in a room or two: to happen on a join takes others their time. */
export const schedules: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(room, { maxLength: 2 }),
    fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 4, arbitrary: served }),
    fc.array(parts, { minLength: 1, maxLength: 20, size: 'max' }),
  )
  .map(([rooms, first, then]) => [
    ...rooms.map((one): Command => ({ do: 'join', room: one, door: '1', break: null })),
    ...first,
    ...then.flat(),
  ])

/**
 * For the run on PostgreSQL, which has fewer: to what random ones come to too seldom, every third one comes surely. The
 * one in memory keeps its own, whose seeds the planted bugs go by.
 */
export const schedulesForTwins: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 2, arbitrary: schedules },
  {
    weight: 1,
    arbitrary: fc
      .tuple(setBack, fc.array(parts, { maxLength: 8 }))
      .map(([first, then]) => [...first, ...then.flat()]),
  },
)

const glob = fc.constantFrom(...GLOBS)
const blocks = fc.record({ do: fc.constantFrom('block' as const, 'unblock' as const), glob })

/** Somebody is about to send to us, or has just done so, when we are blocked; mostly not for long. */
const cutShort: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, glob, first: fc.constantFrom<('turn' | 'tick')[]>('turn', 'turn', 'tick') },
    at: fc.constantFrom(
      'the connection',
      'the request',
      'the answer',
      'acknowledge and freeze',
      'begin to follow',
    ),
    ms: fc.constantFrom(SECOND, 3 * SECOND),
    more: fc.array(inner, { maxLength: 2 }),
    then: fc.constantFrom<Then[]>('goes on', 'goes on', 'goes on', 'dies', 'is overtaken'),
    ends: fc.boolean(),
    after: fc.array(inner, { maxLength: 2 }),
  })
  .map(({ by, room, glob, first, at, ms, more, then, ends, after }) => {
    const happens: Command[] = [{ do: 'block', glob }, { do: 'time', ms }, ...more]
    const other: By = by === 'A' ? 'B' : 'A'
    return [
      { do: 'join', room, door: '1', break: null },
      talk(room),
      { do: first, by, break: { at, happens, then } },
      talk(room),
      { do: 'turn', by: other, break: null },
      ...after,
      ...(ends ? [{ do: 'unblock', glob } as const] : []),
      { do: 'tick', by, break: null },
    ]
  })

/** For those in which an operator blocks us. */
export const schedulesWithBlocks: fc.Arbitrary<Command[]> = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: parts },
      { weight: 2, arbitrary: blocks.map((one): Command[] => [one]) },
      { weight: 2, arbitrary: cutShort },
    ),
    { minLength: 1, maxLength: 12, size: 'max' },
  )
  .map((all) => [{ do: 'join', room: 0, door: '1', break: null }, ...all.flat()])
