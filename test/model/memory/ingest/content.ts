/** `store/ingest/content.ts`: what redacts and purges take away. */
import { openEdus } from '../edus.ts'
import { keyOf, type EduRow } from '../rows.ts'
import { narrow } from '../rules.ts'
import { twin, type Twins } from '../statement.ts'
import type { Tables } from '../tables.ts'

const holders = (t: Tables, goes: (pos: number) => boolean) =>
  t.open_transactions
    .all()
    .filter((open) => !open.void && open.positions.some(goes))
    .map(({ destination }) => ({ destination }))

/** Rows of rooms, one a position. */
const purgeOf = (table: 'sticky' | 'events' | 'kept_events') =>
  twin<[number[]]>(({ t }, rooms) => {
    const gone = t[table].all().filter((row) => rooms.includes(row.room))
    for (const { pos } of gone) t[table].delete(pos)
    return gone.length
  })

const redactIn = (table: 'events' | 'kept_events') =>
  twin<[number[], string[]]>(({ t }, positions, pdus) => {
    const there = positions.flatMap((pos, i) => (t[table].get(pos) === undefined ? [] : [[pos, i] as const]))
    for (const [pos, i] of there) t[table].change(pos, { pdu: pdus[i] ?? '', sticky_until: null })
    return there.length
  })

const heldOf = twin<[number[]]>(({ t }, positions) => holders(t, (pos) => positions.includes(pos)))

const ERASE = {
  'where does what is stored begin': twin(({ t }) => {
    const positions = [...t.events.all(), ...t.kept_events.all()].map(({ pos }) => pos)
    return [{ first: positions.length === 0 ? null : Math.min(...positions) }]
  }),
  'what is stored of senders': twin<[number, number, string[]]>(({ t }, after, upto, senders) => {
    const found = new Map([...t.kept_events.all(), ...t.events.all()].map((row) => [row.pos, row]))
    return [...found.values()]
      .filter(({ pos, sender }) => pos > after && pos <= upto && senders.includes(sender))
      .map(({ pos, room, sender }) => ({ pos, room, sender }))
  }),
  erase: twin<[number[], (string | null)[], string]>(({ t, now }, positions, senders, json) => {
    for (const [i, pos] of positions.entries())
      for (const table of [t.events, t.kept_events]) {
        const sender = senders[i] ?? null
        if (sender !== null && table.get(pos)?.sender !== sender) continue
        if (table.get(pos) !== undefined && t.sticky.get(pos) !== undefined) t.sticky.delete(pos)
        if (table.get(pos) === undefined) continue
        table.delete(pos)
        for (const one of t.apart.all())
          if (one.pos === pos) t.apart.delete(keyOf.apart(one.destination, pos))
      }
    const changes = JSON.parse(json) as { pos: number; target: number | null }[]
    for (const { pos, target } of changes)
      t.changes.put(pos, { pos, kind: 'erase', room: null, target, added: null, removed: null, at: now })
    return changes.length
  }),
} satisfies Twins

export const CONTENT = {
  'read a stored text': twin<[number]>(({ t }, pos) => {
    const event = t.events.get(pos) ?? t.kept_events.get(pos)
    return event === undefined ? [] : [{ pdu: event.pdu }]
  }),
  'find events': twin<[string[]]>(({ t }, ids) =>
    [...new Set(ids)].flatMap((eventId) => {
      const pos = t.event_ids.get(eventId)?.pos ?? -1
      const event = t.events.get(pos) ?? t.kept_events.get(pos)
      const room = t.rooms.get(event?.room ?? -1)
      if (event === undefined || room === undefined) return []
      return [{ eventId, pos, room: event.room, roomId: room.room_id, roomVersion: room.room_version }]
    }),
  ),
  'who holds what is redacted': heldOf,
  'who holds much that is redacted': heldOf,
  'who holds what is purged': twin<[number[]]>(({ t }, rooms) => {
    const goes = (edu: EduRow | undefined) =>
      edu !== undefined && !edu.durable && rooms.includes(edu.room ?? -1)
    return t.open_transactions
      .all()
      .filter((open) => openEdus(open).some((pos) => goes(t.edus.get(pos))))
      .map(({ destination }) => ({ destination }))
      .concat(holders(t, (pos) => rooms.includes((t.events.get(pos) ?? t.kept_events.get(pos))?.room ?? -1)))
  }),
  'make void what holds it': twin<[number[]]>(({ t }, destinations) => {
    const theirs = t.open_transactions
      .all()
      .filter((open) => !open.void && destinations.includes(open.destination))
    for (const { destination } of theirs) t.open_transactions.change(destination, { void: true })
    return theirs.length
  }),
  'redact the texts early': twin<[number[], string[]]>(({ t }, positions, pdus) =>
    positions.flatMap((pos, i) => {
      const event = t.events.get(pos)
      if (event === undefined || event.sticky_until !== null) return []
      t.events.change(pos, { pdu: pdus[i] ?? '' })
      return [{ pos }]
    }),
  ),
  'what is kept of what is redacted': twin<[number[]]>(({ t }, positions) =>
    positions.filter((pos) => t.kept_events.get(pos) !== undefined).map((pos) => ({ pos })),
  ),
  'redact the texts': redactIn('events'),
  'redact the kept texts': redactIn('kept_events'),
  'redacted: sticky no more': twin<[number[]]>(({ t }, positions) => {
    const there = positions.filter((pos) => t.sticky.get(pos) !== undefined)
    for (const pos of there) t.sticky.delete(pos)
    return there.length
  }),
  'note redactions': twin<[number[], number[], number[]]>(({ t, now }, positions, rooms, targets) => {
    for (const [i, pos] of positions.entries()) {
      const [room, target] = [rooms[i] ?? null, targets[i] ?? null]
      t.changes.put(pos, { pos, kind: 'redact', room, target, added: null, removed: null, at: now })
    }
    return positions.length
  }),
  // Only counted: nobody decides by it.
  'count what a purge gives up': twin<[number[]]>((_call, rooms) => rooms.map((room) => ({ room, n: 0 }))),
  'count the EDUs that a purge gives up': twin<[number[]]>(() => []),
  'add to a counter': twin<[string, number]>(() => 1),
  'purge what is apart': twin<[number[]]>(({ t }, rooms) => {
    const those = t.apart.all().filter(({ room }) => rooms.includes(room))
    for (const { destination, pos } of those) t.apart.delete(keyOf.apart(destination, pos))
    return those.length
  }),
  'purge the rooms that wait': twin<[number[]]>(({ t }, rooms) => {
    const those = t.waiting_rooms.all().filter(({ room }) => rooms.includes(room))
    for (const { destination, room } of those) t.waiting_rooms.delete(keyOf.waits(destination, room))
    return those.length
  }),
  'purge join replays': twin<[number[]]>(({ t }, rooms) => {
    const gone = t.sticky_owed.all().filter((row) => rooms.includes(row.room ?? -1))
    for (const row of gone) t.sticky_owed.delete(keyOf.owed(row.destination, row.room))
    return gone.length
  }),
  'purge notes': twin<[number[]]>(({ t }, rooms) => {
    const gone = t.replays.all().filter(({ pos }) => rooms.includes(t.events.get(pos)?.room ?? -1))
    for (const { destination, pos } of gone) t.replays.delete(keyOf.replay(destination, pos))
    return gone.length
  }),
  'purge sticky': purgeOf('sticky'),
  'purge events': purgeOf('events'),
  'purge kept_events': purgeOf('kept_events'),
  'purge EDUs': twin<[number[]]>(({ t }, rooms) => {
    const gone = t.edus.all().filter(({ room, durable }) => !durable && rooms.includes(room ?? -1))
    for (const { pos } of gone) t.edus.delete(pos)
    return gone.length
  }),
  'purge the EDUs that are apart': twin<[number[]]>(({ t }, rooms) => {
    const gone = t.edus_apart.all().filter(({ pos }) => rooms.includes(t.edus.get(pos)?.room ?? -1))
    for (const { destination, pos } of gone) t.edus_apart.delete(keyOf.eduApart(destination, pos))
    return gone.length
  }),
  'purge memberships': twin<[number[]]>(({ t }, rooms) => {
    const gone = t.memberships.all().filter((row) => rooms.includes(row.room))
    for (const row of gone) t.memberships.delete(keyOf.membership(row))
    const ended = gone.filter(({ until }) => until === null)
    narrow(
      t,
      ended.map(({ destination }) => destination),
    )
    return gone.length
  }),
  'forget the rooms': twin<[number[]]>(({ t }, rooms) => {
    for (const room of rooms) t.rooms.change(room, { head: 0, known: false })
    return rooms.length
  }),
  'note purges': twin<[number[], number[]]>(({ t, now }, positions, rooms) => {
    for (const [i, pos] of positions.entries()) {
      const room = rooms[i] ?? null
      t.changes.put(pos, { pos, kind: 'purge', room, target: null, added: null, removed: null, at: now })
    }
    return positions.length
  }),
  ...ERASE,
} satisfies Twins
