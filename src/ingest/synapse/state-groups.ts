/**
 * The joined users of a room in one of Synapse's state groups, by server, and the difference between two groups.
 *
 * A group is a complete state of a room and never changes. It is stored as the difference to the group that its edge
 * leads to, over at most about a hundred hops, or as a whole if it has no edge. The nearest group's entry counts, and
 * no group takes an entry away. Laterals with `offset 0` keep the planner from reading these tables (Synapse's
 * largest) from end to end, as it would after guessing how many rows a recursion finds.
 */
import type { Db } from '../../store/db.ts'
import { planned } from './planned.ts'
import type { CountChange } from './room-view.ts'

/** Far beyond what Synapse and its compressor make: only edges that lead in a circle come to this. */
export const MAX_HOPS = 10_000

const CHAIN = `
  chain (start, state_group, hops) as (
    select s, s, 0 from unnest($1::bigint[]) as s
     union all
    select c.start, e.prev_state_group, c.hops + 1
      from chain c cross join lateral (
        select prev_state_group from state_group_edges where state_group = c.state_group offset 0) e
     where c.hops < ${MAX_HOPS}
  )`

const MEMBERS_OF = `
  cross join lateral (
    select state_key, event_id from state_groups_state
     where state_group = c.state_group and type = 'm.room.member' offset 0) s`

const IS_JOINED = `
  cross join lateral (
    select from room_memberships where event_id = s.event_id and membership = 'join' offset 0) m`

const SERVER = `substr(s.state_key, strpos(s.state_key, ':') + 1)`

const SELECT_JOINED = planned(
  'who is joined by the state group',
  `with recursive ${CHAIN}, standing as (
    select distinct on (s.state_key) s.state_key, s.event_id
      from chain c ${MEMBERS_OF} order by s.state_key, c.hops
  )
  select ${SERVER} as server, count(*) as users from standing s ${IS_JOINED} group by 1`,
)

// Only the groups that are in one chain and not in the other can make a difference, and only to the users they speak of.
const SELECT_DIFFERENCE = planned(
  'what differs between state groups',
  `with recursive ${CHAIN}, common as (
    select state_group from chain group by 1 having count(distinct start) = 2
  ), touched as (
    select distinct s.state_key
      from chain c ${MEMBERS_OF}
     where exists (select from common) and c.state_group not in (select state_group from common)
  ), standing as (
    select distinct on (c.start, s.state_key) c.start, s.state_key, s.event_id
      from touched t cross join chain c
      cross join lateral (
        select state_key, event_id from state_groups_state
         where state_group = c.state_group and type = 'm.room.member' and state_key = t.state_key offset 0) s
     order by c.start, s.state_key, c.hops
  ), changes as (
    select ${SERVER} as server, sum(case s.start when $2::bigint then 1 else -1 end)::int as by
      from standing s ${IS_JOINED} group by 1
  )
  select exists (select from common) as related,
         (select coalesce(json_agg(c), '[]') from changes c where c.by <> 0) as changes`,
)

/** The joined users of a state group by server; of other servers than `serverName` only. Reads every member of the room. */
export async function readJoinedIn(
  db: Db,
  { group, serverName }: { group: number; serverName: string },
): Promise<Map<string, number>> {
  const { rows } = await db.query<{ server: string; users: number }>(SELECT_JOINED, [[group]])
  return new Map(rows.filter((row) => row.server !== serverName).map((row) => [row.server, row.users]))
}

/** What there is in `to` and was not in `from`, by server; null where the two groups have no ancestor in common. */
export async function readDifference(
  db: Db,
  { from, to, serverName }: { from: number; to: number; serverName: string },
): Promise<CountChange[] | null> {
  const { rows } = await db.query<{ related: boolean; changes: CountChange[] }>(SELECT_DIFFERENCE, [
    [from, to],
    to,
  ])
  const found = rows[0]
  if (found?.related !== true) return null
  return found.changes.filter((change) => change.server !== serverName)
}
