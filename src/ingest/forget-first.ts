/** What of a purge can be done at the beginning of its batch, for many rooms at once? */
import type { Db } from '../store/db.ts'
import { purgeRooms, type StoredEvent } from '../store/ingest/content.ts'
import type { IngestState } from '../store/ingest/state.ts'
import type { Item } from './items.ts'

/**
 * Forgets what there was before the batch in rooms whose first item in the batch is a purge: nothing else of the batch is about
 * that. `items`: of requests that are taken. Returns how many pairs of event and destination each gives up.
 */
export function forgetFirst(
  db: Db,
  items: readonly Item[],
  { state, targets }: { state: IngestState; targets: ReadonlyMap<string, StoredEvent> },
): Promise<Map<number, number>> {
  const touched = new Set<string>()
  const first = new Set<number>()
  for (const item of items) {
    const rooms = roomsOf(item, targets)
    if (item.type === 'purge' && !touched.has(item.roomId)) {
      const room = state.rooms.get(item.roomId)
      if (room !== undefined && !room.isNew) first.add(room.id)
    }
    for (const roomId of rooms) touched.add(roomId)
  }
  return purgeRooms(db, [...first])
}

/** The rooms that an item is about. */
function roomsOf(item: Item, targets: ReadonlyMap<string, StoredEvent>): readonly string[] {
  switch (item.type) {
    case 'server_up':
    case 'erase':
      return []
    case 'redact': {
      const room = targets.get(item.eventId)?.roomId
      return room === undefined ? [] : [room]
    }
    case 'edu':
      return 'rooms' in item.audience ? item.audience.rooms : []
    case 'event':
    case 'servers':
    case 'purge':
      return [item.roomId]
  }
}
