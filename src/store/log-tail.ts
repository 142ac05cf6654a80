/**
 * What did the log get since? Events and changes in the order of their positions, from one snapshot, for who
 * follows it.
 *
 * Always: everything up to `upto` is in what was read so far, whatever positions are missing in between.
 */
import type { Db } from './db.ts'

export interface LoggedEvent {
  kind: 'event'
  pos: number
  room: number
  eventId: string
  pdu: string
  receivedTs: number
  /** It was ever sticky, and not redacted since. */
  sticky: boolean
  /** Who is addressed: `list` beyond the room's servers, or (`exact`) instead of them; `less`: not these. Null: the room's servers. */
  addressed: { exact: boolean; list: number[]; less: number[] } | null
}

export interface LoggedChange {
  kind: 'change'
  /** `servers`, `redact`, `purge`, or what a later release writes. */
  what: string
  pos: number
  room: number | null
  /** Position of the event that a `redact` concerns. */
  target: number | null
  added: number[]
  removed: number[]
}

export type LogEntry = LoggedEvent | LoggedChange

export interface LogRead {
  after: number
  entries: LogEntry[]
  /** Less than `after` where the log has become shorter than that. */
  upto: number
  /** There may be more at once. */
  more: boolean
}

// $1 after, $2 limit. Each half alone could fill it.
const READ = `
  select s.head, x.* from stream s left join lateral (
    (select e.pos, 'event' as kind, e.room, e.event_id, e.pdu, e.received_ts, e.sticky_until is not null as sticky,
            r.exact, r.list, r.less, null::bigint as target, null::int[] as added, null::int[] as removed
       from events e left join recipients r on r.id = e.recipients where e.pos > $1 order by e.pos limit $2)
    union all
    (select c.pos, c.kind, c.room, null, null, null, null, null, null, null, c.target, c.added, c.removed
       from changes c where c.pos > $1 order by c.pos limit $2)
    order by pos limit $2) x on true`

interface Row {
  head: number
  pos: number | null
  kind: string
  room: number | null
  event_id: string
  pdu: string
  received_ts: number
  sticky: boolean
  exact: boolean | null
  list: number[] | null
  less: number[] | null
  target: number | null
  added: number[] | null
  removed: number[] | null
}

/** Reads at most `limit` entries after position `after`. */
export async function readLog(db: Db, after: number, limit: number): Promise<LogRead> {
  const { rows } = await db.query<Row>(READ, [after, limit])
  const entries = rows.flatMap((row) => (row.pos === null ? [] : [entryOf(row, row.pos)]))
  const more = entries.length >= limit
  const head = rows[0]?.head ?? after
  return { after, entries, more, upto: more ? (entries.at(-1)?.pos ?? after) : head }
}

function entryOf(row: Row, pos: number): LogEntry {
  const { kind, room, target, added, removed } = row
  if (kind !== 'event')
    return { kind: 'change', what: kind, pos, room, target, added: added ?? [], removed: removed ?? [] }
  const { event_id: eventId, pdu, received_ts: receivedTs, sticky, exact, list, less } = row
  const addressed = exact === null ? null : { exact, list: list ?? [], less: less ?? [] }
  return { kind: 'event', pos, room: room ?? 0, eventId, pdu, receivedTs, sticky, addressed }
}
