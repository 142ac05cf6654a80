/** Gaps are opened, grown, moved along and closed here, always by the holder and by compare-and-set. */
import type { Db } from '../db.ts'
import { entitled } from '../entitled.ts'
import { holding } from '../held.ts'
import type { Held } from './leases.ts'
import { nothingForgottenSince } from '../stream.ts'
import { sql } from '../statement.ts'

/** Ends a statement that opens a `gap`: the gap's sticky row has no upper end. */
export const oweSticky = (destination: string, from: string) => `
  insert into sticky_owed (destination, room, after_pos, upto, cursor, created_at)
  select ${destination}, null, ${from}, null, ${from}, now_ms() from gap
  on conflict (destination) where room is null do update
     set after_pos = excluded.after_pos, cursor = excluded.cursor, created_at = excluded.created_at`

// $1 worker, $2 fence, $3 destination, $4 from, $5 to. Gap and its sticky row are one statement. The end is the head of
// the look that found so much missing.
const OPEN = sql(
  'open a gap',
  `${holding(`d.position = $4 and ${nothingForgottenSince('$5')}`)}, gap as (
    insert into gaps (destination, from_pos, to_pos, cursor, opened_at) select id, $4, $5, $4, now_ms() from held
    on conflict do nothing returning id
  )${oweSticky('$3', '$4')}`,
)

// What was sticky in the gap and lapsed before it was opened: its replay is lost, and that is counted once. There is no row of
// it: what lapses later the sweep counts, and explain tells both from the gap.
const LAPSED_IN = sql(
  'count what has lapsed in the gap',
  `select count(*)::int as lapsed
    from events e left join recipients r on r.id = e.recipients
   where e.sticky_until is not null and e.pos > $2 and e.pos <= $3 and e.sticky_until <= now_ms()
     and ${entitled('$1')}
     and not exists (select 1 from replays p where p.destination = $1 and p.pos = e.pos)`,
)

/** Opens a gap (from, to]. Returns how many sticky events in it have lapsed already; null: not opened. */
export async function openGap(
  db: Db,
  held: Held,
  range: { from: number; to: number },
): Promise<number | null> {
  const { rowCount } = await db.query(OPEN, [held.worker, held.fence, held.destination, range.from, range.to])
  if (rowCount !== 1) return null
  return countLapsedIn(db, held.destination, range)
}

/** How much was sticky in `range`, as a gap is opened over it, and has lapsed unsent for a destination. */
export async function countLapsedIn(
  db: Db,
  destination: number,
  range: { from: number; to: number },
): Promise<number> {
  const { rows } = await db.query<{ lapsed: number }>(LAPSED_IN, [destination, range.from, range.to])
  return rows[0]?.lapsed ?? 0
}

const GROW = sql(
  'let the gap grow',
  `${holding()}
     update gaps g set to_pos = $4 from held h
      where g.id = $5 and g.closed_at is null and g.cursor = g.from_pos and g.destination = h.id`,
)

/** Lets a gap of which nothing is acknowledged yet reach up to `to`. */
export async function growGap(db: Db, held: Held, gap: { id: number }, to: number): Promise<void> {
  await db.query(GROW, [held.worker, held.fence, held.destination, to, gap.id])
}

const MOVE = sql(
  'move the gap along',
  `update gaps set cursor = greatest(cursor, coalesce($3, cursor)), batch = coalesce($4, batch),
            closed_at = case when $5 then now_ms() else closed_at end
      where id = $2 and destination = $1 and closed_at is null`,
)

const END_STICKY = sql(
  'end the sticky lane of the gap',
  'delete from sticky_owed where destination = $1 and room is null',
)

/** Moves a gap's cursor and batch; closes it where `closes`. The caller's transaction holds the destination's row. */
export async function moveGap(
  db: Db,
  destination: number,
  gap: { id: number; cursor: number | null; batch: number | null; closes: boolean },
): Promise<void> {
  await db.query(MOVE, [destination, gap.id, gap.cursor, gap.batch, gap.closes])
  if (gap.closes) await db.query(END_STICKY, [destination])
}

const MOVE_ON = sql(
  'move the position on',
  `${holding(`d.position = $4 and ${nothingForgottenSince('$6')}`)}
     update destinations d set position = $5 from held h where d.id = h.id`,
)

/**
 * Moves position and cursors where there was nothing to send, as read when the head was at `readAt`. False: the lease is
 * lost, the position moved, or a room was forgotten since, so that what was read may not have been all.
 */
export async function moveOn(
  db: Db,
  held: Held,
  {
    from,
    to,
    readAt,
    gap,
  }: {
    from: number
    to: number
    readAt: number
    gap: { id: number; cursor: number | null; closes: boolean } | null
  },
): Promise<boolean> {
  const { rowCount } = await db.query(MOVE_ON, [held.worker, held.fence, held.destination, from, to, readAt])
  if (rowCount !== 1) return false
  if (gap !== null) await moveGap(db, held.destination, { ...gap, batch: null })
  return true
}
