/**
 * Reads one window of Synapse's event stream: which events go out, who came into or left which room, what was
 * redacted.
 *
 * Everything in the window is committed and stays as it is (`safe-head.ts`), so these are single statements and need
 * no common snapshot. A window never ends inside a batch that Synapse wrote at once.
 */
import type { Db } from '../../store/db.ts'
import { SERVER } from '../../store/one-server.ts'
import { planned } from './planned.ts'
import { readRedactions, type Redactions, type UnreadableRedaction } from './redactions.ts'

/** An event by one of ours, or one that Synapse forwards for the server that sent it to us. */
export interface SynapseEvent {
  /** `stream_ordering`. */
  readonly at: number
  readonly event_id: string
  readonly room_id: string
  readonly room_version: string | null
  readonly json: string
  readonly internal_metadata: string
  /** It was no outlier when it was stored, and is one now: a purge of the room's history took its state away. */
  readonly purged: boolean
}

/** A user who began or ceased to be joined in the room's current state. */
export interface MemberChange {
  /** The `stream_ordering` after which it holds. */
  readonly at: number
  readonly room_id: string
  /** The user's server; null: the room's state began anew here, with nobody in it yet. */
  readonly server: string | null
  readonly joined: boolean
}

export interface Window extends Redactions {
  /** The window's end, included. */
  readonly upTo: number
  /** Which server had it. */
  readonly server: string
  readonly events: readonly SynapseEvent[]
  readonly changes: readonly MemberChange[]
}

const SELECT_END = planned(
  'where does the window end',
  `select max(stream_ordering) as end, count(*) as events
    from (select stream_ordering from events
           where stream_ordering > $1 and stream_ordering <= $2
           order by stream_ordering limit $3) as first`,
)

// A batch's state changes carry the lowest stream_ordering of the batch (persisting events stamps them so), so that
// a change can stand before its own event. Ending after the newest event that a change in the window speaks of keeps batches whole.
const SELECT_LATER_EVENT = planned(
  'what does the window reach to',
  `select max(e.stream_ordering) as end
    from current_state_delta_stream d join events e on e.event_id = d.event_id
   where d.stream_id > $1 and d.stream_id <= $2`,
)

// Events that Synapse fetched as outliers are of the state or of the auth chain, and are stored before the join by which their room's state
// came. So a message, or what came into the current state with its own batch, was stored as an ordinary event: a purge of the
// room's history (the admin API's, or retention) made an outlier of it.
const NO_OUTLIER_ONCE = `(e.state_key is null or exists (
  select from current_state_delta_stream d where d.event_id = e.event_id and d.stream_id > $1 and d.stream_id <= e.stream_ordering))`

// $1 after, $2 up to, $3 our name.
const EVENTS = `
  from events e
  join event_json j on j.event_id = e.event_id
  left join rooms r on r.room_id = e.room_id
 where e.stream_ordering > $1 and e.stream_ordering <= $2
   and (not e.outlier or ${NO_OUTLIER_ONCE}) and e.rejection_reason is null
   and not exists (select from rejections x where x.event_id = e.event_id)
   and (substr(e.sender, strpos(e.sender, ':') + 1) = $3 or strpos(j.internal_metadata, '"send_on_behalf_of"') > 0)`

// `event_id` null: the state entry is gone (we left the room, or state resolution took it away). A create event that comes
// into the current state begins a room anew: we made it, or joined it when nobody of ours was there, perhaps after a purge,
// which leaves no change behind for the users that were in it.
const CHANGES = `
  select greatest(d.stream_id, e.stream_ordering) as at, d.stream_id, d.room_id,
         case when d.type = 'm.room.member' then substr(d.state_key, strpos(d.state_key, ':') + 1) end as server,
         coalesce(new.membership = 'join', false) as joined
    from current_state_delta_stream d
    left join events e on e.event_id = d.event_id
    left join room_memberships new on new.event_id = d.event_id
    left join room_memberships old on old.event_id = d.prev_event_id
   where d.stream_id > $1 and d.stream_id <= $2
     and (d.type = 'm.room.member'
            and coalesce(new.membership = 'join', false) <> coalesce(old.membership = 'join', false)
          or d.type = 'm.room.create' and d.event_id is not null and d.prev_event_id is null)`

const SELECT_CHANGES = planned(
  'who came and left',
  `select at, room_id, server, joined from (${CHANGES}) c order by at, server is not null, stream_id, server`,
)

// What `redactions.ts` asks for, as far as it can be told of each event by itself: true where it finds any. Nearly always it would find none.
const MAY_REDACT = `
  select from events e
   where e.stream_ordering > $1 and e.stream_ordering <= $2
     and (exists (select from redactions d where d.event_id = e.event_id)
       or exists (select from redactions d where d.redacts = e.event_id)
       or exists (select from room_ban_redactions b
                   where b.room_id = e.room_id and (b.user_id = e.sender or b.user_id = e.state_key)))`

// One statement: others' traffic, which is most of what there is, costs this and no more.
const SELECT_WINDOW = planned(
  'read the window',
  `select * from (
    select 'event' as kind, e.stream_ordering as at, e.room_id, e.event_id, r.room_version, j.json, j.internal_metadata,
           e.outlier as purged, null as server, null::boolean as joined, null::bigint as stream_id ${EVENTS}
     union all
    select 'change', at, room_id, null, null, null, null, null, server, joined, stream_id from (${CHANGES}) c
     union all
    select 'redactions', null, null, null, null, null, null, null, null, null, null where exists (${MAY_REDACT})
     union all
    select 'server', null, null, null, null, null, null, null, ${SERVER}, null, null
  ) w order by kind, at, server is not null, stream_id, server`,
)

type WindowRow =
  | ({ readonly kind: 'event' } & SynapseEvent)
  | ({ readonly kind: 'change' } & MemberChange)
  | { readonly kind: 'redactions' }
  | { readonly kind: 'server'; readonly server: string }

export interface Span {
  /** Not included. */
  readonly after: number
  readonly upTo: number
  readonly serverName: string
}

/** Users that came into or left the rooms' current state, of other servers than `serverName`, in their order. */
export async function readChanges(db: Db, { after, upTo, serverName }: Span): Promise<MemberChange[]> {
  const { rows } = await db.query<MemberChange>(SELECT_CHANGES, [after, upTo])
  return rows.filter((change) => change.server !== serverName)
}

export interface WindowSpan {
  readonly after: number
  readonly head: number
  readonly limit: number
  readonly serverName: string
  /** Told of each redaction that cannot be read. */
  readonly leaveOut?: (unreadable: UnreadableRedaction) => void
}

/** Reads the window after `after`: about `limit` events of the stream (ours and others'), but nothing beyond `head`. */
export async function readWindow(
  db: Db,
  { after, head, limit, serverName, leaveOut }: WindowSpan,
): Promise<Window> {
  const upTo = await readEnd(db, { after, head, limit })
  const span = { after, upTo, serverName }
  const { rows } = await db.query<WindowRow>(SELECT_WINDOW, [after, upTo, serverName])
  const events: SynapseEvent[] = []
  const changes: MemberChange[] = []
  let server = ''
  for (const row of rows) {
    if (row.kind === 'event') {
      const { at, event_id, room_id, room_version, json, internal_metadata, purged } = row
      events.push({ at, event_id, room_id, room_version, json, internal_metadata, purged })
    } else if (row.kind === 'server') {
      server = row.server
    } else if (row.kind === 'change' && row.server !== serverName) {
      const { at, room_id, server, joined } = row
      changes.push({ at, room_id, server, joined })
    }
  }
  const redacting = rows.some(({ kind }) => kind === 'redactions')
  const none = { redactions: [], bans: [] }
  return { upTo, server, events, changes, ...(redacting ? await readRedactions(db, span, leaveOut) : none) }
}

async function readEnd(
  db: Db,
  { after, head, limit }: { after: number; head: number; limit: number },
): Promise<number> {
  // There cannot be more events than numbers.
  if (head - after <= limit) return head
  const first = (await db.query<{ end: number | null; events: number }>(SELECT_END, [after, head, limit]))
    .rows[0]
  let upTo = first === undefined || first.events < limit ? head : (first.end ?? head)
  while (upTo < head) {
    const later =
      (await db.query<{ end: number | null }>(SELECT_LATER_EVENT, [after, upTo])).rows[0]?.end ?? 0
    if (later <= upTo) return upTo
    upTo = Math.min(later, head)
  }
  return upTo
}
