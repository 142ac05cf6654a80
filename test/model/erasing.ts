/** Schedules in which events are erased, or what is stored of a sender. They are drawn apart, so that the seeds of the others stay what they were. */
import fc from 'fast-check'
import {
  by,
  door,
  holds,
  HOUR,
  inner,
  MINUTE,
  parts,
  room,
  SECOND,
  talk,
  type By,
  type Command,
  type Erase,
} from './schedule.ts'

const erase = fc.record({
  do: fc.constant('erase' as const),
  what: fc.constantFrom('event' as const, 'sender' as const),
  back: fc.nat({ max: 5 }),
  among: fc.boolean(),
  door,
  break: holds,
})
const eraseNow = fc.record({
  what: fc.constantFrom('event' as const, 'sender' as const),
  back: fc.nat({ max: 2 }),
  among: fc.boolean(),
})

const at = fc.constantFrom(
  ...([
    'the request',
    'the answer',
    'the answer',
    'acknowledge and freeze',
    'begin to follow',
    'follow the log',
    'end the attempt',
  ] as const),
)

/** Somebody sends to us, or is about to, when what is in it is erased; the answer may be lost. */
const underWay: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, room, at, first: fc.constantFrom<('turn' | 'tick')[]>('turn', 'turn', 'tick') },
    ...{
      erased: eraseNow,
      sticky: fc.boolean(),
      fails: fc.constantFrom(null, 'drops the answer', 'times out', 'fails'),
    },
    more: fc.array(inner, { maxLength: 2 }),
    then: fc.constantFrom('goes on' as const, 'goes on' as const, 'dies' as const, 'is overtaken' as const),
  })
  .map(({ by, room, at, first, erased, sticky, fails, more, then }) => {
    const happens: Command[] = [{ do: 'erase', ...erased, door: '2', break: null }, ...more]
    const remote: Command[] =
      fails === null
        ? []
        : [
            {
              do: 'remote',
              remote:
                fails === 'fails'
                  ? { does: 'fails', status: 503, retryAfterMs: null }
                  : { does: fails as 'times out' },
            },
          ]
    return [
      { do: 'join', room, door: '1', break: null },
      ...remote,
      { ...(talk(room) as Extract<Command, { do: 'append' }>), stickyMs: sticky ? HOUR : null },
      talk(room),
      { do: first, by, break: { at, happens, then } },
      ...(fails === null
        ? []
        : [{ do: 'remote', remote: { does: 'answers', lists: 'all', takesMs: 40 } } as const]),
      { do: 'until due' },
    ]
  })

/** A sticky event is erased before a join would replay it, or between the join and the replay. */
const joining: fc.Arbitrary<Command[]> = fc
  .record({ room, by, erased: eraseNow, first: fc.boolean(), hold: holds })
  .map(({ room, by, erased, first, hold }) => {
    const goes: Erase = { do: 'erase', ...erased, door: '1', break: null }
    const joins: Command = { do: 'rejoin', room, door: '1', break: null }
    return [
      { ...(talk(room) as Extract<Command, { do: 'append' }>), stickyMs: HOUR, count: 2 },
      ...(first ? [goes, joins] : [joins, goes]),
      { do: 'turn', by, break: hold },
    ]
  })

/** So much is missing, for so long, that a gap opens; some of it is erased before or while it is gone through. */
const catchingUp: fc.Arbitrary<Command[]> = fc
  .record({ by, erased: fc.array(eraseNow, { minLength: 1, maxLength: 2 }), late: fc.boolean(), hold: holds })
  .map(({ by, erased, late, hold }) => {
    const goes = erased.map((one): Command => ({ do: 'erase', ...one, door: '1', break: null }))
    const rooms = [0, 1, 2]
    const other: By = by === 'A' ? 'B' : 'A'
    return [
      ...rooms.map((one): Command => ({ do: 'join', room: one, door: '1', break: null })),
      ...[0, 1, 2, 1, 2, 0].flatMap((one) => [talk(one), talk(one)]),
      { do: 'time', ms: 6 * MINUTE },
      ...(late
        ? [{ do: 'turn', by, break: { at: 'the answer', happens: goes, then: 'goes on' } } as const]
        : goes),
      { do: 'turn', by: other, break: hold },
      { do: 'time', ms: SECOND },
      { do: 'turn', by, break: null },
    ]
  })

/** Something of the sender comes between the look through the log and the commit. */
const meanwhile: fc.Arbitrary<Command[]> = fc
  .record({ by, room, among: fc.boolean(), sticky: fc.boolean() })
  .map(({ by, room, among, sticky }) => {
    const told = { ...(talk(room) as Extract<Command, { do: 'append' }>), stickyMs: sticky ? HOUR : null }
    const happens: Command[] = [{ ...told, count: 2, door: '2' }]
    return [
      { do: 'join', room, door: '1', break: null },
      told,
      told,
      {
        do: 'erase',
        what: 'sender',
        back: 0,
        among,
        door: '1',
        break: { at: 'begin', happens, then: 'goes on' },
      },
      { do: 'turn', by, break: null },
    ]
  })

export const erasing: fc.Arbitrary<Command[]> = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: parts },
      { weight: 3, arbitrary: erase.map((one): Command[] => [one]) },
      { weight: 3, arbitrary: underWay },
      { weight: 2, arbitrary: joining },
      { weight: 1, arbitrary: catchingUp },
      { weight: 1, arbitrary: meanwhile },
    ),
    { minLength: 1, maxLength: 12, size: 'max' },
  )
  .map((all) => [{ do: 'join', room: 0, door: '1', break: null }, ...all.flat()])
