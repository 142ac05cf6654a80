/**
 * Writes down what an answer said about sticky events: listed, or not listed and to be sent again.
 *
 * A row is kept only if the destination's position does not say it: if a later lane would meet the event again (the
 * position is behind it, its room waits and will go on from before it, or a join replay covers it), or if it must be repeated.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

export interface Listing {
  destination: number
  /** Positions of the transaction that the answer lists. */
  listed: readonly number[]
  /** Positions that were sent ahead of the timeline, as replays. */
  ahead: readonly number[]
  /** Positions that it does not list. */
  unlisted: readonly number[]
  /** Repeats of one event before it is given up; Infinity: while it is sticky. */
  maxTries: number
}

/** First wait before an unlisted event is sent again, ms; doubled each time. */
const UNLISTED_WAIT_MS = 15_000

// $1 destination, $2 positions, $3 those sent ahead. Read after the position and the cursors were moved. An answer may come
// when what went ahead is not sticky any more: the timeline must not send it again either.
const NOTE_LISTED = sql(
  'note what is listed',
  `insert into replays (destination, pos, state, listed_at, expires_at, at)
  select $1, l.pos, 'sent', (select head from stream), coalesce(s.expires_at, now_ms()), now_ms()
    from unnest($2::bigint[]) l(pos) left join sticky s on s.pos = l.pos
   where (s.pos is not null or l.pos = any($3))
     and (l.pos > (select position from destinations where id = $1)
          or exists (select 1 from waiting_rooms w where w.destination = $1 and l.pos > w.cursor
                      and w.room = coalesce(s.room, (select e.room from events e where e.pos = l.pos)))
          or exists (select 1 from sticky_owed o where o.destination = $1
                      and ((o.room = s.room and s.pos > o.cursor and s.pos <= o.upto) or (o.room is null and s.pos > o.cursor)))
          or exists (select 1 from replays p where p.destination = $1 and p.pos = l.pos))
   order by l.pos
  on conflict (destination, pos) do update
     set state = 'sent', listed_at = excluded.listed_at, tries = 0, next_at = null, at = excluded.at`,
)

// $1 destination, $2 positions, $3 most tries, $4 first wait, $5 whether it ever lists. Beyond the most it counts as
// sent, unconfirmed. A rejoin since the last answer (`listed_at` of an unlisted one) starts the doubling anew. The time
// becomes the destination's own in the same commit: this process may end before it lets go.
const NOTE_UNLISTED = sql(
  'note what is not listed',
  `with told as (
    select s.pos, s.expires_at, (select head from stream) as head, now_ms() as now,
           case when $5 and exists (select 1 from sticky_owed o where o.destination = $1 and o.room = s.room
                                     and s.pos <= o.upto and o.upto > coalesce(p.listed_at, 0))
                then 0 else coalesce(p.tries, 0) end as tries
      from sticky s left join replays p on p.destination = $1 and p.pos = s.pos
     where s.pos = any($2) and s.expires_at > now_ms()
  ), noted as (
    insert into replays (destination, pos, state, listed_at, tries, next_at, expires_at, at)
    select $1, pos, case when tries >= $3 then 'sent' else 'unlisted' end, head, tries + 1,
           case when tries < $3 then now + $4 * power(2, least(tries, 20))::bigint end, expires_at, now
      from told order by pos
    on conflict (destination, pos) do update
       set state = excluded.state, listed_at = excluded.listed_at, tries = excluded.tries, next_at = excluded.next_at,
           at = excluded.at
    returning next_at
  )
  update destinations d set look_at = least(d.look_at, n.at)
    from (select min(next_at) as at from noted) n where d.id = $1 and n.at is not null`,
)

export async function noteListing(
  db: Db,
  { destination, listed, ahead, unlisted, maxTries }: Listing,
): Promise<void> {
  if (listed.length > 0) await db.query(NOTE_LISTED, [destination, listed, ahead])
  if (unlisted.length > 0) {
    const most = Math.min(maxTries, 1_000_000)
    await db.query(NOTE_UNLISTED, [destination, unlisted, most, UNLISTED_WAIT_MS, maxTries === Infinity])
  }
}

const MOVE_CURSOR = sql(
  'move sticky cursors',
  `update sticky_owed set cursor = greatest(cursor, $4)
        where destination = $1 and room is not distinct from $2 and upto is not distinct from $3`,
)

/** Moves the cursors of join and gap rows of `sticky_owed`; a row that a rejoin replaced (another `upto`) stays. */
export async function moveStickyCursors(
  db: Db,
  destination: number,
  rows: readonly { room: number | null; upto: number | null; cursor: number }[],
): Promise<void> {
  for (const { room, upto, cursor } of rows) {
    await db.query(MOVE_CURSOR, [destination, room, upto, cursor])
  }
}
