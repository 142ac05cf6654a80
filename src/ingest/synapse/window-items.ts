/**
 * Turns windows of Synapse's stream into items: every room's servers first, then events, changes and redactions in
 * order.
 *
 * It remembers which rooms it has told, so that a room's whole list is read once. Telling a room again is harmless (an
 * equal list changes nothing) and repairs earlier errors, so `forget` is always allowed. A room that begins again is
 * told again if limpet does not know it, because another process may have passed on its purge. So is a room whose
 * state is no longer partial; until then, servers that a later change brings in stay in it, so that no server leaves a
 * room that it was in all the time.
 */
import { isEventId, isRoomId } from '../../matrix/ids.ts'
import { isJsonObject, type JsonObject } from '../../matrix/json-value.ts'
import type { Log } from '../../observe/log.ts'
import type { Pool } from '../../store/db.ts'
import type { EventItem, Item, ServersItem } from '../items.ts'
import { orderSteps } from './order.ts'
import type { Purges } from './purges.ts'
import { rawEvent } from './raw-event.ts'
import { withRecipients } from './recipients.ts'
import type { RedactionItems } from './redaction-items.ts'
import { readPartialRooms } from './room-servers.ts'
import { bump, countsNow, replaceAt, serversNow, type RoomView } from './room-view.ts'
import { makeRoomViews } from './room-views.ts'
import { readStatesAt, type StateAtEvent } from './state-at-events.ts'
import { readDifference, readJoinedIn } from './state-groups.ts'
import type { SynapseEvent, MemberChange, Window } from './window.ts'

export interface WindowItemsNeeds {
  readonly redactions: Pick<RedactionItems, 'itemsOf'>
  readonly purges: Pick<Purges, 'reborn' | 'toldAmong'>
  /** Synapse's database. */
  readonly pool: Pool
  readonly serverName: string
  /** The door every item goes through (`{type: 'event', …}` as in the ingest API). @throws for an item that is refused */
  readonly parseItem: (raw: JsonObject) => Item
  /** Told of each event that is skipped since Synapse purged its state before it was read. */
  readonly skipped?: (() => void) | undefined
  /** Told of each event whose servers are known now. */
  readonly readTo?: ((at: number) => void) | undefined
  readonly log: Log
}

export interface WindowItems {
  /** The items of the window that begins after `after`. Call `taken` once they are stored. */
  read(window: Window, after: number): Promise<{ readonly items: Item[]; readonly taken: () => void }>
  /** Forgets which rooms were told, or one room. */
  forget(roomId?: string): void
  /** Gives away what it knows of a room. */
  give(roomId: string): RoomView | undefined
  /** Takes over what another one knows of a room at `at`. */
  adopt(roomId: string, view: RoomView, at: number): Promise<void>
}

interface SentEvent {
  readonly row: SynapseEvent
  readonly item: EventItem
  readonly replaces: string | null
}

export function makeWindowItems(needs: WindowItemsNeeds): WindowItems {
  const { pool, serverName, parseItem, purges, redactions, log } = needs
  const views = makeRoomViews({ pool, serverName })

  async function read(window: Window, after: number) {
    const made = window.events.flatMap((row) => sendable(row) ?? [])
    const sent = new Map(made.filter(({ row }) => !row.purged).map((one) => [one.row, one]))
    const purgedEvents = made.filter(({ row }) => row.purged)
    const touched = new Set([...sent.keys(), ...window.changes].map((row) => row.room_id))
    const anew = window.changes.filter(({ server }) => server === null).map((change) => change.room_id)
    const purged = (await purges.reborn([...new Set(anew)], after)).filter(isRoomId)
    const known = new Set(anew.length === 0 ? [] : await purges.toldAmong(anew))
    for (const roomId of [...purged, ...anew.filter((one) => !known.has(one))]) views.forget(roomId)
    // First what is partial, then the states: a room whose state is whole by now has whole groups too.
    const wasPartial = views.partialRooms()
    const asked = new Set([...touched, ...wasPartial])
    const partial = await readPartialRooms(pool, { rooms: [...asked], serverName })
    for (const roomId of wasPartial) if (!partial.has(roomId)) touched.add(roomId)
    const rooms = await views.at(after, touched, partial)
    await expectNobodyWhereUnknown(rooms, new Set<string>(purged))
    const states = await readStatesAt(
      pool,
      [...sent.values()]
        .filter(({ item }) => !('to' in item.audience))
        .map(({ row, replaces }) => ({ event_id: row.event_id, replaces })),
    )
    const redacts = await redactions.itemsOf(window.redactions)
    const items: Item[] = purged.map((roomId) => ({ type: 'purge', roomId }))
    for (const [roomId, view] of rooms) {
      if (view.told || !isRoomId(roomId)) continue
      const set = serversNow(view).sort()
      const keep = [...view.coming].sort()
      items.push({ type: 'servers', roomId, change: keep.length === 0 ? { set } : { set, keep } })
    }
    for (const step of orderSteps(window)) {
      const roomId = step.kind === 'changes' ? step.roomId : step.kind === 'event' ? step.row.room_id : ''
      const view = rooms.get(roomId)
      if (step.kind === 'redact') {
        const item = redacts.get(step.redaction.event_id)
        if (item !== undefined) items.push(item)
      } else if (view === undefined) continue
      else if (step.kind === 'changes') items.push(...change(step, view))
      else {
        const one = sent.get(step.row)
        if (one === undefined) continue
        items.push(await address(one, view, states))
        needs.readTo?.(step.row.at)
      }
    }
    const taken = () => {
      views.keep(window.upTo, rooms.keys())
      for (const { row } of purgedEvents) skip(row)
    }
    return { items, taken }
  }

  /** A server that comes later to a room that limpet does not know cannot be taken to be in it. */
  async function expectNobodyWhereUnknown(
    rooms: ReadonlyMap<string, RoomView>,
    purged: ReadonlySet<string>,
  ): Promise<void> {
    const unsure = [...rooms].filter(([, { told, coming }]) => !told && coming.size > 0)
    if (unsure.length === 0) return
    const known = new Set(await purges.toldAmong(unsure.map(([roomId]) => roomId)))
    for (const [roomId, view] of unsure) if (!known.has(roomId) || purged.has(roomId)) view.coming = new Set()
  }

  /** The event as an item, not yet addressed; null: it does not go out. */
  function sendable(row: SynapseEvent): SentEvent | null {
    try {
      const raw = rawEvent(row, serverName)
      if (raw === null) return null
      const item = parseItem(raw)
      if (item.type !== 'event') return null
      const unsigned = isJsonObject(raw['pdu']) ? raw['pdu']['unsigned'] : undefined
      const replaces = isJsonObject(unsigned) ? unsigned['replaces_state'] : undefined
      return { row, item, replaces: isId(replaces) ? replaces : null }
    } catch (error) {
      // One odd event must not stop the stream.
      log.error({ err: error, event_id: row.event_id }, 'Synapse: left out an event that cannot be sent')
      return null
    }
  }

  /** It is no longer known which servers were in the room when it was made. */
  function skip({ event_id, room_id }: SynapseEvent): void {
    log.warn({ event_id, room_id }, 'Synapse: skipped an event: its room’s history was purged first')
    needs.skipped?.()
  }

  async function address(
    { row, item }: SentEvent,
    view: RoomView,
    states: ReadonlyMap<string, StateAtEvent>,
  ): Promise<EventItem> {
    const state = states.get(row.event_id) ?? null
    // In a room with partial state the members are not known, neither now nor then.
    if (view.partial !== null || state === null || state.group === null)
      return withRecipients({ item, view: null, state })
    await moveTo(view, state.group)
    return withRecipients({ item, view, state })
  }

  /** Counts who is joined in the state group. */
  async function moveTo(view: RoomView, group: number): Promise<void> {
    if (view.group === group) return
    const moves =
      view.group === null ? null : await readDifference(pool, { from: view.group, to: group, serverName })
    if (moves === null) replaceAt(view, group, await readJoinedIn(pool, { group, serverName }))
    else for (const move of moves) bump(view, 'at', move)
    view.group = group
  }

  /** What several users' changes in one room at one position come to for their servers. */
  function change(
    { roomId, changes }: { roomId: string; changes: readonly MemberChange[] },
    view: RoomView,
  ): ServersItem[] {
    // A room that begins anew begins without members. While its state is partial, none of the servers that were there at the join is known to have left.
    const named = changes.some(({ server }) => server === null)
      ? serversNow(view)
      : changes.flatMap(({ server }) => server ?? [])
    const before = new Set(named.filter((server) => countsNow(view, server)))
    for (const one of changes) views.change(view, one)
    const concerned = new Set([...before, ...changes.flatMap(({ server }) => server ?? [])])
    const add = [...concerned].filter((server) => !before.has(server) && countsNow(view, server))
    const remove = [...before].filter((server) => !countsNow(view, server))
    if (add.length + remove.length === 0 || !isRoomId(roomId)) return []
    return [{ type: 'servers', roomId, change: { add, remove } }]
  }

  return {
    read,
    forget: (roomId) => views.forget(roomId),
    give: (roomId) => views.give(roomId),
    adopt: (roomId, view, at) => views.adopt(roomId, view, at),
  }
}

/** An id that is none (with a NUL, say) would fail the statement that asks about all of them. */
function isId(value: unknown): value is string {
  return typeof value === 'string' && isEventId(value)
}
