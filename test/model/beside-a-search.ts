/**
 * What else may happen while what a destination refuses is searched: it falls behind so far that catch-up begins, operators skip, rooms are left
 * and joined, texts are taken away, and it fails in other ways than by refusing.
 */
import fc from 'fast-check'
import type { Remote } from './remote.ts'
import { DAY, HOUR, inner, MINUTE, SECOND, type Audience, type Command, type Then } from './schedule.ts'

const append = (
  room: number,
  count: number,
  stickyMs: number | null = null,
  audience: Audience = 'room',
): Command => ({ do: 'append', room, count, stickyMs, audience, size: 60, door: '1', break: null })

const turn = (by: 'A' | 'B' = 'A'): Command => ({ do: 'turn', by, break: null })
const tick = (by: 'A' | 'B' = 'A'): Command => ({ do: 'tick', by, break: null })
const remote = (one: Remote): Command => ({ do: 'remote', remote: one })

const refusing: fc.Arbitrary<Remote> = fc.record({
  does: fc.constant('refuses' as const),
  each: fc.constantFrom(1, 2, 3, 3, 5, 7, 50),
  status: fc.constantFrom(400, 403, 500, 500, 413),
  empty: fc.constantFrom(200, 200, 200, 200, 200, 502),
})

const odd: fc.Arbitrary<Remote> = fc.constantFrom<Remote[]>(
  { does: 'times out' },
  { does: 'drops the answer' },
  { does: 'refuses the connection' },
  { does: 'fails', status: 429, retryAfterMs: 2 * SECOND },
  { does: 'fails', status: 503, retryAfterMs: null },
  { does: 'answers', lists: 'nothing', takesMs: 40 },
  { does: 'answers', lists: 'odd ids', takesMs: 40 },
  { does: 'answers', lists: 'all', takesMs: 40 },
)

const room = fc.nat({ max: 2 })
const goesOn: fc.Arbitrary<Command[]> = fc.constantFrom<Command[][]>(
  [{ do: 'until due' }],
  [{ do: 'until due' }, { do: 'until due' }],
  [turn(), turn()],
  [tick(), tick('B')],
)

const moved = fc.constantFrom(...(['leave', 'rejoin', 'rejoin', 'kick', 'purge'] as const))

/** A transaction that was refused three times ends before an empty one has asked, and what comes next fails in another way. */
const endsUnasked: fc.Arbitrary<Command[]> = fc
  .record({
    odd,
    refused: fc.constantFrom(1, 2, 3),
    how: fc.constantFrom<Command[]>(
      { do: 'operator', wish: 'skip' },
      { do: 'redact', back: 0, door: '2', break: null },
      { do: 'purge', room: 0, door: '2', break: null },
    ),
  })
  .map(({ odd, refused, how }): Command[] => [
    append(0, 1),
    remote({ does: 'refuses', each: refused, status: 500, empty: 200 }),
    ...[turn(), { do: 'time', ms: 6 * SECOND } as const, turn(), { do: 'time', ms: 16 * SECOND } as const],
    { do: 'turn', by: 'A', break: { at: 'the answer', happens: [how, remote(odd)], then: 'goes on' } },
    ...[append(1, 1), { do: 'until due' } as const, { do: 'until due' } as const],
  ])

const step: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 9, arbitrary: goesOn },
  {
    weight: 4,
    arbitrary: fc
      .record({
        room,
        count: fc.integer({ min: 1, max: 9 }),
        sticky: fc.constantFrom(null, null, 2 * MINUTE, 30 * MINUTE),
        audience: fc.constantFrom<Audience[]>('room', 'room', 'room', 'to us', 'also to us', 'not to us'),
      })
      .map(({ room, count, sticky, audience }): Command[] => [append(room, count, sticky, audience)]),
  },
  { weight: 3, arbitrary: refusing.map((one): Command[] => [remote(one)]) },
  { weight: 1, arbitrary: endsUnasked },
  { weight: 2, arbitrary: odd.map((one): Command[] => [remote(one), { do: 'until due' }]) },
  {
    weight: 1,
    arbitrary: fc.constant<Command[]>([
      remote({ does: 'answers', lists: 'all', takesMs: 40 }),
      { do: 'until due' },
    ]),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(6 * SECOND, MINUTE, 6 * MINUTE, 16 * MINUTE, 2 * HOUR, DAY)
      .map((ms): Command[] => [{ do: 'time', ms }]),
  },
  {
    // So far behind that catch-up begins.
    weight: 2,
    arbitrary: fc
      .record({ one: room, other: room, count: fc.integer({ min: 3, max: 9 }) })
      .map(({ one, other, count }): Command[] => [
        append(one, count),
        append(other, 4),
        { do: 'time', ms: 6 * MINUTE },
        turn(),
      ]),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ room, what: moved })
      .map(({ room, what }): Command[] => [{ do: what, room, door: '1', break: null }]),
  },
  {
    weight: 2,
    arbitrary: fc.nat({ max: 5 }).map((back): Command[] => [{ do: 'redact', back, door: '1', break: null }]),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ back: fc.nat({ max: 5 }), what: fc.constantFrom('event' as const, 'sender' as const) })
      .map(({ back, what }): Command[] => [
        { do: 'erase', what, back, among: false, door: '1', break: null },
      ]),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(
        'skip' as const,
        'pause' as const,
        'resume' as const,
        'resume' as const,
        'reset' as const,
        'wake' as const,
      )
      .map((wish): Command[] => [{ do: 'operator', wish }]),
  },
  {
    weight: 1,
    arbitrary: fc.constant<Command[]>([
      { do: 'time', ms: 2 * HOUR },
      { do: 'retention', break: null },
    ]),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({
        at: fc.oneof(
          fc.constantFrom(
            ...['the request', 'the answer', 'the answer', 'begin', 'commit', 'take apart what was refused'],
            ...[
              'sort what is apart',
              'acknowledge and freeze',
              'it is apart no more',
              'a room goes on',
              'let go',
            ],
          ),
          fc.integer({ min: 1, max: 25 }),
        ),
        happens: fc.array(inner, { maxLength: 3 }),
        then: fc.constantFrom<Then[]>('goes on', 'goes on', 'goes on', 'dies', 'is overtaken', 'is stopped'),
        by: fc.constantFrom('A' as const, 'B' as const),
      })
      .map(({ at, happens, then, by }): Command[] => [
        append(0, 1),
        { do: 'turn', by, break: { at, happens, then } },
        tick('B'),
      ]),
  },
)

export const besideASearch: fc.Arbitrary<Command[]> = fc
  .record({
    refusing,
    first: fc.integer({ min: 1, max: 6 }),
    steps: fc.array(step, { minLength: 3, maxLength: 20, size: 'max' }),
  })
  .map(({ refusing, first, steps }) => [
    { do: 'join', room: 0, door: '1', break: null },
    { do: 'join', room: 1, door: '1', break: null },
    append(0, first),
    append(1, 1),
    remote(refusing),
    turn(),
    { do: 'until due' },
    { do: 'until due' },
    ...steps.flat(),
  ])
