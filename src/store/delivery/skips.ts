/**
 * An operator gives up what is owed to a destination up to now (contract 5.2).
 *
 * A wish like the others (`wishes.ts`): it says up to where, the head of the stream when it was asked for, and the holder of the destination
 * carries it out, when it looks, so never while a request is under way. Always: what came after the wish is owed as before, a join after it too, and the
 * position only moves forward.
 */
import { noteAct } from '../audit.ts'
import type { Db } from '../db.ts'
import { holding, IN_ORDER } from '../held.ts'
import { OF_ITS_ROOM } from '../set-aside.ts'
import { sql } from '../statement.ts'
import { NO_SUSPECT } from './apart.ts'
import type { Held } from './leases.ts'

// What was planned before is not frozen after it. With no wish before it, greatest() gives the new one, as it should.
const skipUpTo = (upto: string, who: string) => `wake_seq = d.wake_seq + 1, narrowed_seq = d.narrowed_seq + 1,
         skip_upto = greatest(d.skip_upto, ${upto}), skip_by = ${who}, look_at = now_ms()`

const WISH = sql(
  'wish to skip',
  `with done as (
    update destinations d set ${skipUpTo('s.head', '$2')} from stream s where d.name = $1
    returning d.name, d.quick, d.skip_upto as upto
  ), noted as (
    ${noteAct('$2', "'skip'", 'name', 'done')}
  )
  select quick, upto from done`,
)

/** Its queue; null: it is not known. `who`: the name of the operator's token. */
export async function wishToSkip(
  db: Db,
  { name, who }: { name: string; who: string },
): Promise<{ queue: 'delivery' | 'recovery' } | null> {
  const { rows } = await db.query<{ quick: boolean }>(WISH, [name, who])
  return rows[0] === undefined ? null : { queue: rows[0].quick ? 'delivery' : 'recovery' }
}

const WISH_OF_MANY = sql(
  'wish of many to skip',
  `with locked as (
    select d.id, i.who, i.upto from destinations d
      join (select * from unnest($1::int[], $2::text[], $3::bigint[]) i (destination, who, upto)) i on i.destination = d.id
     ${IN_ORDER}
  )
  update destinations d set ${skipUpTo('l.upto', 'l.who')} from locked l where d.id = l.id`,
)

/** The same for many, each up to the place that was planned. That an operator did so, its caller notes. */
export async function wishManyToSkip(
  db: Db,
  them: readonly { destination: number; who: string; upto: number }[],
): Promise<void> {
  await db.query(WISH_OF_MANY, [
    them.map(({ destination }) => destination),
    them.map(({ who }) => who),
    them.map(({ upto }) => upto),
  ])
}

const NOTE_DROP = sql(
  'note a drop',
  `with noted as (
    insert into audit (at, who, action, target, matched) values (now_ms(), $1, 'drop', $2, $3)
  )
  select head from stream`,
)

/** Notes that what is owed to those of a glob is given up. Returns up to where. */
export async function noteDrop(
  db: Db,
  { who, glob, matched }: { who: string; glob: string; matched: number },
): Promise<number> {
  const { rows } = await db.query<{ head: number }>(NOTE_DROP, [who, glob, matched])
  return rows[0]?.head ?? 0
}

// $1 worker, $2 fence, $3 destination, $4 up to where. A gap that reaches farther goes on behind that place; another is closed where it had come to, with its
// sticky lane. A join after that place owes all that it owes; so does what an answer to its replays did not list.
// A room that waits goes on behind that place, and nothing of before it is apart any more. None is held after it: what is apart of one and came later
// (where a skip of many had been planned) is sent as a half. What was apart is noted by itself: the cursors were past it, so that the skip alone does not say
// that it was owed.
const SKIP = sql(
  'skip what is owed',
  `${holding('d.skip_upto = $4')}, its as (
    select d.id, d.position, d.durable_pos, d.skip_by, g.id as gap, g.to_pos, greatest(g.cursor, d.position) as reached
      from held h join destinations d on d.id = h.id left join gaps g on g.destination = d.id and g.closed_at is null
  ), ended as (
    delete from open_transactions o using its i where o.destination = i.id returning o.txn_id
  ), gap as (
    update gaps g set cursor = case when i.to_pos > $4 then greatest(g.cursor, $4) else g.cursor end,
                      closed_at = case when i.to_pos > $4 then null else now_ms() end
      from its i where g.id = i.gap
  ), done as (
    delete from sticky_owed o using its i
     where o.destination = i.id and (o.upto <= $4 or (o.room is null and i.to_pos <= $4))
  ), lane as (
    update sticky_owed o set cursor = greatest(o.cursor, $4) from its i
     where o.destination = i.id and o.room is null and i.to_pos > $4
  ), unlisted as (
    delete from replays p using its i
     where p.destination = i.id and p.state = 'unlisted' and p.pos <= $4
       and not exists (select from sticky k join memberships m on m.room = k.room
                        where k.pos = p.pos and m.destination = i.id and m.until is null and m.since > $4)
  ), gone as (
    delete from apart a using its i where a.destination = i.id and a.pos <= $4 returning a.pos
  ), no_edus as (
    delete from edus_apart a using its i where a.destination = i.id and a.pos <= $4 returning a.pos
  ), left_over as (
    update apart a set tries = ${NO_SUSPECT},
                       grp = coalesce((select max(x.grp) from apart x where x.destination = a.destination), 0) + 1
      from its i where a.destination = i.id and a.pos > $4 and ${OF_ITS_ROOM}
  ), rooms as (
    update waiting_rooms w set cursor = greatest(w.cursor, $4), held_since = null, tries = 0, next_at = null
      from its i where w.destination = i.id
  ), noted as (
    insert into skips (destination, from_pos, reached, upto, who, at, durable_from)
    select id, position, reached, $4, skip_by, now_ms(), durable_pos from its returning who, at
  ), noted_apart as (
    insert into given_up (destination, pos, who, at)
    select i.id, g.pos, n.who, n.at from its i cross join noted n
     cross join (select pos from gone union select pos from no_edus) g order by g.pos
    on conflict (destination, pos) do update set who = excluded.who, at = excluded.at
  )
  update destinations d
     set position = case when i.to_pos > $4 then d.position else greatest(d.position, $4) end, skip_upto = null, skip_by = null,
         durable_pos = greatest(d.durable_pos, $4), ephemeral_pos = greatest(d.ephemeral_pos, $4)
    from its i where d.id = i.id
  returning (select txn_id from ended) as ended`,
)

/** Carries the wish out. False: another one came, or the lease is lost. */
export async function skipOwed(db: Db, { worker, fence, destination }: Held, upto: number): Promise<boolean> {
  return (await db.query(SKIP, [worker, fence, destination, upto])).rowCount === 1
}

// Durable EDUs are kept for longer than the log.
const FORGET = sql(
  'forget old skips',
  `delete from skips k where k.upto <= (select log_floor from stream)
      and not exists (select from edus e where e.durable and e.pos > k.durable_from and e.pos <= k.upto)
      and not exists (select from given_up g where g.destination = k.destination and g.at = k.at)`,
)

/** Forgets those of which nothing is stored any more. */
export async function forgetOldSkips(db: Db): Promise<void> {
  await db.query(FORGET)
}
