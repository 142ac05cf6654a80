/** How much is one destination owed? Counts that are exact up to a cap, and the age of the oldest. */
import type { Db } from '../db.ts'
import { OWED_STICKY, owedPdus, RESTS, SUBJECT } from './owed.ts'
import { sql } from '../statement.ts'

const COUNT_PENDING = sql(
  'count what one is owed',
  `with ${SUBJECT}
  select p.n as pdus, p.resting as pdus_resting, s.n as sticky, s.resting as sticky_resting
    from (select count(*) as n, count(*) filter (where ${RESTS}) as resting
            from (select room, pos from (${owedPdus('asc')}) p limit $2) x) p,
         (select count(*) as n, count(*) filter (where ${RESTS}) as resting
            from (select room, pos from (${OWED_STICKY}) s limit $2) x) s`,
)

const OLDEST_PENDING = sql(
  'what is its oldest',
  `with ${SUBJECT}, first as materialized (select min(p.pos) as pos from (${owedPdus('asc')}) p)
  select e.received_ts as oldest from first f join events e on e.pos = f.pos
  union all
  select e.received_ts from first f join kept_events e on e.pos = f.pos
  limit 1`,
)

export interface Pending {
  /** At most the cap. */
  pdus: number
  sticky: number
  /** Of these: what is set aside, or of a held room, which is tried again at its own time. */
  pdusResting: number
  stickyResting: number
  /** There are more PDUs or sticky events than the cap. */
  capped: boolean
  /** When the oldest owed PDU was received, ms since the epoch. */
  oldest: number | null
}

/** Counts what a destination is owed, each kind exactly up to `cap`. */
export async function countPending(db: Db, destination: number, cap: number): Promise<Pending> {
  const { rows } = await db.query<{
    pdus: number
    sticky: number
    pdus_resting: number
    sticky_resting: number
  }>(COUNT_PENDING, [destination, cap + 1])
  const {
    pdus,
    sticky,
    pdus_resting: pdusResting,
    sticky_resting: stickyResting,
  } = rows[0] ?? { pdus: 0, sticky: 0, pdus_resting: 0, sticky_resting: 0 }
  const oldest =
    pdus === 0 ? undefined : (await db.query<{ oldest: number }>(OLDEST_PENDING, [destination, 1])).rows[0]
  return {
    pdus: Math.min(pdus, cap),
    sticky: Math.min(sticky, cap),
    pdusResting: Math.min(pdusResting, cap),
    stickyResting: Math.min(stickyResting, cap),
    capped: pdus > cap || sticky > cap,
    oldest: oldest?.oldest ?? null,
  }
}

const OWED_POSITIONS = sql(
  'which sticky events is it owed',
  `with ${SUBJECT} select s.pos from (${OWED_STICKY}) s order by s.pos`,
)

/** Positions of the unexpired sticky events that a destination is owed in any lane, in stream order. */
export async function owedStickyPositions(db: Db, destination: number): Promise<number[]> {
  const { rows } = await db.query<{ pos: number }>(OWED_POSITIONS, [destination])
  return rows.map(({ pos }) => pos)
}

const NEXT_UNLISTED = sql(
  'when is a sticky event repeated',
  `select min(p.next_at) as at from replays p join sticky s on s.pos = p.pos
    join memberships m on m.room = s.room and m.destination = $1 and m.until is null
   where p.destination = $1 and p.state = 'unlisted' and s.expires_at > (select now_ms())`,
)

/** When the soonest sticky event that an answer did not list is sent again (ms since the epoch), or null. */
export async function nextUnlisted(db: Db, destination: number): Promise<number | null> {
  return (await db.query<{ at: number | null }>(NEXT_UNLISTED, [destination])).rows[0]?.at ?? null
}

// Catch-up has one newest PDU a room; what was addressed to the destination is beside that.
const COUNT_GAP_ROOMS = sql(
  'count the rooms of a gap',
  `with ${SUBJECT} select count(distinct p.room) as n from (${owedPdus('desc')}) p where p.lane = 'c'`,
)

/** In how many rooms an open gap still has something to send. */
export async function countGapRooms(db: Db, destination: number): Promise<number> {
  const { rows } = await db.query<{ n: number }>(COUNT_GAP_ROOMS, [destination, 1])
  return rows[0]?.n ?? 0
}
