/**
 * Moves every destination past the part of the log that is about to go. A destination that is owed nothing up to there
 * is moved on. For the others the rest becomes a gap, which catch-up works off from what `kept-events.ts` keeps.
 *
 * Always: only a destination that no process serves is touched, under the lock of its row, for which a taker waits. A
 * destination that is being served is left for the next look. An unanswered transaction stays as it is (same id, same
 * bytes); only what its answer acknowledges is corrected in the same commit.
 */
import { inTransactionOn, type Db } from '../db.ts'
import { countLapsedIn, oweSticky } from '../delivery/gaps.ts'
import { IN_ORDER, UNHELD } from '../held.ts'
import { timelinePositions } from '../delivery/timeline.ts'
import { BEHIND_IN_A_ROOM } from '../delivery/wake-lists.ts'
import { overtake, roomsThatNeed, type WaitingRoom } from './waiting-rooms.ts'
import { sql } from '../statement.ts'

export interface MovedPast {
  /** Destinations that are being served now and still need what goes: nothing may be dropped yet. */
  held: number
  /** Owed nothing, and moved on. */
  moved: number
  /** Have a gap now, or one that reaches further. */
  gaps: number
  /** Sticky events that had lapsed unsent in the gaps that were opened. */
  lapsed: number
}

// $1: the last position that goes. Most destinations of a large server: nothing came in their rooms, nothing was
// addressed to them, nothing of theirs is open. Nothing new can come up to there, so a quiet destination stays quiet.
const QUIET = sql(
  'who is quiet',
  `select d.id, d.fence from destinations d
   where d.position < $1 and d.lease_owner is null
     and d.id not in (${BEHIND_IN_A_ROOM})
     and d.id not in (select l.id from recipients r cross join unnest(r.list) l (id) join destinations a on a.id = l.id
                       where r.head > a.position)
     and not exists (select 1 from gaps g where g.destination = d.id and g.closed_at is null)
     and not exists (select 1 from open_transactions o where o.destination = d.id)
   order by d.id`,
)

// A destination that was taken since has another fence, and something may be frozen for it.
const MOVE_QUIET = sql(
  'move the quiet on',
  `with locked as (
    select d.id from destinations d join unnest($2::int[], $3::bigint[]) i (id, fence) on i.id = d.id
     where d.position < $1 and d.lease_owner is null and d.fence = i.fence ${IN_ORDER}
  )
  update destinations d set position = $1 from locked l where d.id = l.id`,
)

/** Rows that are locked in one commit. */
const AT_ONCE = 200

// $1: the last position that goes. An open gap that reaches so far needs nothing: it is worked off with what is kept.
const BEHIND = sql(
  'who needs what goes',
  `select d.id from destinations d
   where d.position < $1
     and not exists (select 1 from gaps g where g.destination = d.id and g.closed_at is null and g.to_pos >= $1)
   order by d.id`,
)

// Its holder is judged after the row is locked: it may have renewed its lease meanwhile.
const LOCK = sql(
  'lock who needs it',
  `with locked as (select position, lease_owner from destinations where id = $1 for update)
  select l.position, l.lease_owner is not null as owned, exists (select from living(array[l.lease_owner])) as held
    from locked l`,
)

// Read after the lock: a freeze that was under way is seen.
const LEFT = sql(
  'what is open of it',
  `select g.id as gap, g.to_pos as gap_to, o.gap as open_gap, o.to_pos as open_to, o.destination is not null as open
    from (values ($1::int)) d (id)
    left join gaps g on g.destination = d.id and g.closed_at is null
    left join open_transactions o on o.destination = d.id`,
)

interface Left {
  gap: number | null
  gap_to: number
  open_gap: number | null
  open_to: number
  open: boolean
}

/** Settles all of them up to the position `upto`. Throws where `signal` ends it early; what was settled stays. */
export async function settleDestinations(db: Db, upto: number, signal?: AbortSignal): Promise<MovedPast> {
  const settled: MovedPast = { held: 0, moved: 0, gaps: 0, lapsed: 0 }
  const quiet = (await db.query<{ id: number; fence: number }>(QUIET, [upto])).rows
  for (let done = 0; done < quiet.length; done += AT_ONCE) {
    const some = quiet.slice(done, done + AT_ONCE)
    const them = [some.map(({ id }) => id), some.map(({ fence }) => fence)]
    settled.moved += (await db.query(MOVE_QUIET, [upto, ...them])).rowCount ?? 0
  }
  const { rows } = await db.query<{ id: number }>(BEHIND, [upto])
  for (const { id } of rows) {
    signal?.throwIfAborted()
    await inTransactionOn(db, () => settle(db, id, upto, settled))
  }
  for (const room of await roomsThatNeed(db, upto)) {
    signal?.throwIfAborted()
    await inTransactionOn(db, () => settleRoom(db, room, upto, settled))
  }
  return settled
}

const FROM_THE_DEAD = sql(
  'retention takes it from the dead',
  `update destinations set ${UNHELD} where id = $1`,
)

async function settle(db: Db, id: number, upto: number, settled: MovedPast): Promise<void> {
  const [row] = (await db.query<{ position: number; owned: boolean; held: boolean }>(LOCK, [id])).rows
  if (row === undefined || row.position >= upto) return
  if (row.held) {
    settled.held += 1
    return
  }
  const { position } = row
  const [left] = (await db.query<Left>(LEFT, [id])).rows
  if (left === undefined) return
  if (left.gap !== null) {
    if (left.gap_to >= upto) return
    await extendGap(db, id, left.gap, upto)
    settled.gaps += 1
  } else if ((await timelinePositions(db, id, { after: position, upto }, 1)).length > 0) {
    // What an unanswered transaction of the timeline acknowledges lies within the gap: what it brings is not sent twice.
    const to = left.open && left.open_gap === null ? Math.max(upto, left.open_to) : upto
    await db.query(GAP, [id, position, to])
    settled.gaps += 1
    settled.lapsed += await countLapsedIn(db, id, { from: position, to })
  } else {
    await db.query(MOVE, [id, upto])
    if (left.open) await db.query(MOVE_OPEN, [id, upto])
    settled.moved += 1
  }
  // A worker whose lease has run out may still believe in it: what it read is no longer so.
  if (row.owned) {
    await db.query(FROM_THE_DEAD, [id])
  }
}

/** A room that waits has nothing of it in a lane, so the position says nothing of it. */
async function settleRoom(db: Db, room: WaitingRoom, upto: number, settled: MovedPast): Promise<void> {
  const { destination } = room
  const [row] = (await db.query<{ owned: boolean; held: boolean }>(LOCK, [destination])).rows
  if (row === undefined) return
  if (row.held) {
    settled.held += 1
    return
  }
  await overtake(db, room, upto)
  if (row.owned) await db.query(FROM_THE_DEAD, [destination])
}

// As a turn opens it.
const GAP = sql(
  'retention opens a gap',
  `with gap as (
    insert into gaps (destination, from_pos, to_pos, cursor, opened_at) values ($1, $2, $3, $2, now_ms())
    returning id
  )${oweSticky('$1', '$2')}`,
)

const MOVE = sql('retention moves it on', 'update destinations set position = $2 where id = $1')
const MOVE_OPEN = sql(
  'retention moves what is open',
  'update open_transactions set from_pos = $2, to_pos = greatest(to_pos, $2) where destination = $1',
)

const EXTEND = sql('retention extends the gap', 'update gaps set to_pos = $2 where id = $1')

const CLOSES_NONE = sql(
  'its answer closes no gap',
  `update open_transactions set closes_gap = false, to_pos = from_pos where destination = $1 and gap = $2 and closes_gap`,
)

/** Rooms that have something newer there are sent that instead. An answer that would have closed it does not any more. */
async function extendGap(db: Db, id: number, gap: number, to: number): Promise<void> {
  await db.query(EXTEND, [gap, to])
  await db.query(CLOSES_NONE, [id, gap])
}
