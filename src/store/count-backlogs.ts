/**
 * Counts what each destination is owed, for lists and gauges: made by the sweep, not by a request.
 *
 * Destinations that are behind are counted, up to 10,000 PDUs each. That is work without end where a thousand servers
 * are dead, so one sweep counts so many PDUs and the next one goes on from there. Who has an open gap is owed what
 * catch-up sends of it, part of which may have left the log: each of these is counted as an operator would see it.
 */
import type { Db } from './db.ts'
import { entitledAsMember, memberAt, sent, sentSince } from './entitled.ts'
import { IN_ORDER } from './held.ts'
import { countPending } from './views/count-pending.ts'
import { BEHIND_IN_A_ROOM } from './wake-lists.ts'
import { sql } from './statement.ts'

/** A destination's backlog is counted up to this. */
const COUNT_CAP = 10_000
/** PDUs that one sweep counts, more or less: a second or two of the database. */
const MOST_PDUS = 500_000
/** What counting a gap weighs, in PDUs. */
const GAP_WEIGHS = 5_000
const AT_ONCE = 50

const BEHIND = sql(
  'who is behind',
  `select d.id, exists (select 1 from gaps g where g.destination = d.id and g.closed_at is null) as gap from destinations d
   where d.id in (${BEHIND_IN_A_ROOM})
      or exists (select 1 from recipients r where r.head > d.position and d.id = any(r.list))
      or exists (select 1 from sticky_owed o where o.destination = d.id)
   order by d.id`,
)

// $1: those who are behind.
const CLEAR_OTHERS = sql(
  'count nothing for the others',
  `with changed as (
    select d.id from destinations d
     where (d.pending_pdus <> 0 or d.pending_sticky <> 0 or d.oldest_pending is not null) and not d.id = any($1)
     ${IN_ORDER}
  )
  update destinations d set pending_pdus = 0, pending_sticky = 0, oldest_pending = null, counted_at = now_ms()
    from changed c where d.id = c.id`,
)

// `(select now_ms())` is asked once, `now_ms()` for every row: of a million rows that is four seconds.
const COUNT = sql(
  'count what they are owed',
  `with behind as (
    select d.id, d.position from destinations d where d.id = any($1)
  ), counted as (
    select b.id, c.n, c.oldest, c.sticky + j.n as sticky
      from behind b
      cross join lateral (
        select count(*) as n, min(x.received_ts) as oldest, count(*) filter (where x.sticky_until > (select now_ms())) as sticky from (
          select e.received_ts, e.sticky_until from memberships m cross join lateral (
            select e.pos, e.received_ts, e.sticky_until from events e left join recipients r on r.id = e.recipients
             where e.room = m.room and e.pos > greatest(m.since, b.position) and (m.until is null or e.pos <= m.until)
               and ${entitledAsMember('b.id')}
               and not ${sent('b.id', 'e.pos')}
             order by e.pos limit ${COUNT_CAP}) e
           where m.destination = b.id and (m.until is null or m.until > b.position)
          union all
          select e.received_ts, e.sticky_until from events e join recipients r on r.id = e.recipients
           where e.recipients is not null and e.pos > b.position and b.id = any(r.list)
             and not ${memberAt('b.id')}
          limit ${COUNT_CAP}) x
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
  ), written as (
    update destinations d
       set pending_pdus = c.n, pending_sticky = c.sticky, oldest_pending = c.oldest, counted_at = now_ms()
      from changed c where d.id = c.id
  )
  select coalesce(sum(n), 0)::bigint as pdus from counted`,
)

// $1 destination, $2 PDUs, $3 sticky events, $4 when the oldest was received.
const WRITE_ONE = sql(
  'write down what one is owed',
  `update destinations set pending_pdus = $2, pending_sticky = $3, oldest_pending = $4, counted_at = now_ms()
   where id = $1 and (pending_pdus <> $2 or pending_sticky <> $3 or oldest_pending is distinct from $4)`,
)

const NOTE = sql(
  'note when it was counted',
  `insert into cursors (name, pos) values ('counted_at', now_ms()) on conflict (name) do update set pos = excluded.pos`,
)

/**
 * Counts backlogs, first of the destinations after `from` (an id; 0: of all). Returns where the next call goes
 * on. `most`: PDUs after which it stops for now.
 */
export async function countBacklogs(
  db: Db,
  { from = 0, most = MOST_PDUS }: { from?: number; most?: number } = {},
): Promise<number> {
  const { rows } = await db.query<{ id: number; gap: boolean }>(BEHIND)
  const ids = rows.map(({ id }) => id)
  const withGap = new Set(rows.filter(({ gap }) => gap).map(({ id }) => id))
  await db.query(CLEAR_OTHERS, [ids])
  const inTurn = [...ids.filter((id) => id > from), ...ids.filter((id) => id <= from)]
  let counted = 0
  let pdus = 0
  while (counted < inTurn.length && pdus < most) {
    const some = inTurn.slice(counted, counted + AT_ONCE)
    const plain = some.filter((id) => !withGap.has(id))
    if (plain.length > 0) pdus += (await db.query<{ pdus: number }>(COUNT, [plain])).rows[0]?.pdus ?? 0
    for (const id of some) {
      if (!withGap.has(id)) continue
      const one = await countPending(db, id, COUNT_CAP)
      await db.query(WRITE_ONE, [id, one.pdus, one.sticky, one.oldest])
      pdus += one.pdus + GAP_WEIGHS
    }
    counted += some.length
  }
  await db.query(NOTE)
  return counted < inTurn.length ? (inTurn[counted - 1] ?? 0) : 0
}
