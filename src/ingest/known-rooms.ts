/**
 * Which rooms are known at each point of a batch? And does a request rely on the servers of a room that is not? Pure.
 *
 * A source that tells a room's whole list once, and then only changes (`onlyKnownRooms`), must not go on if the list
 * was purged meanwhile: an event would go to no server, and an `add` would make the room known with that one server only.
 */
import type { IngestState } from '../store/ingest/state.ts'
import type { EventItem, Item, ServersItem } from './items.ts'

export interface KnownRooms {
  /** Applies a request. Returns the unknown rooms whose members it needs; if it is `strict` and there are any, nothing was applied. */
  follow(items: readonly Item[], strict: boolean): string[]
}

export function makeKnownRooms(rooms: IngestState['rooms']): KnownRooms {
  let before = new Map<string, boolean>()

  return {
    follow(items, strict) {
      const after = new Map(before)
      const unknown = new Set<string>()
      const isKnown = (roomId: string) => after.get(roomId) ?? rooms.get(roomId)?.known ?? false
      for (const item of items) {
        if (item.type === 'redact' || item.type === 'erase' || item.type === 'server_up') continue
        if (item.type === 'edu') {
          if ('destinations' in item.audience) continue
          for (const room of item.audience.rooms) if (!isKnown(room)) unknown.add(room)
          continue
        }
        const { roomId } = item
        if (item.type === 'purge') after.set(roomId, false)
        else if (!isKnown(roomId) && goesByServers(item)) unknown.add(roomId)
        if (item.type === 'servers') after.set(roomId, true)
      }
      if (strict && unknown.size > 0) return [...unknown]
      before = after
      return []
    },
  }
}

function goesByServers(item: EventItem | ServersItem): boolean {
  return item.type === 'servers' ? !('set' in item.change) : !('to' in item.audience)
}
