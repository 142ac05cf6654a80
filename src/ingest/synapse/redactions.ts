/**
 * Which of our events were redacted? The answer is what Synapse itself would say when it reads an event.
 *
 * A redaction that Synapse accepted has a row in `redactions`. From room version 3 on, a user may redact events of
 * their own server, which Synapse checks only when both events are there (`recheck`). A ban or kick may redact
 * everything that its user sent (MSC4293, `room_ban_redactions`). Synapse leaves the stored event unchanged for days;
 * limpet must not send it that long.
 */
import { domainOf } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json-value.ts'
import { redact } from '../../matrix/redaction.ts'
import { roomVersion } from '../../matrix/room-versions.ts'
import type { Db } from '../../store/db.ts'
import { planned } from './planned.ts'
import { objectIn } from './stored-json.ts'

export interface SynapseRedaction {
  /** The `stream_ordering` from which on it holds: the redacting event's or, if that is newer, the redacted one's. */
  readonly at: number
  /** The redacted event. */
  readonly event_id: string
  readonly room_version: string | null
}

/** A ban or kick in the window that redacts what one of our users sent before it; which events those are is asked by pages. */
export interface BanRedaction {
  /** The `stream_ordering` of the ban. */
  readonly at: number
  readonly room_id: string
  readonly user_id: string
  /** The `stream_ordering` from which on the user's events are not redacted; null: there is no end yet. */
  readonly before: number | null
}

export interface Redactions {
  /** What other events redact, and what a ban redacts of the window itself. */
  readonly redactions: readonly SynapseRedaction[]
  readonly bans: readonly BanRedaction[]
}

/** A redaction of which it cannot be said whether it counts. */
export interface UnreadableRedaction {
  readonly error: unknown
  /** The redacting event. */
  readonly event_id: string
  /** The event that it would redact. */
  readonly redacts: string
}

interface BanRow {
  readonly at: number
  readonly event_id: null
  readonly room_id: string
  /** The banned user. */
  readonly sender: string
  readonly before: number | null
}

interface Row extends SynapseRedaction {
  readonly redacting: string
  readonly sender: string | null
  /** Of the redacting event. */
  readonly redactor: string | null
  readonly redacting_metadata: string | null
  /** Whether it may have to be of the redacted event's own server. */
  readonly recheck: boolean
}

// Backfilled redactions have negative orderings: they count from the event that they redact.
const TARGET = `
  join events t on t.event_id = p.target and t.room_id = r.room_id and t.type <> 'm.room.create'
  join event_json j on j.event_id = t.event_id
  left join event_json rj on rj.event_id = r.event_id
  left join rooms v on v.room_id = t.room_id
 where r.rejection_reason is null and not exists (select from rejections x where x.event_id = r.event_id)
   and (substr(t.sender, strpos(t.sender, ':') + 1) = $3 or strpos(j.internal_metadata, '"send_on_behalf_of"') > 0)`

// There is one row a room and user: a later ban takes the place of an earlier one, and names itself, before the earlier one is read here.
// The earlier one asked for it too (its own JSON says so), and an event's own word counts: it redacts what is older than itself.
const BANS = `
  select r.stream_ordering as at, r.event_id, b.room_id, b.user_id,
         case when b.redacting_event_id = r.event_id then b.redact_end_ordering
              else least(r.stream_ordering, b.redact_end_ordering) end as before
    from events r
    join room_ban_redactions b on b.room_id = r.room_id and b.user_id = r.state_key
    join event_json bj on bj.event_id = r.event_id
   where r.stream_ordering > $1 and r.stream_ordering <= $2 and r.type = 'm.room.member' and r.sender <> r.state_key
     and (b.redacting_event_id = r.event_id or strpos(bj.json, '.redact_events"') > 0)
     and substr(b.user_id, strpos(b.user_id, ':') + 1) = $3
     and r.rejection_reason is null and not exists (select from rejections x where x.event_id = r.event_id)`

const SELECT_REDACTIONS = planned(
  'read the redactions',
  `with bans as materialized (${BANS}), pairs (target, redacting, recheck) as (
    select d.redacts, d.event_id, d.recheck
      from events r join redactions d on d.event_id = r.event_id
     where r.stream_ordering > $1 and r.stream_ordering <= $2
     union
    select d.redacts, d.event_id, d.recheck
      from events t join redactions d on d.redacts = t.event_id
     where t.stream_ordering > $1 and t.stream_ordering <= $2
     union
    select t.event_id, b.redacting_event_id, false
      from events t
      join room_ban_redactions b on b.room_id = t.room_id and b.user_id = t.sender
                                and (b.redact_end_ordering is null or t.stream_ordering < b.redact_end_ordering)
     where t.stream_ordering > $1 and t.stream_ordering <= $2
     union
    select t.event_id, b.event_id, false
      from bans b join events t on t.room_id = b.room_id and t.sender = b.user_id and (b.before is null or t.stream_ordering < b.before)
     where t.stream_ordering > $1 and t.stream_ordering <= $2
  )
  select greatest(r.stream_ordering, t.stream_ordering, $1 + 1) as at, t.event_id, v.room_version, t.sender,
         r.event_id as redacting, r.sender as redactor, rj.internal_metadata as redacting_metadata, p.recheck,
         null as room_id, null::bigint as before
    from pairs p join events r on r.event_id = p.redacting ${TARGET}
   union all
  select at, null, null, user_id, event_id, null, null, false, room_id, before from bans
   order by 1, 2`,
)

// Of a page of ids: what a ban of theirs redacts. Backfilled events have negative orderings, and are redacted whenever it ends.
const SELECT_BANNED = planned(
  'which of them does the ban redact',
  `select t.event_id, v.room_version
    from events t left join rooms v on v.room_id = t.room_id
   where t.event_id = any($1) and t.room_id = $2 and t.sender = $3 and t.type <> 'm.room.create'
     and ($4::bigint is null or t.stream_ordering < $4)
   order by t.stream_ordering`,
)

// Where limpet's log is not asked: all that the user sent in the room, in the stream's order. $3: the place of the last page, included.
const SELECT_SENT_BY = planned(
  'what did the banned send',
  `select t.event_id, t.stream_ordering as at
    from events t
   where t.room_id = $1 and t.sender = $2 and t.stream_ordering > $3
   order by t.stream_ordering limit $4`,
)

// Read by themselves, a piece at a time: a ban may name more of them than there is memory for.
const SELECT_JSON = planned(
  'read stored events',
  'select event_id, json from event_json where event_id = any($1)',
)

/** The redactions that a window brings, or that were there before an event of the window, and its bans that redact. */
export async function readRedactions(
  db: Db,
  { after, upTo, serverName }: { after: number; upTo: number; serverName: string },
  leaveOut: (unreadable: UnreadableRedaction) => void = () => undefined,
): Promise<Redactions> {
  const { rows } = await db.query<Row | BanRow>(SELECT_REDACTIONS, [after, upTo, serverName])
  const redactions: SynapseRedaction[] = []
  const bans: BanRedaction[] = []
  for (const row of rows) {
    if (row.event_id === null) {
      bans.push({ at: row.at, room_id: row.room_id, user_id: row.sender, before: row.before })
      continue
    }
    const { event_id, room_version } = row
    try {
      // What a later window redacts is redacted from the first moment on.
      if (isAllowed(row)) redactions.push({ at: Math.min(row.at, upTo), event_id, room_version })
    } catch (error) {
      leaveOut({ error, event_id: row.redacting, redacts: event_id })
    }
  }
  return { redactions, bans }
}

/** Those of `eventIds` that the ban redacts. */
export async function readBanned(
  db: Db,
  { at, room_id, user_id, before }: BanRedaction,
  eventIds: readonly string[],
): Promise<SynapseRedaction[]> {
  if (eventIds.length === 0) return []
  const { rows } = await db.query<Omit<SynapseRedaction, 'at'>>(SELECT_BANNED, [
    eventIds,
    room_id,
    user_id,
    before,
  ])
  return rows.map((row) => ({ at, ...row }))
}

/** A page of what one user sent in a room, as Synapse has it. */
export async function readSentBy(
  db: Db,
  { roomId, sender, after, limit }: { roomId: string; sender: string; after: number; limit: number },
): Promise<{ readonly eventIds: readonly string[]; readonly next: number | null }> {
  const { rows } = await db.query<{ event_id: string; at: number }>(SELECT_SENT_BY, [
    ...[roomId, sender, after, limit],
  ])
  return {
    eventIds: rows.map((row) => row.event_id),
    next: rows.length < limit ? null : (rows.at(-1)?.at ?? null),
  }
}

/** @throws where what is stored of the redacting event cannot be read, and it depends on that */
function isAllowed({ recheck, redacting_metadata, redactor, sender }: Row): boolean {
  if (!recheck) return true
  // Rows from before Synapse noted it say that it is to be looked at again; the event itself knows.
  if (objectIn(redacting_metadata, 'internal_metadata')['recheck_redaction'] !== true) return true
  if (redactor === null || sender === null) throw new TypeError('there is no sender')
  return domainOf(redactor) === domainOf(sender)
}

/** The stored events as JSON texts, by id. */
export async function readStoredJson(
  db: Db,
  eventIds: readonly string[],
): Promise<ReadonlyMap<string, string | null>> {
  const { rows } = await db.query<{ event_id: string; json: string | null }>(SELECT_JSON, [eventIds])
  return new Map(rows.map((row) => [row.event_id, row.json]))
}

/**
 * The `redact` item of a redaction of the event that is stored as `json`.
 * @throws where that cannot be read, or limpet does not know what its room version leaves of it
 */
export function rawRedaction({ event_id, room_version }: SynapseRedaction, json: string | null): JsonObject {
  const pdu = objectIn(json, 'json')
  const version = roomVersion(room_version ?? '1')
  if (version === null) throw new TypeError('its room version is not known')
  return { type: 'redact', event_id, pdu: redact(pdu, version) }
}
