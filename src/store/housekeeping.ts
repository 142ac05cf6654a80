/**
 * What the sweep puts in order: what has lapsed, what is old, waits that no rule can have made, and counts.
 *
 * Whatever grows with the number of destinations is done here in a few statements, not by a request.
 */
import type { Db, Pool } from './db.ts'
import { IN_ORDER } from './leases.ts'

/** Key of the advisory lock under which one process sweeps: "limp" + 3. */
const SWEEP_LOCK = 0x6c696d73

/**
 * Longer than a sweep waits for a queue that is away, ms. A sweeper that is stopped in the middle loses its session, and
 * with it the lock, after this: else nobody would sweep until it goes on.
 */
const IDLE_SWEEPER_MS = 20_000

/** Runs `work` if no other process sweeps at this moment; false when one does. */
export async function withSweepLock(
  pool: Pool,
  work: (db: Db) => Promise<void>,
  idleMs = IDLE_SWEEPER_MS,
): Promise<boolean> {
  const client = await pool.connect()
  let broken: Error | undefined
  const onError = (error: Error) => {
    broken = error
  }
  client.on('error', onError)
  try {
    const { rows } = await client.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [
      SWEEP_LOCK,
    ])
    if (rows[0]?.got !== true) return false
    await client.query(`select set_config('idle_session_timeout', $1, false)`, [String(idleMs)])
    await work(client)
    await client.query('reset idle_session_timeout')
    return true
  } catch (error) {
    // The lock is the session's: it must not come back into the pool with it.
    broken = error as Error
    throw error
  } finally {
    if (broken === undefined) {
      await client.query('select pg_advisory_unlock($1)', [SWEEP_LOCK]).catch((error: unknown) => {
        broken = error as Error
      })
    }
    client.off('error', onError)
    client.release(broken)
  }
}

/** A machine whose clock is fast must not take a sticky event from a joiner: rows stay so long after they lapse, ms. */
const STICKY_GRACE_MS = 600_000
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Removes what nobody needs any more: lapsed sticky rows, old attempts and closed gaps, dead workers. */
export async function removeOld(db: Db, attemptsMs: number): Promise<void> {
  await db.query('delete from sticky where expires_at < now_ms() - $1', [STICKY_GRACE_MS])
  await db.query(
    `delete from replays p using destinations d
      where d.id = p.destination and p.expires_at < now_ms() - $1 and p.pos <= d.position`,
    [attemptsMs],
  )
  await db.query('delete from attempts where at < now_ms() - $1', [attemptsMs])
  await db.query('delete from gaps where closed_at < now_ms() - $1', [attemptsMs])
  await db.query('delete from workers where lease_until < now_ms() - $1', [HOUR_MS])
}

// Not least(): with a null it gives the other value, and a destination without a hold would get one.
/** Cuts waits that are longer than any rule makes (a clock that was wrong once). `longestMs`: the longest backoff. */
export async function cutImpossibleWaits(db: Db, longestMs: number): Promise<void> {
  await db.query(
    `update destinations
        set retry_at = case when retry_at > now_ms() + $1 then now_ms() + $1 else retry_at end,
            hold_until = case when hold_until > now_ms() + $2 then now_ms() + $2 else hold_until end,
            advice_at = case when advice_at > now_ms() + $3 then now_ms() + $3 else advice_at end,
            advice_after = case when advice_after > now_ms() + $3 then now_ms() + $3 else advice_after end,
            look_at = case when look_at > now_ms() + greatest($1, $2) then now_ms() + greatest($1, $2) else look_at end
      where retry_at > now_ms() + $1 or hold_until > now_ms() + $2 or advice_at > now_ms() + $3
         or advice_after > now_ms() + $3 or look_at > now_ms() + greatest($1, $2)`,
    [longestMs, DAY_MS, HOUR_MS],
  )
  await db.query('update workers set lease_until = now_ms() where lease_until > now_ms() + $1', [HOUR_MS])
}

/** A destination's backlog is counted up to this. */
const COUNT_CAP = 10_000

// Counted are destinations with something newer than their position; the others are set to nothing.
const COUNT = `
  with behind as (
    select d.id, d.position from destinations d
     where exists (select 1 from memberships m join rooms r on r.id = m.room
                    where m.destination = d.id and r.head > greatest(d.position, m.since) and (m.until is null or m.until > d.position))
        or exists (select 1 from recipients r where r.head > d.position and d.id = any(r.list))
        or exists (select 1 from sticky_owed o where o.destination = d.id)
  ), counted as (
    select b.id, c.n, c.oldest, c.sticky + j.n as sticky
      from behind b
      cross join lateral (
        select count(*) as n, min(x.received_ts) as oldest, count(*) filter (where x.sticky_until > now_ms()) as sticky from (
          select e.received_ts, e.sticky_until from memberships m cross join lateral (
            select e.pos, e.received_ts, e.sticky_until from events e left join recipients r on r.id = e.recipients
             where e.room = m.room and e.pos > greatest(m.since, b.position) and (m.until is null or e.pos <= m.until)
               and (r.id is null or b.id = any(r.list) or (not r.exact and not b.id = any(r.less)))
               and not exists (select 1 from replays p where p.destination = b.id and p.pos = e.pos and p.state = 'sent')
             order by e.pos limit ${COUNT_CAP}) e
           where m.destination = b.id and (m.until is null or m.until > b.position)
          union all
          select e.received_ts, e.sticky_until from events e join recipients r on r.id = e.recipients
           where e.recipients is not null and e.pos > b.position and b.id = any(r.list)
             and not exists (select 1 from memberships m where m.room = e.room and m.destination = b.id
                              and m.since < e.pos and (m.until is null or e.pos <= m.until))
          limit ${COUNT_CAP}) x
      ) c
      cross join lateral (
        select count(*) as n from sticky_owed o join sticky s on s.room = o.room and s.pos > o.cursor and s.pos <= o.upto
         where o.destination = b.id and s.expires_at > now_ms() and s.pos <= b.position
           and not exists (select 1 from replays p where p.destination = b.id and p.pos = s.pos and p.state = 'sent' and p.listed_at >= o.upto)
      ) j
  ), changed as (
    select d.id, coalesce(c.n, 0) as n, c.oldest, coalesce(c.sticky, 0) as sticky
      from destinations d left join counted c on c.id = d.id
     where d.pending_pdus <> coalesce(c.n, 0) or d.pending_sticky <> coalesce(c.sticky, 0)
        or d.oldest_pending is distinct from c.oldest
     ${IN_ORDER}
  )
  update destinations d
     set pending_pdus = c.n, pending_sticky = c.sticky, oldest_pending = c.oldest, counted_at = now_ms()
    from changed c where d.id = c.id`

/** Counts every destination's backlog (up to 10,000 each), for lists and gauges. */
export async function countBacklogs(db: Db): Promise<void> {
  await db.query(COUNT)
  await db.query(
    `insert into cursors (name, pos) values ('counted_at', now_ms()) on conflict (name) do update set pos = excluded.pos`,
  )
}
