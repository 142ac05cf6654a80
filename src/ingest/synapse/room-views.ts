/**
 * The rooms' servers in memory. Every member of a room is read once; then the counts follow Synapse's record of
 * changes.
 *
 * All views stand at one place of Synapse's stream, `position`. If limpet does not take a window, what the window
 * changed in them is taken back. If another process has moved our place on, only the changes are read, so that two
 * processes do not make each other read whole rooms. Forgetting a room is always allowed: it is then read and told
 * again. So is a room whose state becomes partial or complete.
 */
import type { Pool } from '../../store/db.ts'
import { bump, isIn, makeRoomView, type CountChange, type RoomView } from './room-view.ts'
import { readJoined } from './room-servers.ts'
import { readChanges, type MemberChange } from './window.ts'

export interface RoomViews {
  /**
   * Views of `rooms` as of `after`; `partial`: those of them whose state is partial, with the servers that count as in them.
   */
  at(
    after: number,
    rooms: ReadonlySet<string>,
    partial: ReadonlyMap<string, readonly string[]>,
  ): Promise<Map<string, RoomView>>
  /** Rooms in memory whose state was partial when they were read. */
  partialRooms(): string[]
  /** Changes which users are in a room now. */
  change(view: RoomView, change: MemberChange): void
  /** The changes since `at` stand, and `told` rooms are told; the views are as of `upTo`. */
  keep(upTo: number, told: Iterable<string>): void
  /** Takes back the changes since `at`. */
  undo(): void
  forget(roomId?: string): void
  /** Gives a view away. */
  give(roomId: string): RoomView | undefined
  /** Takes a told view over, which is as of `at`, as all others are then. */
  adopt(roomId: string, view: RoomView, at: number): Promise<void>
}

/** Servers of all rooms together, so about 200 MB of memory. */
const MAX_SERVERS = 1_000_000
/** So much of it is left when it was too much. */
const KEPT = 0.8

const weightOf = (view: RoomView | undefined): number =>
  view === undefined ? 1 : 1 + view.servers.size + view.coming.size + (view.partial?.size ?? 0)

function isOf(view: RoomView, partial: readonly string[] | undefined): boolean {
  if (view.partial === null || partial === undefined) return (view.partial ?? undefined) === partial
  return view.partial.size === partial.length && partial.every((name) => view.partial?.has(name))
}

export function makeRoomViews({
  pool,
  serverName,
  maxServers = MAX_SERVERS,
}: {
  /** Synapse's database. */
  pool: Pool
  serverName: string
  maxServers?: number
}): RoomViews {
  // Least recently used first.
  const views = new Map<string, RoomView>()
  let done: { view: RoomView; change: CountChange }[] = []
  let position = 0
  let weight = 0

  async function at(
    after: number,
    rooms: ReadonlySet<string>,
    partial: ReadonlyMap<string, readonly string[]>,
  ) {
    undo()
    await moveTo(after)
    const found = new Map<string, RoomView>()
    for (const roomId of rooms) {
      const view = views.get(roomId)
      if (view !== undefined && isOf(view, partial.get(roomId))) found.set(roomId, view)
    }
    const missing = [...rooms].filter((roomId) => !found.has(roomId))
    const joined = await readJoined(pool, { rooms: missing, at: after, serverName })
    for (const roomId of missing)
      found.set(roomId, makeRoomView(joined.get(roomId) ?? new Map(), partial.get(roomId) ?? null))
    for (const [roomId, view] of found) {
      views.delete(roomId)
      views.set(roomId, view)
    }
    for (const roomId of missing) weight += weightOf(found.get(roomId))
    return found
  }

  async function moveTo(after: number): Promise<void> {
    if (after < position) views.clear()
    if (after > position && views.size > 0) {
      const changes = await readChanges(pool, { after: position, upTo: after, serverName })
      for (const change of changes) {
        const view = views.get(change.room_id)
        if (view === undefined) continue
        apply(view, change)
        // It has come, and may have left again by now.
        if (change.server !== null && view.coming.has(change.server))
          view.coming = new Set([...view.coming].filter((server) => server !== change.server))
      }
    }
    position = after
    done = []
  }

  function apply(view: RoomView, { server, joined }: MemberChange): void {
    if (server === null) {
      for (const [name, { now }] of [...view.servers]) if (now > 0) move(view, { server: name, by: -now })
    } else {
      move(view, { server, by: joined ? 1 : -1 })
    }
  }

  function move(view: RoomView, change: CountChange): void {
    const by = bump(view, 'now', change)
    if (by !== 0) done.push({ view, change: { server: change.server, by } })
  }

  function undo(): void {
    for (const { view, change } of done.reverse())
      bump(view, 'now', { server: change.server, by: -change.by })
    done = []
  }

  function evict(): void {
    if (weight <= maxServers) return
    weight = [...views.values()].reduce((sum, view) => sum + weightOf(view), 0)
    for (const [roomId, view] of views) {
      if (weight <= maxServers * KEPT) return
      weight -= weightOf(view)
      views.delete(roomId)
    }
  }

  return {
    at,
    partialRooms: () => [...views].filter(([, view]) => view.partial !== null).map(([roomId]) => roomId),
    change: apply,
    keep(upTo, told) {
      done = []
      position = upTo
      for (const roomId of told) {
        const view = views.get(roomId)
        if (view === undefined) continue
        view.told = true
        // A user that has come may leave again.
        if (view.coming.size > 0)
          view.coming = new Set([...view.coming].filter((server) => !isIn(view, 'now', server)))
      }
      evict()
    },
    undo,
    forget(roomId) {
      if (roomId === undefined) views.clear()
      else views.delete(roomId)
    },
    give(roomId) {
      const view = views.get(roomId)
      views.delete(roomId)
      return view
    },
    async adopt(roomId, view, at) {
      undo()
      await moveTo(at)
      views.set(roomId, view)
      weight += weightOf(view)
    },
  }
}
