/** Takes a PDU that was planned, and never sent, out of the lanes of a destination (`apart.ts`), so that it goes after everything else. */
import type { Db } from '../db.ts'
import { holding } from '../held.ts'
import { NOTHING_LEARNED } from '../isolation.ts'
import { sql } from '../statement.ts'
import { nothingForgottenSince } from '../stream.ts'
import { NO_SUSPECT } from './apart.ts'
import type { DestinationState } from './destination.ts'
import type { Held } from './leases.ts'
import { EVENT_APART, laneApart } from './take-apart.ts'

// $1 worker, $2 fence, $3 destination, $4 its position, $5 the position after it, $6 the PDU's, $7 its lane, $8 up to where its room is sent, $9 now,
// $10 what is known of a destination of which nothing is, $11 what was taken away from it when it was read, $12 the head then, as for what is frozen; $13 what
// the lanes have passed.
const TAKE = sql(
  'take out what goes last',
  `${holding(`d.position = $4 and d.narrowed_seq = $11 and ${nothingForgottenSince('$12')}`)}, free as (
    select h.id from held h where not exists (select from open_transactions o where o.destination = h.id)
  ), moved as (
    update destinations d set position = $5, isolation = coalesce(d.isolation, $10::jsonb) || '{"apart": true}'
      from free f where d.id = f.id
  ), it as (
    select f.id, e.room, ${laneApart('f.id', '$13')} as lane
      from free f cross join (select $6::bigint as pos, $7::text as lane) q ${EVENT_APART}
  ), taken as (
    insert into apart (destination, pos, room, lane, grp, since, tries)
    select id, $6, room, lane, coalesce((select max(a.grp) from apart a where a.destination = it.id), 0) + 1, $9, ${NO_SUSPECT}
      from it where room is not null
    on conflict (destination, pos) do nothing
  ), waits as (
    insert into waiting_rooms (destination, room, cursor) select id, room, $8 from it where room is not null
    on conflict (destination, room) do nothing returning room
  )
  select count(*)::int as n, array(select room from waits) as rooms from free`,
)

/** Returns the rooms that wait from now on; null: it is not as it was read, or the lease is over. */
export async function takeOutToGoLast(
  db: Db,
  { worker, fence, destination }: Held,
  it: { fromPos: number; toPos: number; pos: number; lane: string; roomsUpto: number; passed: number },
  { now, narrowedSeq, head }: Pick<DestinationState, 'now' | 'narrowedSeq' | 'head'>,
): Promise<number[] | null> {
  const { fromPos, toPos, pos, lane, roomsUpto, passed } = it
  const { rows } = await db.query<{ n: number; rooms: number[] }>(TAKE, [
    ...[worker, fence, destination, fromPos, toPos, pos, lane, roomsUpto, now],
    ...[JSON.stringify(NOTHING_LEARNED), narrowedSeq, head, passed],
  ])
  return rows[0]?.n === 1 ? rows[0].rooms : null
}
