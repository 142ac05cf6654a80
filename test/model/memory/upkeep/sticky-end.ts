/** `store/upkeep/sticky-end.ts`: what a wrong clock made sticky for too long. */
import { keyOf, type ReplayRow } from '../rows.ts'
import { oldUpTo } from './seen.ts'
import { twin, type Call, type Twins } from '../statement.ts'

const stickyTooLong = ({ t, now }: Call, longest: number) =>
  t.sticky.all().filter(({ pos, expires_at }) => pos <= oldUpTo(t, longest) && expires_at > now)

const notedTooLong = ({ t, now }: Call, longest: number): ReplayRow[] =>
  t.replays
    .all()
    .filter(({ pos, expires_at }) => pos <= oldUpTo(t, longest) && expires_at > now + longest)
    .sort((a, b) => a.destination - b.destination || a.pos - b.pos)

export const STICKY_END = {
  'is anything sticky for too long': twin<[number]>((call, longest) => [
    { over: stickyTooLong(call, longest).length + notedTooLong(call, longest).length > 0 },
  ]),
  'end what is sticky': twin<[number]>((call, longest) => {
    const { t, now } = call
    const over = stickyTooLong(call, longest)
    for (const { pos } of over) t.sticky.change(pos, { expires_at: now })
    return over.map(({ pos }) => ({ pos, now }))
  }),
  'end it in the log': twin<[number[], number]>(({ t }, positions, now) => {
    const over = positions.filter((pos) => (t.events.get(pos)?.sticky_until ?? 0) > now)
    for (const pos of over) t.events.change(pos, { sticky_until: now })
    return over.length
  }),
  'end the notes of it': twin<[number]>((call, longest) => {
    const over = notedTooLong(call, longest)
    for (const { destination, pos } of over) {
      call.t.replays.change(keyOf.replay(destination, pos), { expires_at: call.now })
    }
    return over.length
  }),
  'joins of the same wrong time': twin<[number]>(({ t }, now) => {
    const late = t.sticky_owed.all().filter(({ created_at }) => created_at >= now)
    for (const { destination, room } of late) {
      t.sticky_owed.change(keyOf.owed(destination, room), { created_at: now - 1 })
    }
    return late.length
  }),
} satisfies Twins
