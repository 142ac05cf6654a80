/** `store/content.ts`: what redacts and purges take away. */
import { keyOf } from './rows.ts'
import { statement, type Statement } from './statement.ts'

export const CONTENT: Statement[] = [
  statement<[string]>('find an event', /^select e\.pos, e\.room, r\.room_id as "roomId"/, ({ t }, id) => {
    const pos = t.event_ids.get(id)?.pos ?? -1
    const event = t.events.get(pos) ?? t.kept_events.get(pos)
    const room = t.rooms.get(event?.room ?? -1)
    if (event === undefined || room === undefined) return []
    return [{ pos, room: event.room, roomId: room.room_id, roomVersion: room.room_version }]
  }),
  statement<[number]>('read a stored text', /^select pdu from events where pos = \$1/, ({ t }, pos) => {
    const event = t.events.get(pos) ?? t.kept_events.get(pos)
    return event === undefined ? [] : [{ pdu: event.pdu }]
  }),
  statement<[number, string]>('redact the text', /^update events set pdu = \$2/, ({ t }, pos, pdu) => {
    if (t.events.get(pos) === undefined) return 0
    t.events.change(pos, { pdu, sticky_until: null })
    return 1
  }),
  statement<[number, string]>(
    'redact the kept text',
    /^update kept_events set pdu = \$2/,
    ({ t }, pos, pdu) => {
      if (t.kept_events.get(pos) === undefined) return 0
      t.kept_events.change(pos, { pdu, sticky_until: null })
      return 1
    },
  ),
  statement<[number]>('redacted: sticky no more', /^delete from sticky where pos = \$1$/, ({ t }, pos) => {
    if (t.sticky.get(pos) === undefined) return 0
    t.sticky.delete(pos)
    return 1
  }),
  statement<[number]>(
    'make void what holds it',
    /^update open_transactions set void = true where/,
    ({ t }, pos) => {
      const holding = t.open_transactions.all().filter((open) => !open.void && open.positions.includes(pos))
      for (const { destination } of holding) t.open_transactions.change(destination, { void: true })
      return holding.length
    },
  ),
  statement<[number, number, number]>(
    'note a redaction',
    /^insert into changes \(pos, kind, room, target\)/,
    ({ t }, pos, room, target) => {
      t.changes.put(pos, { pos, kind: 'redact', room, target, added: null, removed: null })
      return 1
    },
  ),
  // Only counted: nobody decides by it.
  statement<[number]>(
    'count what a purge gives up',
    /^with waiting as \( select m\.destination, greatest/,
    () => [{ n: 0 }],
  ),
  statement<[string, number]>('add to a counter', /^insert into counters/, () => 1),
  statement<[number]>(
    'make void what holds the room',
    /^update open_transactions o set void = true/,
    ({ t }, room) => {
      const inRoom = (pos: number) => (t.events.get(pos) ?? t.kept_events.get(pos))?.room === room
      const holding = t.open_transactions.all().filter((open) => !open.void && open.positions.some(inRoom))
      for (const { destination } of holding) t.open_transactions.change(destination, { void: true })
      return holding.length
    },
  ),
  statement<[number]>('purge join replays', /^delete from sticky_owed where room = \$1$/, ({ t }, room) => {
    const gone = t.sticky_owed.all().filter((row) => row.room === room)
    for (const row of gone) t.sticky_owed.delete(keyOf.owed(row.destination, row.room))
    return gone.length
  }),
  statement<[number]>('purge notes', /^delete from replays p using events/, ({ t }, room) => {
    const gone = t.replays.all().filter(({ pos }) => t.events.get(pos)?.room === room)
    for (const { destination, pos } of gone) t.replays.delete(keyOf.replay(destination, pos))
    return gone.length
  }),
  statement<[number]>('purge sticky rows', /^delete from sticky where room = \$1$/, ({ t }, room) => {
    const gone = t.sticky.all().filter((row) => row.room === room)
    for (const { pos } of gone) t.sticky.delete(pos)
    return gone.length
  }),
  statement<[number]>('purge events', /^delete from events where room = \$1$/, ({ t }, room) => {
    const gone = t.events.all().filter((row) => row.room === room)
    for (const { pos } of gone) t.events.delete(pos)
    return gone.length
  }),
  statement<[number]>('purge kept events', /^delete from kept_events where room = \$1$/, ({ t }, room) => {
    const gone = t.kept_events.all().filter((row) => row.room === room)
    for (const { pos } of gone) t.kept_events.delete(pos)
    return gone.length
  }),
  statement<[number]>('purge memberships', /^delete from memberships where room = \$1$/, ({ t }, room) => {
    const gone = t.memberships.all().filter((row) => row.room === room)
    for (const row of gone) t.memberships.delete(keyOf.membership(row))
    return gone.length
  }),
  statement<[number]>('forget the room', /^update rooms set head = 0, known = false/, ({ t }, room) => {
    t.rooms.change(room, { head: 0, known: false })
    return 1
  }),
  statement<[number, number]>(
    'note a purge',
    /^insert into changes \(pos, kind, room\)/,
    ({ t }, pos, room) => {
      t.changes.put(pos, { pos, kind: 'purge', room, target: null, added: null, removed: null })
      return 1
    },
  ),
]
