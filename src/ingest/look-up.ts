/**
 * Which rooms, servers and events must be looked up before some items can be taken? Pure.
 *
 * Invalid server names and our own name are left out: they stay unknown, and are listed as ignored.
 */
import { parseServerName } from '../matrix/ids.ts'
import type { Touched } from '../store/ingest/state.ts'
import type { EventItem, Item, ServersItem } from './items.ts'

export interface TouchedItems extends Touched {
  /** Servers that join or are said to be up: advice for them if they are failing. */
  advised: string[]
}

export function touchedBy(
  items: readonly Item[],
  { serverName, sources }: { serverName: string; sources: readonly string[] },
): TouchedItems {
  const rooms = new Set<string>()
  const wholeRooms = new Set<string>()
  const serverRooms = new Set<string>()
  const mentionedRooms = new Set<string>()
  const servers = new Set<string>()
  const mentionedServers = new Set<string>()
  const advised = new Set<string>()
  const eventIds = new Set<string>()
  for (const item of items) {
    if (item.type === 'event') {
      rooms.add(item.roomId)
      eventIds.add(item.eventId)
      for (const name of addressedBy(item)) servers.add(name)
    } else if (item.type === 'servers') {
      rooms.add(item.roomId)
      ;('set' in item.change ? wholeRooms : serverRooms).add(item.roomId)
      for (const name of joiningBy(item)) {
        servers.add(name)
        advised.add(name)
      }
      if ('remove' in item.change) for (const name of item.change.remove) mentionedServers.add(name)
    } else if (item.type === 'purge') {
      mentionedRooms.add(item.roomId)
    } else if (item.type === 'edu') {
      if ('rooms' in item.audience) for (const room of item.audience.rooms) mentionedRooms.add(room)
      // One of which nothing is left makes no server known.
      else if (item.parts.length > 0) for (const name of item.audience.destinations) servers.add(name)
    } else if (item.type === 'server_up') {
      mentionedServers.add(item.server)
      advised.add(item.server)
    }
  }
  const usable = (name: string) => name !== serverName && parseServerName(name) !== null
  return {
    sources: [...new Set(sources)],
    rooms: [...rooms],
    mentionedRooms: [...mentionedRooms].filter((room) => !rooms.has(room)),
    wholeRooms: [...wholeRooms],
    serverRooms: [...serverRooms].filter((room) => !wholeRooms.has(room)),
    servers: [...servers].filter(usable),
    mentionedServers: [...mentionedServers].filter((name) => !servers.has(name) && usable(name)),
    advised: [...advised],
    eventIds: [...eventIds],
  }
}

function addressedBy({ audience }: EventItem): readonly string[] {
  return 'to' in audience ? audience.to : [...audience.alsoTo, ...audience.notTo]
}

function joiningBy({ change }: ServersItem): readonly string[] {
  return 'set' in change ? change.set : change.add
}

/**
 * The names of servers that these items remove from a room in which they are, also one that they join before that;
 * `members`: who is in which room before them. Of a room that is forgotten only those that join it before.
 */
export function leavingBy(
  items: readonly Item[],
  members: ReadonlyMap<string, ReadonlySet<string>>,
): string[] {
  const names = new Set<string>()
  const now = new Map<string, Set<string>>()
  for (const item of items) {
    if (item.type === 'purge') for (const name of now.get(item.roomId) ?? []) names.add(name)
    if (item.type !== 'servers') continue
    const { roomId, change } = item
    const there = now.get(roomId) ?? new Set(members.get(roomId))
    now.set(roomId, there)
    const joining = new Set(joiningBy(item))
    const staying = 'set' in change ? new Set([...change.set, ...(change.keep ?? [])]) : joining
    const leaving = 'set' in change ? [...there].filter((name) => !staying.has(name)) : change.remove
    for (const name of joining) there.add(name)
    for (const name of leaving) if (there.delete(name)) names.add(name)
  }
  return [...names]
}
