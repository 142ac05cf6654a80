/**
 * Counts what each destination is owed, for lists and gauges: made by the sweep, not by a request.
 *
 * Destinations that are owed something are counted, up to 10,000 PDUs each. That is work without end where a thousand servers
 * are dead, so one sweep counts for a bounded time and the next one goes on from there. A destination with an open gap is owed what
 * catch-up sends of it, part of which may have left the log; and one to which something was refused is owed what is apart: each of these is
 * counted as an operator would see it.
 */
import type { Db } from '../db.ts'
import { entitledAsMember, memberAt, sent, sentSince } from '../entitled.ts'
import { IN_ORDER } from '../held.ts'
import { planFor } from '../prepare.ts'
import { countPending } from '../views/count-pending.ts'
import { PACE_MS } from '../views/totals.ts'
import { findApart } from '../views/quarantine.ts'
import { sql } from '../statement.ts'

/** A destination's backlog is counted up to this. */
const COUNT_CAP = 10_000
/** Counted in one statement: none takes long, and what has time only for a few counts these. */
const AT_ONCE = 8

// $1: who is owed something.
const WITH_GAP = sql(
  'who of them has a gap',
  'select destination as id from gaps where closed_at is null and destination = any($1)',
)

// $1: who is owed something.
const CLEAR_OTHERS = sql(
  'count nothing for the others',
  `with changed as (
    select d.id from destinations d
     where (d.pending_pdus <> 0 or d.pending_sticky <> 0 or d.oldest_pending is not null)
       and not exists (select from unnest($1::int[]) as o (id) where o.id = d.id)
     ${IN_ORDER}
  )
  update destinations d set pending_pdus = 0, pending_sticky = 0, oldest_pending = null, counted_at = now_ms()
    from changed c where d.id = c.id`,
)

/** The memberships of `b` by which it may be owed something. */
const MINE = 'm.destination = b.id and (m.until is null or m.until > b.position)'
/** A room's part of the log that a membership `m` of `b` reaches. */
const IN_REACH =
  '(e.room, e.pos) > (m.room, greatest(m.since, b.position)) and e.room = m.room and (m.until is null or e.pos <= m.until)'

// Where nothing after its position was addressed by name or went ahead to it, everything in its rooms is owed: the index
// on (room, pos) says how much that is, and only each room's first event is read.
const PLAINLY = `
  select (select count(*) from (
           select from memberships m cross join lateral (
             select from events e where ${IN_REACH} limit ${COUNT_CAP}) x
            where ${MINE} limit ${COUNT_CAP}) n) as n,
         (select min(x.received_ts) from memberships m cross join lateral (
            select e.received_ts from events e where ${IN_REACH} order by e.room, e.pos limit 1) x
           where ${MINE}) as oldest,
         (select count(*) from memberships m join sticky s on s.room = m.room
           where ${MINE} and s.pos > greatest(m.since, b.position) and (m.until is null or s.pos <= m.until)
             and s.expires_at > (select now_ms())) as sticky`

const CLOSELY = `
  select count(*) as n, min(x.received_ts) as oldest, count(*) filter (where x.sticky_until > (select now_ms())) as sticky from (
    select e.received_ts, e.sticky_until from memberships m cross join lateral (
      select e.pos, e.received_ts, e.sticky_until from events e left join recipients r on r.id = e.recipients
       where ${IN_REACH}
         and ${entitledAsMember('b.id')}
         and not ${sent('b.id', 'e.pos')}
       order by e.room, e.pos limit ${COUNT_CAP}) e
     where ${MINE}
    union all
    select e.received_ts, e.sticky_until from events e join recipients r on r.id = e.recipients
     where e.recipients is not null and e.pos > b.position and b.id = any(r.list)
       and not ${memberAt('b.id')}
    limit ${COUNT_CAP}) x`

// `(select now_ms())` is asked once, `now_ms()` for every row: of a million rows that is four seconds.
const COUNT = sql(
  'count what they are owed',
  `with behind as (
    select d.id, d.position,
           not exists (select from events e where e.recipients is not null and e.pos > d.position)
           and not exists (select from replays p where p.destination = d.id and p.pos > d.position) as plain
      -- A number is given so that PostgreSQL expects few, and plans this once: to plan it takes longer than to run it.
      from (select * from unnest($1::int[]) o (id) limit $2) o join destinations d on d.id = o.id
  ), counted as (
    select b.id, c.n, c.oldest, c.sticky + j.n as sticky
      from behind b
      cross join lateral (
        select * from (${PLAINLY}) p where b.plain
        union all
        select * from (${CLOSELY}) p where not b.plain
      ) c
      cross join lateral (
        select count(*) as n from sticky_owed o join sticky s on s.room = o.room and s.pos > o.cursor and s.pos <= o.upto
         where o.destination = b.id and s.expires_at > (select now_ms()) and s.pos <= b.position
           and not ${sentSince('b.id', 's.pos', 'o.upto')}
      ) j
  ), changed as (
    select d.id, c.n, c.oldest, c.sticky from destinations d join counted c on c.id = d.id
     where d.pending_pdus <> c.n or d.pending_sticky <> c.sticky or d.oldest_pending is distinct from c.oldest
     ${IN_ORDER}
  )
  update destinations d
     set pending_pdus = c.n, pending_sticky = c.sticky, oldest_pending = c.oldest, counted_at = now_ms()
    from changed c where d.id = c.id`,
)

// $1 destination, $2 PDUs, $3 sticky events, $4 when the oldest was received.
const WRITE_ONE = sql(
  'write down what one is owed',
  `update destinations set pending_pdus = $2, pending_sticky = $3, oldest_pending = $4, counted_at = now_ms()
   where id = $1 and (pending_pdus <> $2 or pending_sticky <> $3 or oldest_pending is distinct from $4)`,
)

// What a pace is measured between: this count, and the one before it, where that is long enough ago for one (several processes sweep).
const NOTE = sql(
  'note when it was counted',
  `with last as (
    select max(pos) filter (where name = 'counted_at') as at, max(pos) filter (where name = 'counted_head') as head,
           max(pos) filter (where name = 'counted_pdus') as pdus
      from cursors where name in ('counted_at', 'counted_head', 'counted_pdus')
  ), now as (
    select now_ms() as at, (select head from stream) as head, (select coalesce(sum(pending_pdus), 0)::bigint from destinations) as pdus
  )
  insert into cursors (name, pos)
  select c.name, c.pos from now n, last l, lateral (
    values ('counted_at', n.at, true), ('counted_head', n.head, true), ('counted_pdus', n.pdus, true),
           ('counted_before_at', l.at, l.at <= n.at - ${PACE_MS}), ('counted_before_head', l.head, l.at <= n.at - ${PACE_MS}),
           ('counted_before_pdus', l.pdus, l.at <= n.at - ${PACE_MS})) c (name, pos, due)
   where c.due and c.pos is not null
  on conflict (name) do update set pos = excluded.pos`,
)

/**
 * Counts the backlogs of `owed` (ids, in order) and of those to which something is apart, first of those after `from` (an id; 0: of all), while it may go on. Nothing is
 * owed to the others. Returns where the next call goes on; 0: all were counted.
 */
export async function countBacklogs(
  db: Db,
  owed: readonly number[],
  { from = 0, mayGoOn = () => true }: { from?: number; mayGoOn?: () => boolean } = {},
): Promise<number> {
  const apart = await findApart(db)
  const all = apart.length === 0 ? owed : [...new Set([...owed, ...apart])].sort((a, b) => a - b)
  await db.query(planFor(all.length, CLEAR_OTHERS), [all])
  const gaps = await db.query<{ id: number }>(planFor(all.length, WITH_GAP), [all])
  const alone = new Set([...apart, ...gaps.rows.map(({ id }) => id)])
  const inTurn = [...all.filter((id) => id > from), ...all.filter((id) => id <= from)]
  let counted = 0
  while (counted < inTurn.length && (counted === 0 || mayGoOn())) {
    const some = inTurn.slice(counted, counted + AT_ONCE)
    const first = some.findIndex((id) => alone.has(id))
    if (first === 0) await countOne(db, some[0] ?? 0)
    else await countSome(db, first === -1 ? some : some.slice(0, first))
    counted += first === 0 ? 1 : first === -1 ? some.length : first
  }
  await db.query(NOTE)
  return counted < inTurn.length ? (inTurn[counted - 1] ?? 0) : 0
}

async function countSome(db: Db, ids: readonly number[]): Promise<void> {
  await db.query(COUNT, [ids, ids.length])
}

async function countOne(db: Db, id: number): Promise<void> {
  const { pdus, sticky, oldest } = await countPending(db, id, COUNT_CAP)
  await db.query(WRITE_ONE, [id, pdus, sticky, oldest])
}
