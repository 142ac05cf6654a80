/**
 * Which servers get an event in addition to the room's servers in limpet's stream, or are excluded although they are
 * there?
 *
 * Synapse's sender takes the servers with a joined user in the state *before* the event. So a kick reaches the server
 * whose last user it removes, and an event on a fork goes to the servers that were there on its own branch. limpet's
 * stream has the room's current state, so the difference is given with the event. A sticky event is also for the
 * room's current servers: a server that the event's branch does not know yet is owed it like any other newcomer
 * (MSC4354), and nothing else would bring it there.
 */
import type { Recipients, EventItem } from '../items.ts'
import { isIn, type RoomView } from './room-view.ts'
import type { StateAtEvent } from './state-at-events.ts'

export interface RecipientNeeds {
  readonly item: EventItem
  /** The room, with `at` counted in the state's group; null: only the current state is to be had. */
  readonly view: RoomView | null
  readonly state: StateAtEvent | null
}

/** The event with its recipients; `to` of an item that names them stays. */
export function withRecipients({ item, view, state }: RecipientNeeds): EventItem {
  if ('to' in item.audience) return item
  const alsoTo = new Set(item.audience.alsoTo)
  const notTo = new Set<string>()
  if (view !== null) {
    const counted = state?.change ?? null
    const candidates =
      counted === null && view.coming.size === 0
        ? view.differing
        : new Set([...view.differing, ...view.coming, ...(counted === null ? [] : [counted.server])])
    for (const server of candidates) {
      const now = isIn(view, 'now', server)
      const users = view.servers.get(server)?.at ?? 0
      const before = users + (server === counted?.server ? counted.by : 0) > 0
      if (before && !now) alsoTo.add(server)
      // limpet may hold a server that comes later to be in the room already.
      const held = now || view.coming.has(server)
      if (!before && held && item.stickyDurationMs === null) notTo.add(server)
    }
  }
  // A server whose user's invite is taken back may have no user in the room; it got the invite from Synapse itself.
  const rescinded = state?.rescinded ?? null
  if (rescinded !== null) {
    alsoTo.add(rescinded)
    notTo.delete(rescinded)
  }
  // The server that gave us the event to forward has it.
  for (const server of item.audience.notTo) {
    alsoTo.delete(server)
    notTo.add(server)
  }
  const audience: Recipients = { alsoTo: [...alsoTo].sort(), notTo: [...notTo].sort() }
  return { ...item, audience }
}
