/**
 * Applies items, one after another, to what is known of rooms and servers. Pure: no I/O, no clock.
 *
 * The state is loaded before (`store/ingest/state.ts`) and changed here item by item, so that an item sees what
 * earlier items of its batch did. The effects are written afterwards. Always: an item takes one position; a duplicate
 * event takes none, an EDU one for each of its parts (`edu/stage-edu.ts`). Nothing odd stops the stream: names that can't be used are left out and listed (contract 3).
 */
import { createHash } from 'node:crypto'
import { parseServerName } from '../matrix/ids.ts'
import type { AddressedTo, Effects, HeadsOfList } from '../store/ingest/effects.ts'
import type { IngestState, RoomState } from '../store/ingest/state.ts'
import type { EventItem, ServersItem } from './items.ts'
import { accept, leaveOut, type IgnoredWhy, type IngestReport } from './report.ts'

export interface Stage {
  state: IngestState
  effects: Effects
  /** Our own server name: never a destination. */
  serverName: string
  /** The cap on stickiness, ms (MSC4354: at most an hour). */
  maxStickyMs: number
}

export function stageEvent(stage: Stage, item: EventItem, index: number, report: IngestReport): void {
  const { state, effects } = stage
  if (state.positions.has(item.eventId)) {
    report.duplicates += 1
    return
  }
  const pos = (state.head += 1)
  const room = useRoom(stage, item.roomId)
  if (room.version !== item.roomVersion) {
    room.version = item.roomVersion
    effects.roomVersions.set(room.id, item.roomVersion)
  }
  const { audience } = item
  if (!room.known && !('to' in audience)) report.unknownRooms.add(item.roomId)
  const stickyUntil = stickyEnd(item, state.now, stage.maxStickyMs)
  if (stickyUntil !== null && stickyUntil > state.now) state.stickyRooms.add(item.roomId)
  state.positions.set(item.eventId, pos)
  effects.roomHeads.set(room.id, pos)
  effects.events.push({
    pos,
    room: room.id,
    eventId: item.eventId,
    sender: item.sender,
    pdu: item.pdu,
    odd: item.odd === true,
    stickyUntil,
    recipients: stageRecipients(stage, item, pos, index, report),
  })
  accept(report, 'event')
}

/** MSC4354: min(origin_server_ts, received) + min(duration, cap); null where the event is not sticky. */
function stickyEnd(item: EventItem, now: number, maxStickyMs: number): number | null {
  if (item.stickyDurationMs === null) return null
  return Math.min(item.originServerTs, now) + Math.min(item.stickyDurationMs, maxStickyMs)
}

function stageRecipients(
  stage: Stage,
  item: EventItem,
  pos: number,
  index: number,
  report: IngestReport,
): string | null {
  const { audience } = item
  const exact = 'to' in audience
  const use = (names: readonly string[]) => {
    const ids = new Set<number>()
    for (const name of names) {
      const id = useDestination(stage, name, pos)
      if (id === null) leaveOut(report, index, name, whyUnusable(stage, name) ?? 'invalid_name')
      else ids.add(id)
    }
    return [...ids].sort((a, b) => a - b)
  }
  const list = use(exact ? audience.to : audience.alsoTo)
  const less = exact ? [] : use(audience.notTo)
  if (!exact && list.length === 0 && less.length === 0) return null
  return useList(stage.effects, { exact, list, less }, { head: pos })
}

/** The hash under which a list is stored; `heads`: the newest that is addressed so. Equal lists are one. */
export function useList(
  { recipients }: Effects,
  { exact, list, less }: AddressedTo,
  heads: Partial<HeadsOfList>,
): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([exact, list, less]))
    .digest('base64url')
  const before = recipients.get(hash) ?? { exact, list, less, head: 0, durableHead: 0, eduHead: 0 }
  recipients.set(hash, { ...before, ...heads })
  return hash
}

export function stageServers(stage: Stage, item: ServersItem, index: number, report: IngestReport): void {
  const { state, effects } = stage
  const pos = (state.head += 1)
  const room = useRoom(stage, item.roomId)
  if (!room.known) {
    room.known = true
    effects.knownRooms.add(room.id)
  }
  const members = state.members.get(item.roomId) ?? new Set<string>()
  state.members.set(item.roomId, members)
  const added: number[] = []
  const removed: number[] = []
  const ignore = (name: string) => leaveOut(report, index, name, whyUnusable(stage, name) ?? 'no_change')
  const join = (name: string) => {
    const id = members.has(name) ? null : useDestination(stage, name, pos)
    if (id === null) {
      ignore(name)
      return
    }
    members.add(name)
    added.push(id)
    beginMembership(stage, room, item.roomId, id, pos)
  }
  const leave = (name: string) => {
    const id = state.destinations.get(name)?.id
    if (!members.delete(name) || id === undefined) {
      ignore(name)
      return
    }
    removed.push(id)
    endMembership(stage, room.id, id, pos)
  }
  if ('set' in item.change) {
    const wanted = new Set(item.change.set)
    for (const name of wanted) {
      if (whyUnusable(stage, name) === null) continue
      wanted.delete(name)
      ignore(name)
    }
    const joining = [...wanted].filter((name) => !members.has(name))
    const kept = new Set(item.change.keep)
    const leaving = [...members].filter((name) => !wanted.has(name) && !kept.has(name))
    if (joining.length + leaving.length === 0) leaveOut(report, index, item.roomId, 'no_change')
    leaving.forEach(leave)
    joining.forEach(join)
  } else {
    item.change.add.forEach(join)
    item.change.remove.forEach(leave)
  }
  if (added.length + removed.length > 0) effects.changes.push({ pos, room: room.id, added, removed })
  accept(report, 'servers')
}

/** Entitled to what comes after `since`, up to and including `until`. */
function beginMembership(
  { state, effects }: Stage,
  room: RoomState,
  roomId: string,
  id: number,
  pos: number,
): void {
  const membership = { room: room.id, destination: id, since: pos, until: null }
  effects.begun.push(membership)
  effects.begunOpen.set(`${room.id} ${id}`, membership)
  effects.joined.add(id)
  const upto = state.stickyRooms.has(roomId) ? pos : null
  effects.owed.set(`${room.id} ${id}`, { room: room.id, destination: id, upto })
}

function endMembership({ effects }: Stage, room: number, id: number, pos: number): void {
  const key = `${room} ${id}`
  const begun = effects.begunOpen.get(key)
  effects.begunOpen.delete(key)
  if (begun === undefined) effects.ended.set(key, { room, destination: id, until: pos })
  else begun.until = pos
  effects.owed.set(key, { room, destination: id, upto: null })
}

function useRoom({ state, effects }: Stage, roomId: string): RoomState {
  const room = state.rooms.get(roomId)
  if (room === undefined) throw new Error('a room was not loaded before its item')
  if (room.isNew) {
    room.isNew = false
    effects.newRooms.set(room.id, roomId)
  }
  return room
}

/** The id of a server that may be a destination (made known when it wasn't: it starts just before `pos`), else null. */
export function useDestination(stage: Stage, name: string, pos: number): number | null {
  if (whyUnusable(stage, name) !== null) return null
  const { state, effects } = stage
  const destination = state.destinations.get(name)
  if (destination === undefined) throw new Error('a destination was not loaded before its item')
  if (destination.isNew) {
    destination.isNew = false
    effects.newDestinations.set(destination.id, { name, position: pos - 1 })
  }
  return destination.id
}

/** Why `name` can be no destination; null: it can. */
export function whyUnusable({ serverName }: Stage, name: string): IgnoredWhy | null {
  if (name === serverName) return 'own_name'
  return parseServerName(name) === null ? 'invalid_name' : null
}
