/**
 * Tells a failing destination's row that its server seems to be alive (`server_up`, a join).
 *
 * The next attempt is brought forward to a random moment of the next five seconds, but not before `advice_after`, and
 * never against a `Retry-After`. `up` means that even a 410 may be tried again (contract 5.8). Failures stay until a
 * 200. A destination that isn't failing needs no advice.
 */
import type { Db } from '../db.ts'
import { IN_ORDER } from '../held.ts'
import { sql } from '../statement.ts'

/** Length of the window in which an attempt that is brought forward falls, ms. */
export const ADVICE_WINDOW_MS = 5_000

// greatest() skips nulls; an earlier advice that is still to come stays the one that counts.
const ADVISE = sql(
  'advise',
  `with locked as (select d.id from destinations d where d.id = any($1) ${IN_ORDER})
  update destinations d
     set advice_at = least(case when d.advice_at > t.now then d.advice_at end, greatest(t.at, d.advice_after)),
         advice_up = d.advice_up or $3,
         wake_seq = d.wake_seq + 1,
         look_at = least(d.look_at, greatest(t.at, d.advice_after))
    from (select id, now, now + delay as at
            from unnest($1::int[], $2::bigint[]) as t (id, delay), (select now_ms() as now offset 0) n) t, locked l
   where d.id = l.id and d.id = t.id and (d.failures > 0 or d.hold_until is not null)`,
)

/** Advises those of `ids` that are failing. A caller that writes more in its transaction holds their locks already (`lock-destinations.ts`). */
export async function adviseUp(
  db: Db,
  ids: readonly number[],
  { random, up }: { random: () => number; up: boolean },
): Promise<void> {
  if (ids.length === 0) return
  const delays = ids.map(() => Math.floor(random() * ADVICE_WINDOW_MS))
  await db.query(ADVISE, [ids, delays, up])
}
