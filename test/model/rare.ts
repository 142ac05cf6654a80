/**
 * Schedules for statements that a random one hardly ever comes to: each is named after what it runs. Without them nobody could
 * say from a few hundred schedules that every statement was run.
 */
import { RARE_ISOLATING } from './rare-isolating.ts'
import { HOUR, MINUTE, type Command, type GivesEdus } from './schedule.ts'

const joins = (room: number): Command => ({ do: 'join', room, door: '1', break: null })
const event = { do: 'append', count: 1, stickyMs: null, audience: 'room', size: 60, break: null } as const
const redacts: Command = { do: 'redact', back: 0, door: '1', break: null }
const erases: Command = { do: 'erase', what: 'sender', back: 0, among: true, door: '1', break: null }
const goesByRetention: Command = { do: 'retention', break: null }

/** More than a window of the log, of which nothing is for us. */
const elsewhere = (room: number): Command[] =>
  Array.from({ length: 10 }, () => ({ ...event, room, count: 5, door: '1' }))

/** A job for us is passed over, and our time comes while we are blocked. */
const blocked: Command[] = [
  joins(0),
  { ...event, room: 0, door: '1' },
  { do: 'block', glob: '*.example' },
  { do: 'time', ms: 3_000 },
  { do: 'turn', by: 'A', break: null },
  { do: 'operator', wish: 'reset' },
  { do: 'tick', by: 'A', break: null },
  { do: 'unblock', glob: '*.example' },
  { do: 'time', ms: 3_000 },
  { do: 'tick', by: 'A', break: null },
  { do: 'turn', by: 'A', break: null },
]

const edu: GivesEdus = {
  ...{ do: 'edu', kind: 'other', to: 'us', user: 'one', on: true, room: 0, count: 1, ttlMs: null },
  ...{ size: 20, alone: false, door: '1', break: null },
}

export const RARE: Readonly<Record<string, Command[]>> = {
  'is anything sticky': [
    joins(0),
    { ...event, room: 0, door: '1', stickyMs: 600_000 },
    {
      ...{ ...event, room: 1, door: '2' },
      break: {
        at: 'commit',
        // The first has to wait, and what comes meanwhile shares the next commit.
        happens: [
          { ...event, room: 2, door: '1' },
          redacts,
          { do: 'rejoin', room: 0, door: '1', break: null },
        ],
        then: 'goes on',
      },
    },
  ],
  'who holds much that is redacted': [
    joins(0),
    ...elsewhere(0).slice(0, 4),
    { do: 'turn', by: 'A', break: { at: 'the answer', happens: [erases], then: 'dies' } },
    { do: 'until due' },
  ],
  'redact the kept texts': [
    joins(0),
    { ...event, room: 0, door: '1' },
    goesByRetention,
    { do: 'time', ms: 2 * HOUR },
    goesByRetention,
    redacts,
  ],
  'read the timeline room by room': [
    joins(0),
    ...elsewhere(1),
    { ...event, room: 0, door: '1' },
    { do: 'time', ms: 6 * MINUTE },
    { do: 'turn', by: 'A', break: null },
  ],
  'count the timeline of each room': [
    joins(0),
    ...elsewhere(1),
    { ...event, room: 0, door: '1' },
    goesByRetention,
    { do: 'time', ms: 2 * HOUR },
    goesByRetention,
  ],
  // More than a window of what is for others.
  'read ephemeral EDUs room by room': [
    joins(0),
    { ...edu, to: 'other', count: 999 },
    { ...edu, to: 'other', count: 999 },
    { ...edu, to: 'other', count: 4 },
    ...(['room', 'rooms', 'us'] as const).map((to) => ({ ...edu, to })),
    { do: 'turn', by: 'A', break: null },
  ],
  // Its rooms were named by what is over, by every clock.
  'forget sets of rooms': [
    joins(0),
    joins(1),
    { ...edu, to: 'rooms', ttlMs: 5_000 },
    { do: 'turn', by: 'A', break: null },
    goesByRetention,
    ...Array.from({ length: 3 }, (): Command[] => [
      { do: 'time', ms: 2 * HOUR },
      goesByRetention,
      { do: 'sweep', break: null },
      // Its position is past what retention took for itself.
      ...Array.from({ length: 8 }, (): Command => ({ do: 'tick', by: 'A', break: null })),
    ]).flat(),
    goesByRetention,
  ],
  'put aside who is blocked': blocked,
  ...RARE_ISOLATING,
  'who is blocked no more': blocked,
  'put leases back': [
    joins(0),
    { do: 'remote', remote: { does: 'answers', lists: 'nothing', takesMs: 40 } },
    { ...event, room: 0, door: '1', stickyMs: HOUR },
    { do: 'turn', by: 'A', break: null },
    { do: 'sweep', break: null },
    { do: 'clock', byMs: -6 * MINUTE },
    { do: 'sweep', break: null },
    { do: 'until due' },
  ],
}
