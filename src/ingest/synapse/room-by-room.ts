/**
 * Makes items of a window although one of its rooms cannot be read in time.
 *
 * How long a room takes to read depends on its members and on the homeserver's disk. If the statement about all rooms
 * of a window is too slow, each room is asked about by itself. Rooms that can be read go on; the others are named, and
 * the items contain nothing of theirs. If no room at all can be read, the database is slow, and that is an error.
 */
import { isTooSlow } from './too-slow.ts'
import type { Window } from './window.ts'
import type { WindowItems } from './window-items.ts'

/** If this many rooms fail before one succeeds, the cause is not the rooms. */
const ENOUGH_TO_TELL = 3

export type WindowRead = Awaited<ReturnType<WindowItems['read']>> & { readonly slow: readonly string[] }

export async function readRoomByRoom(
  items: Pick<WindowItems, 'read'>,
  window: Window,
  after: number,
): Promise<WindowRead> {
  try {
    return { ...(await items.read(window, after)), slow: [] }
  } catch (error) {
    if (!isTooSlow(error)) throw error
  }
  const slow: string[] = []
  let readable = 0
  for (const roomId of roomsOf(window)) {
    try {
      // What is read stays in memory: the window after this costs nothing more for this room.
      await items.read(onlyOf(window, roomId), after)
      readable += 1
    } catch (error) {
      if (!isTooSlow(error)) throw error
      slow.push(roomId)
      if (readable === 0 && slow.length >= ENOUGH_TO_TELL) throw error
    }
  }
  return { ...(await items.read(withoutRooms(window, new Set(slow)), after)), slow }
}

const roomsOf = ({ events, changes }: Window): ReadonlySet<string> =>
  new Set([...events, ...changes].map((row) => row.room_id))

/** What concerns one room: of the redactions those of events in the window, since the others are not told by room. */
export function onlyOf(window: Window, roomId: string): Window {
  const events = window.events.filter((row) => row.room_id === roomId)
  const ids = new Set(events.map((row) => row.event_id))
  return {
    ...window,
    events,
    changes: window.changes.filter((change) => change.room_id === roomId),
    redactions: window.redactions.filter((one) => ids.has(one.event_id)),
  }
}

/** What concerns the other rooms. */
export function withoutRooms(window: Window, rooms: ReadonlySet<string>): Window {
  if (rooms.size === 0) return window
  const left = new Set(window.events.filter((row) => rooms.has(row.room_id)).map((row) => row.event_id))
  return {
    ...window,
    events: window.events.filter((row) => !rooms.has(row.room_id)),
    changes: window.changes.filter((change) => !rooms.has(change.room_id)),
    redactions: window.redactions.filter((one) => !left.has(one.event_id)),
  }
}
