/** `store/content.ts`: what redacts and purges take away. */
import { keyOf } from './rows.ts'
import { narrow } from './rules.ts'
import { statement, type Statement } from './statement.ts'
import type { Tables } from './tables.ts'

const holders = (t: Tables, goes: (pos: number) => boolean) =>
  t.open_transactions
    .all()
    .filter((open) => !open.void && open.positions.some(goes))
    .map(({ destination }) => ({ destination }))

/** Rows of rooms, one a position. */
const purgeOf = (table: 'sticky' | 'events' | 'kept_events') =>
  statement<[number[]]>(
    `purge ${table}`,
    new RegExp(`^delete from ${table} where room = any\\(\\$1\\)$`),
    ({ t }, rooms) => {
      const gone = t[table].all().filter((row) => rooms.includes(row.room))
      for (const { pos } of gone) t[table].delete(pos)
      return gone.length
    },
  )

export const CONTENT: Statement[] = [
  statement<[number]>('read a stored text', /^select pdu from events where pos = \$1/, ({ t }, pos) => {
    const event = t.events.get(pos) ?? t.kept_events.get(pos)
    return event === undefined ? [] : [{ pdu: event.pdu }]
  }),
  statement<[string[]]>('find events', /^select i\.event_id as "eventId", e\.pos, e\.room/, ({ t }, ids) =>
    [...new Set(ids)].flatMap((eventId) => {
      const pos = t.event_ids.get(eventId)?.pos ?? -1
      const event = t.events.get(pos) ?? t.kept_events.get(pos)
      const room = t.rooms.get(event?.room ?? -1)
      if (event === undefined || room === undefined) return []
      return [{ eventId, pos, room: event.room, roomId: room.room_id, roomVersion: room.room_version }]
    }),
  ),
  statement<[number[]]>(
    'who holds what is redacted',
    /^select o\.destination from open_transactions o where not o\.void and o\.positions\[1\] <= \$3/,
    ({ t }, positions) => holders(t, (pos) => positions.includes(pos)),
  ),
  statement<[number[]]>(
    'who holds what is purged',
    /^select distinct o\.destination from open_transactions o .* join \(select pos from events where room = any/,
    ({ t }, rooms) =>
      holders(t, (pos) => rooms.includes((t.events.get(pos) ?? t.kept_events.get(pos))?.room ?? -1)),
  ),
  statement<[number[]]>(
    'make void what holds it',
    /^update open_transactions set void = true where destination = any\(\$1\)/,
    ({ t }, destinations) => {
      const theirs = t.open_transactions
        .all()
        .filter((open) => !open.void && destinations.includes(open.destination))
      for (const { destination } of theirs) t.open_transactions.change(destination, { void: true })
      return theirs.length
    },
  ),
  statement<[number[], string[]]>(
    'redact the texts early',
    /^update events e set pdu = t\.pdu, .* and e\.sticky_until is null returning e\.pos$/,
    ({ t }, positions, pdus) =>
      positions.flatMap((pos, i) => {
        const event = t.events.get(pos)
        if (event === undefined || event.sticky_until !== null) return []
        t.events.change(pos, { pdu: pdus[i] ?? '' })
        return [{ pos }]
      }),
  ),
  statement<[number[]]>(
    'what is kept of what is redacted',
    /^select pos from kept_events where pos = any\(\$1\)$/,
    ({ t }, positions) =>
      positions.filter((pos) => t.kept_events.get(pos) !== undefined).map((pos) => ({ pos })),
  ),
  ...(['events', 'kept_events'] as const).map((table) =>
    statement<[number[], string[]]>(
      table === 'events' ? 'redact the texts' : 'redact the kept texts',
      new RegExp(`^update ${table} e set pdu = t\\.pdu, .* where e\\.pos = t\\.pos$`),
      ({ t }, positions, pdus) => {
        const there = positions.flatMap((pos, i) =>
          t[table].get(pos) === undefined ? [] : [[pos, i] as const],
        )
        for (const [pos, i] of there) t[table].change(pos, { pdu: pdus[i] ?? '', sticky_until: null })
        return there.length
      },
    ),
  ),
  statement<[number[]]>(
    'redacted: sticky no more',
    /^delete from sticky where pos = any\(\$1\)$/,
    ({ t }, positions) => {
      const there = positions.filter((pos) => t.sticky.get(pos) !== undefined)
      for (const pos of there) t.sticky.delete(pos)
      return there.length
    },
  ),
  statement<[number[], number[], number[]]>(
    'note redactions',
    /^insert into changes \(pos, kind, room, target\)/,
    ({ t, now }, positions, rooms, targets) => {
      for (const [i, pos] of positions.entries()) {
        const [room, target] = [rooms[i] ?? null, targets[i] ?? null]
        t.changes.put(pos, { pos, kind: 'redact', room, target, added: null, removed: null, at: now })
      }
      return positions.length
    },
  ),
  // Only counted: nobody decides by it.
  statement<[number[]]>(
    'count what a purge gives up',
    /^with waiting as \( select m\.room, m\.destination, greatest/,
    (_call, rooms) => rooms.map((room) => ({ room, n: 0 })),
  ),
  statement<[string, number]>('add to a counter', /^insert into counters/, () => 1),
  statement<[number[]]>(
    'purge join replays',
    /^delete from sticky_owed where room = any\(\$1\)$/,
    ({ t }, rooms) => {
      const gone = t.sticky_owed.all().filter((row) => rooms.includes(row.room ?? -1))
      for (const row of gone) t.sticky_owed.delete(keyOf.owed(row.destination, row.room))
      return gone.length
    },
  ),
  statement<[number[]]>('purge notes', /^delete from replays p using events/, ({ t }, rooms) => {
    const gone = t.replays.all().filter(({ pos }) => rooms.includes(t.events.get(pos)?.room ?? -1))
    for (const { destination, pos } of gone) t.replays.delete(keyOf.replay(destination, pos))
    return gone.length
  }),
  purgeOf('sticky'),
  purgeOf('events'),
  purgeOf('kept_events'),
  statement<[number[]]>(
    'purge memberships',
    /^delete from memberships where room = any\(\$1\)$/,
    ({ t }, rooms) => {
      const gone = t.memberships.all().filter((row) => rooms.includes(row.room))
      for (const row of gone) t.memberships.delete(keyOf.membership(row))
      const ended = gone.filter(({ until }) => until === null)
      narrow(
        t,
        ended.map(({ destination }) => destination),
      )
      return gone.length
    },
  ),
  statement<[number[]]>('forget the rooms', /^update rooms set head = 0, known = false/, ({ t }, rooms) => {
    for (const room of rooms) t.rooms.change(room, { head: 0, known: false })
    return rooms.length
  }),
  statement<[number[], number[]]>(
    'note purges',
    /^insert into changes \(pos, kind, room\) select/,
    ({ t, now }, positions, rooms) => {
      for (const [i, pos] of positions.entries()) {
        const room = rooms[i] ?? null
        t.changes.put(pos, { pos, kind: 'purge', room, target: null, added: null, removed: null, at: now })
      }
      return positions.length
    },
  ),
]
