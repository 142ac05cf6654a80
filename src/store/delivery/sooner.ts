/** Which failing destinations do new sticky events concern, and when is each looked at sooner for them? */
import type { Db } from '../db.ts'
import { IN_ORDER } from '../held.ts'
import { planFor } from '../prepare.ts'
import { sql } from '../statement.ts'
import { WAIT_COLUMNS, waitingOf, type WaitRow, type WaitState } from '../waits.ts'
import type { OwedSticky } from './soonest-lapse.ts'

export interface FailingFor {
  id: number
  /** The database's time. */
  now: number
  /** When it is looked at next, which is later than now; null: its backoff is over, and it was owed nothing. */
  lookAt: number | null
  waiting: WaitState
  /** Of what is new alone. */
  owed: OwedSticky
}

// $1 after, $2 up to, $3 for how long one may have failed. It may say too much (whom an event leaves out by name): the look asks again. Each
// room is gone through once, however much is said in it. Who is due is looked at anyway, and its holder is told (`wake-lists.ts`).
const FAILING = sql(
  'who fails and is owed new sticky events',
  `with new as materialized (
    select s.room, min(s.expires_at) as lapses_at, (array_agg(e.received_ts order by s.expires_at, s.pos))[1] as since,
           max(e.received_ts) as newest, max(s.expires_at) as latest
      from sticky s join events e on e.pos = s.pos
     where s.pos > $1 and s.pos <= $2 and s.expires_at > (select now_ms())
     group by s.room
  )
  select d.id, (select now_ms()) as now, d.look_at, ${WAIT_COLUMNS},
         min(n.lapses_at) as lapses_at, (array_agg(n.since order by n.lapses_at, n.room))[1] as since, max(n.newest) as newest, max(n.latest) as latest
    from new n join memberships m on m.room = n.room and m.until is null join destinations d on d.id = m.destination
   where d.failing_since > (select now_ms()) - $3 and not d.paused and (d.look_at is null or d.look_at > (select now_ms()))
   group by d.id`,
)

interface Row extends WaitRow {
  id: number
  now: number
  look_at: number | null
  lapses_at: number
  since: number
  newest: number
  latest: number
}

export async function findFailingFor(
  db: Db,
  { after, upto, longOutageMs }: { after: number; upto: number; longOutageMs: number },
): Promise<FailingFor[]> {
  const { rows } = await db.query<Row>(planFor(upto - after, FAILING), [after, upto, longOutageMs])
  return rows.map((row) => ({
    id: row.id,
    now: row.now,
    lookAt: row.look_at,
    waiting: waitingOf(row),
    owed: { lapsesAt: row.lapses_at, since: row.since, newest: row.newest, latest: row.latest },
  }))
}

// If a worker holds one at the moment, it looks once more before it lets go, and then sets the time itself.
const SOONER = sql(
  'look sooner at who fails',
  `with input as (
    select * from unnest($1::int[], $2::bigint[]) i (id, at)
  ), locked as (
    select d.id from destinations d join input i on i.id = d.id ${IN_ORDER}
  )
  update destinations d
     set look_at = least(d.look_at, i.at), deadline_at = least(d.deadline_at, i.at), wake_seq = d.wake_seq + 1
    from input i, locked l
   where d.id = l.id and d.id = i.id and d.failing_since is not null and not d.paused`,
)

export async function lookSooner(db: Db, them: readonly { id: number; at: number }[]): Promise<void> {
  if (them.length === 0) return
  await db.query(planFor(them.length, SOONER), [
    them.map(({ id }) => id),
    them.map(({ at }) => Math.ceil(at)),
  ])
}
