/**
 * Takes content away: `redact` puts the redacted form in an event's place, `purge` forgets a room.
 *
 * Except in `redactEarly`, the caller holds the content lock until its commit, and has marked every open transaction
 * that carries the content as void (`holders.ts`). So no transaction that is frozen later contains the old text.
 */
import type { Db } from '../db.ts'
import { sent, sentSince } from '../entitled.ts'
import { planFor } from '../prepare.ts'
import { sql, type Sql } from '../statement.ts'
import { COUNT_PURGED_EDUS, PURGE_EDUS, PURGE_EDUS_APART } from './purge-edus.ts'

/** What there is of rooms ($1), in the log or kept of it; what is in both once. */
const OF_ROOMS = `
  (select pos, room, recipients from events where room = any($1)
   union all
   select k.pos, k.room, k.recipients from kept_events k
    where k.room = any($1) and not exists (select 1 from events e where e.pos = k.pos))`

export interface StoredEvent {
  pos: number
  room: number
  roomId: string
  roomVersion: string | null
}

// Ids are known for longer than events.
const FIND = sql(
  'find events',
  `select i.event_id as "eventId", e.pos, e.room, r.room_id as "roomId", r.room_version as "roomVersion"
    from event_ids i
    cross join lateral (select pos, room from events where pos = i.pos
                        union all select pos, room from kept_events where pos = i.pos limit 1) e
    join rooms r on r.id = e.room
   where i.event_id = any($1)`,
)

/** Those of `eventIds` that are held: where each stands, and what its room is. */
export async function findEvents(db: Db, eventIds: readonly string[]): Promise<Map<string, StoredEvent>> {
  if (eventIds.length === 0) return new Map()
  const { rows } = await db.query<StoredEvent & { eventId: string }>(planFor(eventIds.length, FIND), [
    eventIds,
  ])
  return new Map(rows.map(({ eventId, ...event }) => [eventId, event]))
}

const STORED_TEXT = sql(
  'read a stored text',
  `select pdu from events where pos = $1 union all select pdu from kept_events where pos = $1 limit 1`,
)

/** The text that is stored of the event at `pos`; null: none. */
export async function readStoredText(db: Db, pos: number): Promise<string | null> {
  const { rows } = await db.query<{ pdu: string }>(STORED_TEXT, [pos])
  return rows[0]?.pdu ?? null
}

export interface Redaction {
  /** Its own position. */
  pos: number
  /** That of the event that it takes the text of. */
  target: number
  room: number
  /** What takes its place. */
  pdu: string
}

const redactIn = (table: 'events' | 'kept_events') => `
  update ${table} e set pdu = t.pdu, sticky_until = null from unnest($1::bigint[], $2::text[]) t (pos, pdu) where e.pos = t.pos`

const REDACT = {
  events: sql('redact the texts', redactIn('events')),
  kept_events: sql('redact the kept texts', redactIn('kept_events')),
}

// What is sticky waits: what ends stickiness writes such rows under the content lock.
const REDACT_EARLY = sql(
  'redact the texts early',
  `${redactIn('events')} and e.sticky_until is null returning e.pos`,
)

/**
 * Puts texts in the place of events' own before the content lock is taken, so that no freeze waits for it: a reader meanwhile sees the old
 * ones, and is found as a holder, or refused, when the lock is there. Returns what was written, by position: all but what is sticky.
 */
export async function redactEarly(db: Db, texts: ReadonlyMap<number, string>): Promise<Map<number, string>> {
  if (texts.size === 0) return new Map()
  const values = [[...texts.keys()], [...texts.values()]]
  const { rows } = await db.query<{ pos: number }>(planFor(texts.size, REDACT_EARLY), values)
  return new Map(rows.map(({ pos }) => [pos, texts.get(pos) ?? '']))
}

const KEPT_AMONG = sql('what is kept of what is redacted', 'select pos from kept_events where pos = any($1)')

const NOTE_REDACTIONS = sql(
  'note redactions',
  `insert into changes (pos, kind, room, target)
  select pos, 'redact', room, target from unnest($1::bigint[], $2::int[], $3::bigint[]) t (pos, room, target)`,
)

const STICKY_NO_MORE = sql('redacted: sticky no more', 'delete from sticky where pos = any($1)')

/**
 * Puts what they bring in the place of their events; of two for one event the later one counts. `written`: what `redactEarly`
 * wrote and nothing has overwritten since.
 */
export async function redactEvents(
  db: Db,
  redactions: readonly Redaction[],
  written: Map<number, string> = new Map(),
): Promise<void> {
  if (redactions.length === 0) return
  const texts = new Map(redactions.map(({ target, pdu }) => [target, pdu]))
  const targets = [...texts.keys()]
  const run = <Row extends object>(statement: Sql, values: unknown[]) =>
    db.query<Row>(planFor(redactions.length, statement), values)
  const write = async (table: 'events' | 'kept_events', positions: readonly number[]) => {
    if (positions.length === 0) return
    await run(REDACT[table], [positions, positions.map((pos) => texts.get(pos))])
  }
  const other = targets.filter((pos) => written.get(pos) !== texts.get(pos))
  await write('events', other)
  for (const pos of other) written.delete(pos)
  // Hardly any is kept, and the texts are long.
  const kept = await run<{ pos: number }>(KEPT_AMONG, [targets])
  await write(
    'kept_events',
    kept.rows.map(({ pos }) => pos),
  )
  await run(STICKY_NO_MORE, [targets])
  await run(NOTE_REDACTIONS, [
    redactions.map(({ pos }) => pos),
    redactions.map(({ room }) => room),
    redactions.map(({ target }) => target),
  ])
}

// Pairs of destination and event: what its servers had still to get of the timeline, what was addressed to others,
// and join replays. What catch-up would have left out is counted: it was owed until then. Nobody can append or freeze
// meanwhile, so the pairs of plain events (dead servers times a week of a large room: millions) are not made but
// reckoned: the events up to a membership's upper end less those up to its lower one.
const COUNT_GIVEN_UP = sql(
  'count what a purge gives up',
  `with waiting as (
    select m.room, m.destination, greatest(d.position, m.since) as after,
           coalesce(m.until, ${Number.MAX_SAFE_INTEGER}) as upto
      from memberships m join destinations d on d.id = m.destination
     where m.room = any($1) and (m.until is null or m.until > greatest(d.position, m.since))
  ), marks as (
    select room, pos, 0 as sign from ${OF_ROOMS} e where recipients is null
    union all select room, after, -1 from waiting
    union all select room, upto, 1 from waiting
  ), plain as (
    select room, sum(sign * events) as n
      from (select room, sign, count(*) filter (where sign = 0) over (partition by room order by pos) as events from marks) x
     group by room
  ), had as (
    select e.room, count(*) as n
      from replays p join events e on e.pos = p.pos and e.recipients is null
      join waiting w on w.room = e.room and w.destination = p.destination and p.pos > w.after and p.pos <= w.upto
     where e.room = any($1) and p.state = 'sent'
     group by e.room
  ), others as (
    select room, count(*) as n from (
      select e.room, w.destination, e.pos
        from ${OF_ROOMS} e join recipients r on r.id = e.recipients
        join waiting w on w.room = e.room and e.pos > w.after and e.pos <= w.upto
       where not r.exact and not w.destination = any(r.less)
         and not ${sent('w.destination', 'e.pos')}
      union
      select e.room, d.id, e.pos
        from ${OF_ROOMS} e join recipients r on r.id = e.recipients
        cross join lateral unnest(r.list) as l (id)
        join destinations d on d.id = l.id and e.pos > d.position
       where not ${sent('d.id', 'e.pos')}
      union
      select o.room, o.destination, s.pos
        from sticky_owed o join sticky s on s.room = o.room and s.pos > o.cursor and s.pos <= o.upto
        join events e on e.pos = s.pos
       where o.room = any($1) and s.expires_at > (select now_ms())
         and not (e.recipients is null and exists (select 1 from waiting w where w.room = o.room and w.destination = o.destination
                                                    and s.pos > w.after and s.pos <= w.upto))
         and not ${sentSince('o.destination', 's.pos', 'o.upto')}
    ) pairs group by room
  )
  select r.room, (coalesce(p.n, 0) - coalesce(h.n, 0) + coalesce(o.n, 0))::bigint as n
    from unnest($1::int[]) r (room)
    left join plain p on p.room = r.room left join had h on h.room = r.room left join others o on o.room = r.room`,
)

// What only these rooms have.
const PURGE = [
  sql('purge what is apart', 'delete from apart where room = any($1)'),
  sql('purge the rooms that wait', 'delete from waiting_rooms where room = any($1)'),
  sql('purge join replays', 'delete from sticky_owed where room = any($1)'),
  sql('purge notes', 'delete from replays p using events e where e.pos = p.pos and e.room = any($1)'),
  sql('purge sticky', 'delete from sticky where room = any($1)'),
  sql('purge events', 'delete from events where room = any($1)'),
  sql('purge kept_events', 'delete from kept_events where room = any($1)'),
  PURGE_EDUS,
  PURGE_EDUS_APART,
  sql('purge memberships', 'delete from memberships where room = any($1)'),
  sql('forget the rooms', 'update rooms set head = 0, known = false where id = any($1)'),
]

/** Forgets the rooms, each once; returns of each how many pairs of an event, or a durable EDU, and a destination were given up. */
export async function purgeRooms(db: Db, rooms: readonly number[]): Promise<Map<number, number>> {
  if (rooms.length === 0) return new Map()
  const run = <Row extends object>(statement: Sql) => db.query<Row>(planFor(rooms.length, statement), [rooms])
  const { rows } = await run<{ room: number; n: number }>(COUNT_GIVEN_UP)
  const ofEdus = await run<{ room: number; n: number }>(COUNT_PURGED_EDUS)
  const edusOf = new Map(ofEdus.rows.map(({ room, n }) => [room, n]))
  const counts = new Map(rows.map(({ room, n }) => [room, n + (edusOf.get(room) ?? 0)]))
  for (const statement of PURGE) await run(statement)
  await addToCounter(
    db,
    'given_up:purge',
    [...counts.values()].reduce((sum, n) => sum + n, 0),
  )
  return counts
}

const NOTE_PURGES = sql(
  'note purges',
  `insert into changes (pos, kind, room) select pos, 'purge', room from unnest($1::bigint[], $2::int[]) t (pos, room)`,
)

/** Each at its own position; in the commit that forgets the rooms. */
export async function notePurges(db: Db, purges: readonly { pos: number; room: number }[]): Promise<void> {
  if (purges.length === 0) return
  const values = [purges.map(({ pos }) => pos), purges.map(({ room }) => room)]
  await db.query(planFor(purges.length, NOTE_PURGES), values)
}

const ADD = sql(
  'add to a counter',
  `insert into counters (name, value) values ($1, $2) on conflict (name) do update set value = counters.value + excluded.value`,
)

export async function addToCounter(db: Db, name: string, by: number): Promise<void> {
  if (by === 0) return
  await db.query(ADD, [name, by])
}
