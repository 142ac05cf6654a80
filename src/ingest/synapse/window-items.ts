/**
 * Turns windows of Synapse's stream into items: every room's servers first, then events and changes in order.
 *
 * It remembers which rooms it has told, so that a room's whole list is read once. Telling one again is harmless
 * (an equal list changes nothing) and mends what went wrong before, so `forget` is always allowed.
 */
import { isRoomId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json-value.ts'
import type { Log } from '../../observe/log.ts'
import type { Pool } from '../../store/db.ts'
import type { Item } from '../items.ts'
import { orderSteps, type Step } from './order.ts'
import { rawEvent } from './raw-event.ts'
import { readJoined, readPartialRooms } from './room-servers.ts'
import type { Window } from './window.ts'

export interface WindowItemsNeeds {
  /** Synapse's database. */
  readonly pool: Pool
  readonly serverName: string
  /** The door every item goes through (`{type: 'event', …}` as in the ingest API). @throws for an item that is refused */
  readonly parseItem: (raw: JsonObject) => Item
  readonly log: Log
}

export interface WindowItems {
  /** The items of the window that begins after `after`. Call `taken` once they are stored. */
  read(window: Window, after: number): Promise<{ readonly items: Item[]; readonly taken: () => void }>
  /** Forgets which rooms were told. */
  forget(): void
}

const MAX_KNOWN_ROOMS = 100_000

export function makeWindowItems({ pool, serverName, parseItem, log }: WindowItemsNeeds): WindowItems {
  const known = new Set<string>()

  async function read(window: Window, after: number) {
    const touched = new Set([...window.events, ...window.changes].map((row) => row.room_id))
    const fresh = new Set([...touched].filter((roomId) => !known.has(roomId)))
    const rooms = [...new Set([...fresh, ...window.changes.map((change) => change.room_id)])]
    const joined = await readJoined(pool, { rooms, at: after, serverName })
    const partial = await readPartialRooms(pool, { rooms: [...fresh], serverName })
    const items = orderSteps({ window, joined, partial, fresh }).flatMap((step) => itemOf(step) ?? [])
    const taken = () => {
      if (known.size > MAX_KNOWN_ROOMS) known.clear()
      // A room with partial state stays unknown, so that it is told anew until its members are known.
      for (const roomId of fresh) if (!partial.has(roomId)) known.add(roomId)
    }
    return { items, taken }
  }

  function itemOf(step: Step): Item | null {
    if (step.kind === 'event') {
      try {
        const raw = rawEvent(step.row, serverName)
        return raw === null ? null : parseItem(raw)
      } catch (error) {
        // One odd event must not stop the stream.
        log.error(
          { err: error, event_id: step.row.event_id },
          'Synapse: an event that cannot be sent was left out',
        )
        return null
      }
    }
    if (!isRoomId(step.roomId)) return null
    const change = step.kind === 'set' ? { set: step.servers } : { add: step.add, remove: step.remove }
    return { type: 'servers', roomId: step.roomId, change }
  }

  return { read, forget: () => known.clear() }
}
