/**
 * What the sweep puts in order: what has lapsed, what is old, and waits that no rule can have made.
 *
 * Whatever grows with the number of destinations is done here in a few statements, not by a request.
 */
import type { Db, Pool } from '../db.ts'
import { overSince } from './seen-time.ts'
import { sql } from '../statement.ts'

/** Keys of the advisory locks under which one process at a time sweeps, and drops what is old: "limp" + 3, + 4. */
const SWEEP_LOCK = 0x6c696d73
const RETENTION_LOCK = 0x6c696d74

/**
 * Longer than a sweep waits for a queue that is away, ms. A sweeper that is stopped in the middle loses its session, and
 * with it the lock, after this: else no process would sweep until it goes on.
 */
const IDLE_SWEEPER_MS = 20_000

/** Runs `work` if no other process sweeps at this moment; false when one does. */
export const withSweepLock = (
  pool: Pool,
  work: (db: Db) => Promise<void>,
  idleMs = IDLE_SWEEPER_MS,
): Promise<boolean> => withLock(pool, SWEEP_LOCK, work, idleMs)

/** The same for dropping what is old, which may take long and must not delay a sweep. `work` has a connection of its own. */
export const withRetentionLock = (pool: Pool, work: (db: Db) => Promise<void>): Promise<boolean> =>
  withLock(pool, RETENTION_LOCK, work, IDLE_SWEEPER_MS)

const TRY_LOCK = sql('try the lock', 'select pg_try_advisory_lock($1) as got')

const MAY_IDLE = sql(
  'let the lock end with an idle session',
  `select set_config('idle_session_timeout', $1, false)`,
)

const IDLE_AGAIN = sql('let the session idle again', 'set idle_session_timeout = 0')

const UNLOCK = sql('give the lock back', 'select pg_advisory_unlock($1)')

async function withLock(
  pool: Pool,
  key: number,
  work: (db: Db) => Promise<void>,
  idleMs: number,
): Promise<boolean> {
  const client = await pool.connect()
  let broken: Error | undefined
  const onError = (error: Error) => {
    broken = error
  }
  client.on('error', onError)
  try {
    const { rows } = await client.query<{ got: boolean }>(TRY_LOCK, [key])
    if (rows[0]?.got !== true) return false
    await client.query(MAY_IDLE, [String(idleMs)])
    await work(client)
    // Not `reset`, which would bring back what an operator may have set for the role.
    await client.query(IDLE_AGAIN)
    return true
  } catch (error) {
    // The lock is the session's: it must not come back into the pool with it.
    broken = error as Error
    throw error
  } finally {
    if (broken === undefined) {
      await client.query(UNLOCK, [key]).catch((error: unknown) => {
        broken = error as Error
      })
    }
    client.off('error', onError)
    client.release(broken)
  }
}

/** A machine whose clock is fast must not take a sticky event from a joiner: rows stay this long after they lapse, ms. */
const STICKY_GRACE_MS = 600_000
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

const STICKY = sql('remove lapsed sticky rows', `delete from sticky where expires_at < ${overSince('$1')}`)

// Until its destination has come past it, with the room of it where that waits, unless nothing of it is left that could come to it: some servers never come back.
const REPLAYS = sql(
  'remove old notes',
  `delete from replays p using destinations d
   where d.id = p.destination and p.expires_at < ${overSince('$1')}
     and ((p.pos <= d.position
           and not exists (select 1 from waiting_rooms w join events e on e.pos = p.pos and e.room = w.room
                            where w.destination = p.destination and w.cursor < p.pos))
          or (p.pos <= (select log_floor from stream)
              and not exists (select 1 from kept_events k where k.pos = p.pos)
              and not exists (select 1 from events e where e.pos = p.pos)))`,
)

// A join whose sticky events are over: its destination may never look again. A rejoin meanwhile has a later `upto`.
const JOINS = sql(
  'remove joins that are over',
  `delete from sticky_owed where (destination, room) in (
    select o.destination, o.room from sticky_owed o
     where o.room is not null and o.upto <= (select head from stream)
       and not exists (select 1 from sticky s where s.room = o.room and s.pos > o.cursor and s.pos <= o.upto)
     order by o.destination, o.room for update skip locked)`,
)

const ATTEMPTS = sql('remove old attempts', `delete from attempts where at < ${overSince('$1')}`)

const GAPS = sql('remove old gaps', `delete from gaps where closed_at < ${overSince('$1')}`)

const WORKERS = sql('remove dead workers', 'delete from workers where lease_until < now_ms() - $1')

/**
 * Removes what is no longer needed: sticky rows and joins that are over, notes of them, old attempts and closed gaps, dead
 * workers. What is gone for good must be old by every reading of the clock for as long (`seen-time.ts`); a worker begins anew.
 */
export async function removeOld(db: Db, attemptsMs: number): Promise<void> {
  await db.query(STICKY, [STICKY_GRACE_MS])
  await db.query(REPLAYS, [attemptsMs])
  await db.query(JOINS)
  await db.query(ATTEMPTS, [attemptsMs])
  await db.query(GAPS, [attemptsMs])
  await db.query(WORKERS, [HOUR_MS])
}

// Not least(): with a null it gives the other value, and a destination without an embargo would get one.
// Some waits are longer (`ODD_INTERVALS` of `deliver/rules/backoff.ts`), however short the longest backoff is.
const LONGEST = `case when retry_interval * 2 < $1 or retry_interval = any($4::bigint[]) then retry_interval * 2 else $1 end`
const STEP = `case when advice_step < $3 then advice_step else $3 end`
const LOOK = `case when retry_at is not null and hold_until is null then ${LONGEST} else greatest(${LONGEST}, $1, $2) end`

const CUT_WAITS = sql(
  'cut impossible waits',
  `update destinations
        set retry_at = case when retry_at > now + ${LONGEST} then now + ${LONGEST} else retry_at end,
            hold_until = case when hold_until > now + $2 then now + $2 else hold_until end,
            advice_at = case when advice_at > now + $3 then now + $3 else advice_at end,
            advice_after = case when advice_after > now + ${STEP} then now + ${STEP} else advice_after end,
            look_at = case when look_at > now + ${LOOK} then now + ${LOOK} else look_at end
       from (select now_ms() as now offset 0) n
      where retry_at > now + ${LONGEST} or hold_until > now + $2 or advice_at > now + $3
         or advice_after > now + ${STEP} or look_at > now + ${LOOK}`,
)

const CUT_LEASES = sql(
  'cut impossible leases',
  'update workers set lease_until = now_ms() where lease_until > now_ms() + $1',
)

/**
 * Cuts waits that are longer than any rule makes, or than they were when they began (a clock that was wrong once, or was
 * set back). `longestMs`: the longest backoff; `oddMs`: waits that may be longer than that, as they are without jitter.
 */
export async function cutImpossibleWaits(
  db: Db,
  { longestMs, oddMs }: { longestMs: number; oddMs: readonly number[] },
): Promise<void> {
  await db.query(CUT_WAITS, [longestMs, DAY_MS, HOUR_MS, oddMs])
  await db.query(CUT_LEASES, [HOUR_MS])
}
