/**
 * A clock that is set back makes every wait longer by as much: a wait with one second left would last an hour and a
 * second. So the sweep keeps what the database's clock said last time. If it says less now, every time that lies ahead
 * is moved back by the difference, so that each wait has as much left as before.
 *
 * Always: this happens once for each time that the clock is set back, for everything or for nothing. The difference is
 * too small by the time since the last sweep, so nothing older comes early. What was written after the clock was set
 * back can't be told from the rest: it may be tried too early once, and the next sweep moves nothing any more.
 */
import { inTransactionOn, type Db } from '../db.ts'
import { sql } from '../statement.ts'
import { TIMES_AHEAD } from '../waits.ts'

/** Clocks are corrected by less now and then; a wait that is so much longer does not matter, ms. */
const LEAST_MS = 60_000
/** A worker that lives and has renewed its lease since must keep it, ms. */
const LEASE_MS = 30_000

// The old time stays where the clock was set back, until what follows from it is done. Reads it as it was before.
const NOTE = sql(
  'note when was swept',
  `with noted as (
    insert into cursors (name, pos) values ('swept_at', now_ms())
    on conflict (name) do update set pos = excluded.pos where cursors.pos <= excluded.pos + $1
  )
  select pos > now_ms() + $1 as back from cursors where name = 'swept_at'`,
)

// Asked again under the row's lock: a sweeper that was stopped may go on beside the next one.
const BY = sql(
  'how far was the clock set back',
  `select pos - now_ms() as ms from cursors where name = 'swept_at' and pos > now_ms() + $1 for update`,
)

const back = (column: string) =>
  `${column} = case when d.${column} > n.now then d.${column} - $1 else d.${column} end`

// greatest() skips nulls: null only where all are, and then nothing lies ahead.
const DESTINATIONS = sql(
  'put waits back',
  `with ahead as (
    select d.id from destinations d
     where greatest(${TIMES_AHEAD.map((column) => `d.${column}`).join(', ')}) > now_ms()
     order by d.id for update
  )
  update destinations d
     set ${TIMES_AHEAD.map(back).join(', ')}
    from ahead a, (select now_ms() as now offset 0) n
   where d.id = a.id`,
)

const REPLAYS = sql(
  'put repeats back',
  `update replays set next_at = next_at - $1 where state = 'unlisted' and next_at > now_ms()`,
)

const LEASES = sql(
  'put leases back',
  `update workers set lease_until = greatest(lease_until - $1, now_ms() + $2) where lease_until > now_ms() + $2`,
)

const FOLLOWED = sql('the clock was followed', `update cursors set pos = pos - $1 where name = 'swept_at'`)

/** Whether the clock was set back since the last call; what lies ahead is put back then. */
export async function followClockBack(db: Db): Promise<boolean> {
  const { rows } = await db.query<{ back: boolean }>(NOTE, [LEAST_MS])
  if (rows[0]?.back !== true) return false
  return inTransactionOn(db, async (db) => {
    const [by] = (await db.query<{ ms: number }>(BY, [LEAST_MS])).rows
    if (by === undefined) return false
    // What locks a destination and other rows of it locks the destination first.
    await db.query(DESTINATIONS, [by.ms])
    await db.query(REPLAYS, [by.ms])
    await db.query(LEASES, [by.ms, LEASE_MS])
    await db.query(FOLLOWED, [by.ms])
    return true
  })
}
