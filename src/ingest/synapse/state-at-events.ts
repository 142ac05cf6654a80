/**
 * What Synapse's tables say about the state in which its events were made: the state group before each event, or how
 * to get there from the group after it, and whether a `leave` takes back an invite.
 *
 * `event_to_state_groups` names the group *after* an event. Unless the event is a membership, the servers before it
 * are the same. The group of a membership usually has an edge to the group before it and holds nothing else. But a
 * state compressor may store it as a whole, or as the difference to another group. So the group that the edge leads to
 * is used only if it holds for the user what the event says that it replaced (`unsigned.replaces_state`). If not, the
 * replaced event says what changed.
 */
import type { Db } from '../../store/db.ts'
import { planned } from './planned.ts'
import type { CountChange } from './room-view.ts'
import { MAX_HOPS } from './state-groups.ts'

export interface StateAtEvent {
  /** The group in which the room's servers are counted; null: Synapse holds none. */
  readonly group: number | null
  /** What the servers before the event have more (or less) than those of `group`. */
  readonly change: CountChange | null
  /** The server of a user whose invite the event takes back. */
  readonly rescinded: string | null
}

/** An event as far as this question goes. */
export interface AskedEvent {
  readonly event_id: string
  /** `unsigned.replaces_state`. */
  readonly replaces: string | null
}

interface Row {
  event_id: string
  after: number | null
  before: number | null
  /** Null: no membership. */
  server: string | null
  joins: boolean
  replacedJoin: boolean
  rescinds: boolean
}

// The auth events of a `leave` that somebody else sends hold the user's invite only where it takes that invite back.
const SELECT_STATES = planned(
  'read the states at events',
  `select w.event_id, g.state_group as after, b.prev_state_group as before,
         case when e.type = 'm.room.member' then substr(e.state_key, strpos(e.state_key, ':') + 1) end as server,
         coalesce(m.membership = 'join', false) as joins,
         exists (select from room_memberships r where r.event_id = w.replaces and r.user_id = e.state_key
                                                  and r.membership = 'join') as "replacedJoin",
         m.membership = 'leave' and e.sender <> e.state_key and exists (
           select from event_auth a join room_memberships i on i.event_id = a.auth_id
            where a.event_id = e.event_id and i.user_id = e.state_key and i.membership = 'invite') as rescinds
    from unnest($1::text[], $2::text[]) as w (event_id, replaces)
    join events e on e.event_id = w.event_id
    left join event_to_state_groups g on g.event_id = w.event_id
    left join room_memberships m on m.event_id = w.event_id and e.type = 'm.room.member'
    left join lateral (
      select d.prev_state_group from state_group_edges d
       where d.state_group = g.state_group and e.type = 'm.room.member'
         and exists (select from state_groups_state s where s.state_group = g.state_group and s.type = e.type
                                                        and s.state_key = e.state_key and s.event_id = e.event_id)
         and not exists (select from state_groups_state s where s.state_group = g.state_group
                                                            and s.event_id <> e.event_id)
         and w.replaces is not distinct from (
           with recursive chain (state_group, hops) as (
             select d.prev_state_group, 0
              union all
             select p.prev_state_group, c.hops + 1
               from chain c cross join lateral (
                 select prev_state_group from state_group_edges where state_group = c.state_group offset 0) p
              where c.hops < ${MAX_HOPS}
           )
           select s.event_id
             from chain c cross join lateral (
               select event_id from state_groups_state
                where state_group = c.state_group and type = e.type and state_key = e.state_key offset 0) s
            order by c.hops limit 1)
       limit 1) b on true`,
)

/** The states at `events`, by event id. */
export async function readStatesAt(
  db: Db,
  events: readonly AskedEvent[],
): Promise<ReadonlyMap<string, StateAtEvent>> {
  if (events.length === 0) return new Map()
  const { rows } = await db.query<Row>(SELECT_STATES, [
    events.map((event) => event.event_id),
    events.map((event) => event.replaces),
  ])
  return new Map(rows.map((row) => [row.event_id, stateOf(row)]))
}

function stateOf({ after, before, server, joins, replacedJoin, rescinds }: Row): StateAtEvent {
  const rescinded = rescinds ? server : null
  if (server === null || before !== null) return { group: before ?? after, change: null, rescinded }
  const by = Number(replacedJoin) - Number(joins)
  return { group: after, change: by === 0 ? null : { server, by }, rescinded }
}
