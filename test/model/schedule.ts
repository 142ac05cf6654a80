/**
 * What can happen to one destination: a schedule is a list of commands, drawn and shrunk by fast-check.
 *
 * Commands name rooms and events by small numbers that are looked up when the command runs, so that a
 * schedule stays sensible when others are taken out of it.
 */
import fc from 'fast-check'

export const SECOND = 1_000
export const MINUTE = 60_000
export const HOUR = 3_600_000
export const DAY = 86_400_000

/** What the remote does with a request. */
export type Remote =
  | { does: 'answers'; lists: 'all' | 'nothing' | 'odd ids' | 'without pdus'; takesMs: number }
  | { does: 'refuses the connection' }
  | { does: 'times out'; received: boolean }
  | { does: 'drops the answer' }
  | { does: 'fails'; status: 500 | 429 | 410; retryAfterMs: number | null }

/** Whom an event is for; `us` is the destination that is watched. */
export type Audience = 'room' | 'to us' | 'to nobody' | 'also to us' | 'not to us'

export type Command =
  | { do: 'append'; room: number; count: number; stickyMs: number | null; audience: Audience; size: number }
  | { do: 'join' | 'leave' | 'rejoin' | 'kick' | 'purge'; room: number }
  /** Of the event that is `back` before the newest. */
  | { do: 'redact'; back: number }
  | { do: 'clock'; byMs: number }
  | { do: 'remote'; remote: Remote }
  | { do: 'operator'; wish: 'wake' | 'pause' | 'resume' | 'reset' }
  | { do: 'server up' }
  | { do: 'worker dies' }
  /** The clock moves to the next attempt, which is made. */
  | { do: 'wait and look' }
  | { do: 'look'; times: number }
  /** One look, into which something falls; then its worker goes on, dies, or has lost its lease to another. */
  | { do: 'look, and'; when: Moment; happens: Command[]; then: 'goes on' | 'dies' | 'is overtaken' }

/** Before the transaction is frozen; while the request is under way; before its result is written down. */
export type Moment = 'before it is frozen' | 'under way' | 'before it is written down'

export const ROOMS = 3

const room = fc.nat({ max: ROOMS - 1 })
const stickyMs = fc.oneof(
  { weight: 5, arbitrary: fc.constant(null) },
  {
    weight: 5,
    arbitrary: fc.constantFrom(20 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 5 * HOUR),
  },
)
const audience = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Audience>('room') },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Audience[]>('to us', 'to nobody', 'also to us', 'not to us'),
  },
)
const append = fc.record({
  do: fc.constant('append' as const),
  room,
  count: fc.oneof(
    { weight: 4, arbitrary: fc.constant(1) },
    { weight: 3, arbitrary: fc.integer({ min: 2, max: 9 }) },
  ),
  stickyMs,
  audience,
  size: fc.constantFrom(60, 60, 60, 300, 900),
})
const byMs = fc.constantFrom(
  SECOND,
  6 * SECOND,
  16 * SECOND,
  MINUTE,
  6 * MINUTE,
  20 * MINUTE,
  HOUR,
  DAY,
  -30 * SECOND,
)
const clock = fc.record({ do: fc.constant('clock' as const), byMs })
const inRoom = fc.record({
  do: fc.constantFrom('join', 'join', 'leave', 'rejoin', 'rejoin', 'rejoin', 'kick', 'purge'),
  room,
}) as fc.Arbitrary<Command>
const redact = fc.record({ do: fc.constant('redact' as const), back: fc.nat({ max: 12 }) })
const operator = fc.record({
  do: fc.constant('operator' as const),
  wish: fc.constantFrom('wake', 'wake', 'pause', 'resume', 'resume', 'reset', 'reset'),
}) as fc.Arbitrary<Command>
const serverUp = fc.constant<Command>({ do: 'server up' })
const remote = fc.record({
  do: fc.constant('remote' as const),
  remote: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        does: fc.constant('answers' as const),
        lists: fc.constantFrom('all', 'all', 'all', 'nothing', 'odd ids', 'without pdus'),
        takesMs: fc.constantFrom(40, 40, 40, 3 * SECOND, 12 * SECOND),
      }),
    },
    { weight: 2, arbitrary: fc.constant({ does: 'refuses the connection' as const }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('times out' as const), received: fc.boolean() }) },
    { weight: 2, arbitrary: fc.constant({ does: 'drops the answer' as const }) },
    {
      weight: 2,
      arbitrary: fc.record({
        does: fc.constant('fails' as const),
        status: fc.constantFrom(500 as const, 429 as const, 410 as const),
        retryAfterMs: fc.constantFrom(null, 2 * SECOND, 3 * DAY),
      }),
    },
  ),
}) as fc.Arbitrary<Command>

const small = fc.oneof(
  { weight: 6, arbitrary: append },
  { weight: 4, arbitrary: inRoom },
  { weight: 2, arbitrary: redact },
  { weight: 2, arbitrary: clock },
  { weight: 2, arbitrary: operator },
  { weight: 1, arbitrary: serverUp },
) as fc.Arbitrary<Command>

const lookAnd = fc.record({
  do: fc.constant('look, and' as const),
  when: fc.constantFrom('before it is frozen', 'under way', 'before it is written down'),
  happens: fc.array(small, { minLength: 1, maxLength: 2 }),
  then: fc.constantFrom('goes on', 'goes on', 'dies', 'is overtaken'),
}) as fc.Arbitrary<Command>

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: append },
  { weight: 4, arbitrary: inRoom },
  { weight: 1, arbitrary: redact },
  { weight: 3, arbitrary: clock },
  { weight: 3, arbitrary: remote },
  { weight: 1, arbitrary: operator },
  { weight: 1, arbitrary: serverUp },
  { weight: 1, arbitrary: fc.constant<Command>({ do: 'worker dies' }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('look' as const), times: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 2, arbitrary: fc.constant<Command>({ do: 'wait and look' }) },
  { weight: 9, arbitrary: lookAnd },
)

/** Most schedules begin in a room or two: to happen on a join takes others their time. */
export const schedules: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(fc.record({ do: fc.constant('join' as const), room }), { maxLength: 2 }),
    fc.array(command, { minLength: 1, maxLength: 40, size: 'max' }),
  )
  .map(([first, then]) => [...first, ...then])

/** One line a command. */
export function inWords(schedule: readonly Command[]): string {
  return schedule.map((one, index) => `  ${index + 1}. ${wordsOf(one)}`).join('\n')
}

function wordsOf(one: Command): string {
  switch (one.do) {
    case 'append': {
      const sticky = one.stickyMs === null ? '' : `, sticky for ${one.stickyMs / SECOND} s`
      return `${one.count} event(s) of ${one.size} bytes in room ${one.room}, ${one.audience}${sticky}`
    }
    case 'redact':
      return `redact the event ${one.back} before the newest`
    case 'clock':
      return `the clock moves by ${one.byMs / SECOND} s`
    case 'remote': {
      const { does, ...how } = one.remote
      return `the remote ${does}${Object.keys(how).length > 0 ? ` ${JSON.stringify(how)}` : ''}`
    }
    case 'operator':
      return `the operator asks: ${one.wish}`
    case 'look':
      return `look ${one.times} time(s)`
    case 'look, and':
      return `look; ${one.when}: ${one.happens.map(wordsOf).join('; ') || 'nothing'}; the worker ${one.then}`
    case 'join':
    case 'leave':
    case 'rejoin':
    case 'kick':
    case 'purge':
      return `${one.do} room ${one.room}`
    default:
      return one.do
  }
}
