/** Planted bugs in when it goes again what an answer did not list, of a room that waits (see `planted.ts`). */
import type { Run } from './memory/statement.ts'
import { keyOf } from './memory/rows.ts'
import type { Bug } from './planted.ts'
import { unlistedAndHeld } from './unlisted-and-held.ts'

/** What of a room that waits was not listed is not seen. */
const unlessItsRoomWaits =
  (right: Run): Run =>
  (call, values) => {
    const { t } = call
    const all = () =>
      t.replays.all().filter(({ destination, pos }) => {
        const room = t.sticky.get(pos)?.room
        return room === undefined || t.waiting_rooms.get(keyOf.waits(destination, room)) === undefined
      })
    return right({ ...call, t: { ...t, replays: { ...t.replays, all } } }, values)
  }

export const REPEAT_BUGS: readonly Bug[] = [
  {
    bug: 'a sticky event that is not repeated while its room waits',
    how: 'who looks does not ask when what was not listed is due, of rooms that wait',
    plant: () => ({ statements: { 'look at the destination': unlessItsRoomWaits } }),
    drawn: unlistedAndHeld,
    breaks: /what is not listed is repeated in time/,
  },
  {
    bug: 'a sticky event that no sweep finds while its room waits',
    how: 'a sweep does not ask for what was not listed, of rooms that wait',
    plant: () => ({ statements: { 'who is owed something': unlessItsRoomWaits } }),
    drawn: unlistedAndHeld,
    breaks: /what is not listed is repeated in time/,
  },
]
